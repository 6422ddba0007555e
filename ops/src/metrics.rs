//! What the process itself shows beside its stages.
use metrics::{Unit, describe_gauge, gauge};
use tokio::runtime::Handle;

pub const TASKS: &str = "tidegate_ops_tasks";

/// Says what each metric means.
pub fn describe() {
    describe_gauge!(TASKS, Unit::Count, "Tasks of the runtime that have not ended");
}

/// Brings up to date what nobody sets as it changes.
pub(crate) fn refresh() {
    gauge!(TASKS).set(Handle::current().metrics().num_alive_tasks() as f64);
}
