//! The waiting room's metrics: their names, what they mean, and where each is set.
use crate::store::NotYet;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

pub const JOINS_TOTAL: &str = "tidegate_waiting_room_joins_total";
pub const JOINS_REFUSED_TOTAL: &str = "tidegate_waiting_room_joins_refused_total";
pub const CLAIMS_TOTAL: &str = "tidegate_waiting_room_claims_total";
pub const WALK_INS_TOTAL: &str = "tidegate_waiting_room_walk_ins_total";
pub const PASSES_ISSUED_TOTAL: &str = "tidegate_waiting_room_passes_issued_total";
pub const SLOTS_ENDED_TOTAL: &str = "tidegate_waiting_room_slots_ended_total";
pub const PACER_STEPS_TOTAL: &str = "tidegate_waiting_room_pacer_steps_total";
pub const RECOVERIES_TOTAL: &str = "tidegate_waiting_room_recoveries_total";
pub const LEASES_TOTAL: &str = "tidegate_waiting_room_leases_total";
pub const LEASES_EXHAUSTED_TOTAL: &str = "tidegate_waiting_room_leases_exhausted_total";
pub const QUEUES: &str = "tidegate_waiting_room_queues";
pub const SLOTS_ACTIVE: &str = "tidegate_waiting_room_slots_active";
pub const SLOTS_CAPACITY: &str = "tidegate_waiting_room_slots_capacity";
pub const LINE_LENGTH: &str = "tidegate_waiting_room_line_length";
pub const LINE_NOW_SERVING: &str = "tidegate_waiting_room_line_now_serving";
pub const LINE_HEAD_AGE_SECONDS: &str = "tidegate_waiting_room_line_head_age_seconds";

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_counter!(JOINS_TOTAL, Unit::Count, "Numbers given to joins");
    describe_counter!(JOINS_REFUSED_TOTAL, Unit::Count, "Joins refused, by reason");
    describe_counter!(CLAIMS_TOTAL, Unit::Count, "Claims, by answer");
    describe_counter!(
        WALK_INS_TOTAL,
        Unit::Count,
        "Admissions asked for without a place, by answer"
    );
    describe_counter!(PASSES_ISSUED_TOTAL, Unit::Count, "Passes signed, repeats included");
    describe_counter!(SLOTS_ENDED_TOTAL, Unit::Count, "Slots ended before their time");
    describe_counter!(PACER_STEPS_TOTAL, Unit::Count, "Steps of now_serving published");
    describe_counter!(RECOVERIES_TOTAL, Unit::Count, "Copies rebuilt from the books");
    describe_counter!(LEASES_TOTAL, Unit::Count, "Leases of numbers taken");
    describe_counter!(LEASES_EXHAUSTED_TOTAL, Unit::Count, "Reservations that waited for a lease");
    describe_gauge!(QUEUES, Unit::Count, "Queues this node serves");
    describe_gauge!(SLOTS_ACTIVE, Unit::Count, "Slots in use, all queues");
    describe_gauge!(SLOTS_CAPACITY, Unit::Count, "Slots there are, all queues that are open");
    describe_gauge!(LINE_LENGTH, Unit::Count, "People not called yet, all queues");
    describe_gauge!(LINE_NOW_SERVING, Unit::Count, "The last number called, summed over queues");
    describe_gauge!(
        LINE_HEAD_AGE_SECONDS,
        Unit::Seconds,
        "The longest that a line with people waiting has not moved while it could"
    );
}

/// Why a join was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JoinRefusal {
    Closed,
    Overloaded,
    Unavailable,
}

pub(crate) fn join_refused(reason: JoinRefusal) {
    let reason = match reason {
        JoinRefusal::Closed => "closed",
        JoinRefusal::Overloaded => "overloaded",
        JoinRefusal::Unavailable => "unavailable",
    };
    counter!(JOINS_REFUSED_TOTAL, "reason" => reason).increment(1);
}

/// How a claim or a walk-in was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answered {
    Admitted,
    NotYet(NotYet),
    TokenUsed,
    Over,
    Closed,
}

impl Answered {
    fn label(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::NotYet(NotYet::Waiting) => "not_yet_waiting",
            Self::NotYet(NotYet::Paused) => "not_yet_paused",
            Self::NotYet(NotYet::Full) => "not_yet_full",
            Self::NotYet(NotYet::Rate) => "not_yet_rate",
            Self::TokenUsed => "token_used",
            Self::Over => "over",
            Self::Closed => "closed",
        }
    }
}

pub(crate) fn claimed(answer: Answered) {
    counter!(CLAIMS_TOTAL, "answer" => answer.label()).increment(1);
}

pub(crate) fn walked_in(answer: Answered) {
    counter!(WALK_INS_TOTAL, "answer" => answer.label()).increment(1);
}

/// All queues of a node together: no metric names a queue.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) queues: u64,
    pub(crate) active: u64,
    pub(crate) capacity: u64,
    pub(crate) waiting: u64,
    pub(crate) now_serving: u64,
    pub(crate) head_age_millis: i64,
}

impl Totals {
    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    pub(crate) fn show(&self) {
        gauge!(QUEUES).set(self.queues as f64);
        gauge!(SLOTS_ACTIVE).set(self.active as f64);
        gauge!(SLOTS_CAPACITY).set(self.capacity as f64);
        gauge!(LINE_LENGTH).set(self.waiting as f64);
        gauge!(LINE_NOW_SERVING).set(self.now_serving as f64);
        gauge!(LINE_HEAD_AGE_SECONDS).set(self.head_age_millis as f64 / 1_000.0);
    }
}
