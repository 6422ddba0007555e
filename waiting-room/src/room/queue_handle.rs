//! One queue on one node: the parts that serve it, and which of them knows which.
use super::claims::Claimer;
use super::joins::Joiner;
use super::leases::Leaser;
use super::parts::{Background, Parts};
use super::queue_copy::QueueCopy;
use super::sessions::Sessions;
use super::settings::Settings;
use super::status_keeper::StatusKeeper;
use super::steps::Stepper;
use crate::Error;
use ledger::Queue;
use std::sync::Arc;

/// One queue on one node.
pub(crate) struct QueueHandle {
    pub(crate) status: Arc<StatusKeeper>,
    pub(crate) stepper: Arc<Stepper>,
    pub(crate) settings: Settings,
    pub(super) joiner: Arc<Joiner>,
    pub(super) claimer: Claimer,
    pub(super) sessions: Sessions,
}

impl QueueHandle {
    /// Makes sure that the queue has a copy, and looks at it.
    pub(super) async fn open(
        parts: &Parts,
        background: &Background,
        queue: &Queue,
    ) -> Result<Self, Error> {
        let copy = Arc::new(QueueCopy::new(parts, queue));
        let status = Arc::new(StatusKeeper::new(parts, background, copy.clone(), queue));
        status.refresh().await?;
        let leaser = Arc::new(Leaser::new(parts, background, copy.clone()));
        let stepper = Arc::new(Stepper::new(parts, background, copy.clone(), status.clone()));
        let line = || (copy.clone(), status.clone(), leaser.clone(), stepper.clone());
        let joiner = {
            let (copy, status, leaser, stepper) = line();
            Joiner::new(parts, background, copy, status, leaser, stepper)
        };
        let claimer = {
            let (copy, status, leaser, stepper) = line();
            Claimer::new(parts, background, copy, status, leaser, stepper)
        };
        Ok(Self {
            settings: Settings::new(parts, background, copy.clone(), status.clone()),
            sessions: Sessions::new(parts, background, copy, status.clone()),
            joiner: Arc::new(joiner),
            claimer,
            status,
            stepper,
        })
    }
}
