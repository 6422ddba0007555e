//! Whether people waited as long as they were told.
use crate::history::{Called, History, WaitTold};

/// A second in microseconds.
const SECOND: u64 = 1_000_000;

/// The waits that were told and came to their end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Waits {
    pub(crate) told: u64,
    pub(crate) came_true: u64,
    /// The width of the range told, as a share of the wait, in the middle case.
    pub(crate) width: f64,
}

impl Waits {
    pub(crate) fn of(histories: &[History]) -> Self {
        let mut waits = Self { told: 0, came_true: 0, width: 0.0 };
        let mut widths = Vec::new();
        for history in histories {
            let Some(called) = history.called else { continue };
            for wait in &history.waits {
                waits.told += 1;
                waits.came_true += u64::from(came_true(wait, called));
                widths.push(width(wait, called));
            }
        }
        widths.sort_unstable_by(f64::total_cmp);
        waits.width = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        waits
    }
}

/// The call came somewhere between two looks.
fn came_true(wait: &WaitTold, called: Called) -> bool {
    let soonest = called.looked.saturating_sub(wait.told);
    let latest = called.heard.saturating_sub(wait.told);
    latest >= wait.least_seconds * SECOND && soonest <= wait.most_seconds * SECOND
}

fn width(wait: &WaitTold, called: Called) -> f64 {
    let waited = called.heard.saturating_sub(wait.told).max(SECOND);
    ((wait.most_seconds - wait.least_seconds) * SECOND) as f64 / waited as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_true_if_the_call_can_have_come_within_it() {
        let history = |least_seconds, most_seconds, looked, heard| {
            let mut history = History::new(0);
            history.waits.push(WaitTold { told: SECOND, least_seconds, most_seconds });
            history.called = Some(Called { looked: looked * SECOND, heard: heard * SECOND });
            history
        };
        for (case, history, came_true, width) in [
            ("inside", history(5, 15, 9, 11), 1, 1.0),
            ("heard later, called in time", history(5, 15, 15, 21), 1, 0.5),
            ("too soon", history(5, 15, 3, 5), 0, 2.5),
            ("too late", history(5, 15, 17, 21), 0, 0.5),
        ] {
            let waits = Waits::of(&[history]);
            assert_eq!(waits, Waits { told: 1, came_true, width }, "{case}");
        }
        assert_eq!(Waits::of(&[History::new(0)]), Waits { told: 0, came_true: 0, width: 0.0 });
    }
}
