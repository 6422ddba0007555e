//! How long somebody will wait to be called: a range that follows from what can happen.
//!
//! Two things hold people up: the rate, and rooms that are taken. When rooms become free is known
//! at the latest, since every slot has an end, and by experience: how soon slots ended that ended
//! before their time.
use crate::outlook::Pace;
use crate::store::{QueueSnapshot, end_shown};
use ledger::{QueueState, Timestamp};
use serde::Serialize;

/// A range of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Eta {
    pub min: u64,
    pub max: u64,
}

/// Halvings by which a moment is found in milliseconds.
const SEARCH_STEPS: u32 = 20;

/// The wait of somebody with so many ahead; `None` where nobody knows when people are called.
pub(crate) fn eta(
    snapshot: &QueueSnapshot,
    opens_at: Timestamp,
    now: Timestamp,
    ahead: u64,
) -> Option<Eta> {
    let opens_later = opens_at > now;
    match snapshot.settings.state {
        QueueState::Open => {}
        QueueState::PreQueue if opens_later => {}
        // Somebody will open it, and only they know when.
        QueueState::PreQueue | QueueState::Paused | QueueState::Closed => return None,
    }
    let soonest = Pace::of(snapshot, opens_at, now)?.soonest_millis(ahead);
    let rooms = Rooms::of(snapshot, now);
    // Those ahead take the rooms that are free, and whoever was called has one already.
    let lacking = (ahead + 1 + rooms.called).saturating_sub(rooms.free);
    let (least, most) = rooms.freed_within(lacking);
    let opening = match snapshot.settings.state {
        QueueState::PreQueue => seconds(opens_at.millis_since(now).max(0).unsigned_abs()),
        QueueState::Open | QueueState::Paused | QueueState::Closed => 0.0,
    };
    // The rate is hardly ever reached to the token.
    let by_rate = seconds(soonest) - opening;
    let least = opening + least.max(by_rate);
    let most = (opening + most.max(by_rate * 1.2 + 1.0)).max(least);
    Some(Eta { min: whole(least.floor()), max: whole(most.ceil()) })
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn whole(seconds: f64) -> u64 {
    seconds.max(0.0) as u64
}

/// What is known of the rooms of a queue: when those that are taken become free.
struct Rooms {
    free: u64,
    /// Of those called and unanswered, who will come.
    called: u64,
    /// How many of them are taken, as far as their ends are known.
    active: u64,
    /// Seconds until each end that a snapshot shows.
    ends: Vec<f64>,
    session: f64,
    claim_window: f64,
    /// Which share of the slots in use ends early in a second.
    early_share: f64,
}

impl Rooms {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn of(snapshot: &QueueSnapshot, now: Timestamp) -> Self {
        let settings = &snapshot.settings;
        let left = |end: &Timestamp| seconds(end.millis_since(now).max(0).unsigned_abs());
        Self {
            free: u64::from(settings.capacity).saturating_sub(snapshot.active),
            called: (snapshot.called * snapshot.showing_permille).div_ceil(1_000),
            active: snapshot.active,
            ends: snapshot.ends.iter().map(left).collect(),
            session: f64::from(settings.session_seconds.max(1)),
            claim_window: f64::from(settings.claim_window_seconds),
            early_share: snapshot.early_ends as f64 / seconds(snapshot.slot_millis.max(1)).max(1.0),
        }
    }

    /// Between how many seconds so many rooms become free, at the least and at the most.
    fn freed_within(&self, rooms: u64) -> (f64, f64) {
        if rooms == 0 {
            return (0.0, 0.0);
        }
        let latest = self.latest(rooms);
        let expected = self.expected(rooms).min(latest);
        // The more rooms it takes, the better the average holds.
        let spread = (0.3 + 0.6 / as_float(rooms).sqrt()).min(0.9);
        let most = if self.early_share > 0.0 { expected * (1.0 + spread) } else { latest };
        (expected * (1.0 - spread), most.min(latest))
    }

    /// When the last of so many rooms is free if nobody ever leaves early: whoever follows stays
    /// as long, and comes at the end of the claim window.
    fn latest(&self, rooms: u64) -> f64 {
        let taken = self.taken();
        let round = (rooms - 1) / taken;
        let nth = (rooms - 1) % taken + 1;
        let first =
            if nth <= self.active { self.end(nth) } else { self.claim_window + self.session };
        first + as_float(round) * (self.session + self.claim_window)
    }

    /// When so many rooms are free on average: the moment up to which so many slots end.
    fn expected(&self, rooms: u64) -> f64 {
        let (mut low, mut high) = (0.0, self.latest(rooms));
        for _ in 0..SEARCH_STEPS {
            let middle = f64::midpoint(low, high);
            if self.ended_by(middle) < as_float(rooms) { low = middle } else { high = middle }
        }
        high
    }

    /// How many slots have ended by then, with others in their place.
    fn ended_by(&self, seconds: f64) -> f64 {
        let taken = as_float(self.taken());
        let first = seconds.min(self.session);
        let stay = (-self.early_share * first).exp();
        let early = taken * self.early_share * first;
        let on_time = self.ends_by(first) * stay;
        let later = (seconds - first) / self.mean_session() * taken;
        early + on_time + later
    }

    fn mean_session(&self) -> f64 {
        if self.early_share * self.session < 0.001 {
            return self.session;
        }
        (1.0 - (-self.early_share * self.session).exp()) / self.early_share
    }

    fn taken(&self) -> u64 {
        (self.active + self.called).max(1)
    }

    /// When the `nth` slot in use ends at the latest, from 1: a straight line between those shown.
    fn end(&self, nth: u64) -> f64 {
        let rank = nth - 1;
        let shown = |at: usize| end_shown(at, self.active);
        let after = (0..self.ends.len()).find(|at| shown(*at) >= rank);
        let Some(after) = after else { return self.session };
        let (to, end) = (shown(after), self.ends[after]);
        if after == 0 || to == rank {
            return end;
        }
        let (from, before) = (shown(after - 1), self.ends[after - 1]);
        before + (end - before) * as_float(rank - from) / as_float(to - from)
    }

    /// How many slots in use end by then by themselves.
    fn ends_by(&self, seconds: f64) -> f64 {
        if self.active == 0 {
            return 0.0;
        }
        let mut by = 0.0;
        for (at, end) in self.ends.iter().enumerate() {
            let nth = as_float(end_shown(at, self.active) + 1);
            if *end <= seconds {
                by = nth;
                continue;
            }
            let before = if at == 0 { seconds } else { self.ends[at - 1] };
            // Of a few slots each is known, and half a slot never ends.
            if at > 0 && nth - by > 1.0 {
                by += (nth - by) * (seconds - before) / (end - before);
            }
            break;
        }
        by
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
