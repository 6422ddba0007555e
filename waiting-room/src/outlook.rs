//! When a call can reach somebody at the soonest, and so when they should look again.
//!
//! Whoever looks too late loses the room that is kept for them, and whoever looks too often costs
//! what a crowd cannot pay. So each looks when a call can have come, not at a constant interval.
use crate::store::QueueSnapshot;
use ledger::{QueueState, Timestamp};

/// Nobody is told to look again sooner.
const LOOK_MILLIS_MIN: u64 = 1_000;
const MINUTE_MILLIS: u64 = 60_000;
/// In thousandths.
const ALL: u64 = 1_000;

/// Poll intervals by distance from the head: the most that may be ahead (`None` for everyone
/// farther away), and milliseconds.
pub(crate) type PollTable = [(Option<u64>, u64)];

/// How fast `now_serving` can move at most, if there is room for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    numbers_per_minute: u64,
    /// Numbers that can be called at one moment.
    burst: u64,
    /// Nobody is called sooner.
    opening_millis: u64,
}

impl Pace {
    /// The rate, and beyond it what no-shows and places given up leave. `None` while nobody can be
    /// called whatever happens but a change of the settings.
    pub(crate) fn of(
        snapshot: &QueueSnapshot,
        opens_at: Timestamp,
        now: Timestamp,
    ) -> Option<Self> {
        let settings = &snapshot.settings;
        let rate = u64::from(settings.rate_per_minute);
        if rate == 0 || settings.capacity == 0 {
            return None;
        }
        let waiting = snapshot.joined.saturating_sub(snapshot.now_serving).max(1);
        let here = waiting.saturating_sub(snapshot.left_waiting).max(1);
        let showing = snapshot.showing_permille.clamp(1, ALL);
        // Before a draw or an opening nobody knows who left: none is counted twice.
        let numbers = |tokens: u64| tokens.saturating_mul(ALL * waiting).div_ceil(showing * here);
        let opening = match settings.state {
            QueueState::PreQueue => opens_at.millis_since(now),
            QueueState::Open | QueueState::Paused | QueueState::Closed => 0,
        };
        Some(Self {
            numbers_per_minute: numbers(rate),
            burst: numbers(rate.max(60)).div_ceil(60),
            opening_millis: u64::try_from(opening).unwrap_or(0),
        })
    }

    /// The soonest that somebody with so many ahead can be called.
    pub(crate) fn soonest_millis(&self, ahead: u64) -> u64 {
        let later = ahead.saturating_add(1).saturating_sub(self.burst);
        let by_rate = later.saturating_mul(MINUTE_MILLIS) / self.numbers_per_minute;
        self.opening_millis.saturating_add(by_rate)
    }

    /// How many are ahead of the first who cannot be called sooner than after `millis`.
    fn first_after(&self, millis: u64) -> u64 {
        let left = millis.saturating_sub(self.opening_millis);
        if left == 0 {
            return 0;
        }
        let later = left.saturating_mul(self.numbers_per_minute).div_ceil(MINUTE_MILLIS);
        later.saturating_add(self.burst).saturating_sub(1)
    }
}

/// When to look again: as the table says, but no later than a call can come. Once one can come any
/// moment, often enough to hear of it within half of the claim window.
pub(crate) fn look_after_millis(row_millis: u64, soonest_millis: u64, window_millis: u64) -> u64 {
    // Whole seconds, as waits are told.
    let soonest = soonest_millis / 1_000 * 1_000;
    row_millis.min(soonest.max(shortest_millis(window_millis)))
}

fn shortest_millis(window_millis: u64) -> u64 {
    LOOK_MILLIS_MIN.min(window_millis / 2).max(1)
}

/// The row of somebody with so many ahead.
pub(crate) fn row_millis(table: &PollTable, ahead: u64) -> u64 {
    let row = table.iter().find(|row| row.0.is_none_or(|most| ahead <= most)).or(table.last());
    row.map_or(LOOK_MILLIS_MIN, |row| row.1)
}

/// The table that everybody reads: [`look_after_millis`] as steps, each twice as long as the one
/// before, so that a client that knows only how many are ahead looks in time.
pub(crate) fn poll_table(
    table: &PollTable,
    pace: Option<&Pace>,
    window_millis: u64,
) -> Vec<(Option<u64>, u64)> {
    let Some(pace) = pace else { return table.to_vec() };
    let mut rows = Vec::with_capacity(table.len() + 8);
    let mut from = 0;
    for (most, millis) in table {
        let mut step = shortest_millis(window_millis);
        while step < *millis {
            // From here on they have until twice the step.
            let next = pace.first_after(step * 2);
            if most.is_some_and(|most| most < next) {
                break;
            }
            if next > from {
                add_row(&mut rows, Some(next - 1), step);
                from = next;
            }
            step *= 2;
        }
        add_row(&mut rows, *most, step.min(*millis));
        from = most.map_or(u64::MAX, |most| most.saturating_add(1)).max(from);
    }
    rows
}

fn add_row(rows: &mut Vec<(Option<u64>, u64)>, most: Option<u64>, millis: u64) {
    match rows.last_mut() {
        Some(last) if last.1 == millis => last.0 = most,
        Some(_) | None => rows.push((most, millis)),
    }
}

#[cfg(test)]
mod tests;
