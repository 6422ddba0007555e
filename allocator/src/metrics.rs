//! The allocator's metrics: their names, what they mean, and where each is set.
use crate::grid::{Counts, SeatState};
use crate::store::Applied;
use crate::{BookAnswer, Error, LockAnswer, ReleaseAnswer};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

pub const LOCKS_TOTAL: &str = "tidegate_allocator_locks_total";
pub const RELEASES_TOTAL: &str = "tidegate_allocator_releases_total";
pub const BOOKS_TOTAL: &str = "tidegate_allocator_books_total";
pub const HOLDS: &str = "tidegate_allocator_holds";
pub const SEATS: &str = "tidegate_allocator_seats";
pub const SWEEPS_TOTAL: &str = "tidegate_allocator_sweeps_total";
pub const HOLDS_EXPIRED_TOTAL: &str = "tidegate_allocator_holds_expired_total";
pub const EXPIRY_LATENESS_SECONDS: &str = "tidegate_allocator_expiry_lateness_seconds";
pub const RESENDS_TOTAL: &str = "tidegate_allocator_resends_total";
pub const OUTCOMES_TOTAL: &str = "tidegate_allocator_outcomes_total";
pub const RECOVERIES_TOTAL: &str = "tidegate_allocator_recoveries_total";

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_counter!(LOCKS_TOTAL, Unit::Count, "Locks, by answer");
    describe_counter!(RELEASES_TOTAL, Unit::Count, "Releases, by answer");
    describe_counter!(BOOKS_TOTAL, Unit::Count, "Books, by answer");
    describe_gauge!(HOLDS, Unit::Count, "Holds that are held or being paid");
    describe_gauge!(SEATS, Unit::Count, "Seats of the events in use, by state");
    describe_counter!(SWEEPS_TOTAL, Unit::Count, "Sweeps over all events in use");
    describe_counter!(HOLDS_EXPIRED_TOTAL, Unit::Count, "Holds that expired");
    describe_histogram!(
        EXPIRY_LATENESS_SECONDS,
        Unit::Seconds,
        "From the moment a hold expires until its seats are free"
    );
    describe_counter!(RESENDS_TOTAL, Unit::Count, "Overdue booking commands appended again");
    describe_counter!(OUTCOMES_TOTAL, Unit::Count, "Outcomes brought to the seats, by effect");
    describe_counter!(RECOVERIES_TOTAL, Unit::Count, "Recoveries of a lost copy, by result");
}

pub(crate) fn locked(answer: &LockAnswer) {
    let answer = match answer {
        LockAnswer::Held(_) => "held",
        LockAnswer::Taken => "taken",
        LockAnswer::SoldOut => "sold_out",
        LockAnswer::Apart(_) => "apart",
        LockAnswer::TooMany { .. } => "too_many",
        LockAnswer::OverCap => "over_cap",
        LockAnswer::Mismatch => "mismatch",
        LockAnswer::Expired => "expired",
    };
    counter!(LOCKS_TOTAL, "answer" => answer).increment(1);
}

pub(crate) fn released(answer: ReleaseAnswer) {
    let answer = match answer {
        ReleaseAnswer::Released => "released",
        ReleaseAnswer::NotFound => "not_found",
        ReleaseAnswer::NotHolder => "not_holder",
        ReleaseAnswer::Paying => "paying",
    };
    counter!(RELEASES_TOTAL, "answer" => answer).increment(1);
}

pub(crate) fn booked(answer: &Result<BookAnswer, Error>) {
    let answer = match answer {
        Ok(BookAnswer::Accepted(_)) => "accepted",
        Ok(BookAnswer::Expired) => "expired",
        Ok(BookAnswer::NotHolder) => "not_holder",
        Ok(BookAnswer::NotFound) => "not_found",
        Ok(BookAnswer::Mismatch) => "mismatch",
        Err(Error::OutcomeUnknown { .. }) => "unknown",
        Err(Error::Store(_) | Error::Recovering | Error::Overflow) => "error",
    };
    counter!(BOOKS_TOTAL, "answer" => answer).increment(1);
}

pub fn expired(lateness_ms: &[i64]) {
    if lateness_ms.is_empty() {
        return;
    }
    counter!(HOLDS_EXPIRED_TOTAL).increment(lateness_ms.len() as u64);
    for late in lateness_ms {
        histogram!(EXPIRY_LATENESS_SECONDS).record(*late as f64 / 1_000.0);
    }
}

pub(crate) fn swept(counts: Counts, holds: u64) {
    counter!(SWEEPS_TOTAL).increment(1);
    gauge!(HOLDS).set(holds as f64);
    for state in SeatState::ALL {
        gauge!(SEATS, "state" => state.as_str()).set(counts.of(state) as f64);
    }
}

pub(crate) fn resent(commands: usize) {
    counter!(RESENDS_TOTAL).increment(commands as u64);
}

pub(crate) fn applied(applied: Applied) {
    let effect = match applied {
        Applied::Done => "done",
        Applied::Already => "already",
        Applied::Unexpected => "unexpected",
    };
    counter!(OUTCOMES_TOTAL, "effect" => effect).increment(1);
}

pub(crate) fn recovered(done: bool) {
    counter!(RECOVERIES_TOTAL, "result" => if done { "done" } else { "failed" }).increment(1);
}
