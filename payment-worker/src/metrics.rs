//! What the payment worker counts.
use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use ::metrics::{gauge, histogram};
use std::time::Duration;

const CHARGES: &str = "tidegate_payment_worker_charges_total";
const CHARGE_SECONDS: &str = "tidegate_payment_worker_charge_seconds";
const CHARGES_INFLIGHT: &str = "tidegate_payment_worker_charges_inflight";
const COMMANDS: &str = "tidegate_payment_worker_commands_total";
const COMMAND_WAIT_SECONDS: &str = "tidegate_payment_worker_command_wait_seconds";
const ENDED: &str = "tidegate_payment_worker_bookings_ended_total";
const SETTLE_BATCH_SIZE: &str = "tidegate_payment_worker_settle_batch_size";
const WINDOW_BATCHES: &str = "tidegate_payment_worker_window_batches";
const ANSWERS_REFUSED: &str = "tidegate_payment_worker_answers_refused_total";
const RECONCILED: &str = "tidegate_payment_worker_reconciled_total";
const UNKNOWN_AGE_SECONDS: &str = "tidegate_payment_worker_unknown_age_seconds";
const OUTBOX_LENGTH: &str = "tidegate_payment_worker_outbox_length";
const REFUNDS: &str = "tidegate_payment_worker_refunds_total";
const GATEWAY_FAULTS: &str = "tidegate_payment_worker_gateway_faults_total";

/// Describes every metric of this crate; called once, after the recorder is installed.
pub fn describe() {
    describe_counter!(CHARGES, "Answers to charges, by result");
    describe_histogram!(CHARGE_SECONDS, Unit::Seconds, "How long the gateway took for a charge");
    describe_gauge!(CHARGES_INFLIGHT, "Charges at the gateway or waiting to be settled");
    describe_counter!(COMMANDS, "Booking commands taken from the log, by kind");
    describe_histogram!(
        COMMAND_WAIT_SECONDS,
        Unit::Seconds,
        "Age of a batch's oldest command when it is taken"
    );
    describe_counter!(ENDED, "Outcomes published by the worker and the reconciler, by status");
    describe_histogram!(SETTLE_BATCH_SIZE, "Answers settled in one transaction");
    describe_gauge!(WINDOW_BATCHES, "Batches read whose offsets are not committed");
    describe_counter!(ANSWERS_REFUSED, "Answers of the gateway that the books refuse for ever");
    describe_counter!(RECONCILED, "Work the reconciler took up, by kind");
    describe_gauge!(
        UNKNOWN_AGE_SECONDS,
        Unit::Seconds,
        "Age of the oldest attempt without a final answer that was due in the last pass"
    );
    describe_gauge!(OUTBOX_LENGTH, "Unpublished outcomes seen in the last pass, up to its limit");
    describe_counter!(REFUNDS, "Answers to refunds, by result");
    describe_counter!(GATEWAY_FAULTS, "Faults the simulated gateway made, by kind");
}

/// How a charge or refund was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Captured,
    Declined,
    Unknown,
    Done,
    Refused,
}

impl Answered {
    fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// A fault that the simulated gateway made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Duplicate,
    ReplyLost,
}

/// What the reconciler took up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Resolve,
    Refund,
    Publish,
}

pub(crate) fn charge(result: Answered, took: Duration) {
    counter!(CHARGES, "result" => result.as_str()).increment(1);
    histogram!(CHARGE_SECONDS).record(took);
}

pub(crate) fn refund(result: Answered) {
    counter!(REFUNDS, "result" => result.as_str()).increment(1);
}

pub(crate) fn charges_inflight(count: usize) {
    gauge!(CHARGES_INFLIGHT).set(count as f64);
}

pub(crate) fn commands(places: usize, cancels: usize, oldest_wait_ms: i64) {
    counter!(COMMANDS, "kind" => "place").increment(places as u64);
    counter!(COMMANDS, "kind" => "cancel").increment(cancels as u64);
    histogram!(COMMAND_WAIT_SECONDS).record(oldest_wait_ms.max(0) as f64 / 1_000.0);
}

pub(crate) fn ended(status: ledger::BookingStatus) {
    counter!(ENDED, "status" => status.as_str()).increment(1);
}

pub(crate) fn settled(size: usize) {
    histogram!(SETTLE_BATCH_SIZE).record(size as f64);
}

pub(crate) fn window(batches: usize) {
    gauge!(WINDOW_BATCHES).set(batches as f64);
}

pub(crate) fn refused(answers: usize) {
    counter!(ANSWERS_REFUSED).increment(answers as u64);
}

pub(crate) fn reconciled(work: Work, count: usize) {
    let kind = match work {
        Work::Resolve => "resolve",
        Work::Refund => "refund",
        Work::Publish => "publish",
    };
    counter!(RECONCILED, "kind" => kind).increment(count as u64);
}

pub(crate) fn unknown_age(oldest_ms: i64) {
    gauge!(UNKNOWN_AGE_SECONDS).set(oldest_ms.max(0) as f64 / 1_000.0);
}

pub(crate) fn outbox(length: usize) {
    gauge!(OUTBOX_LENGTH).set(length as f64);
}

pub fn gateway_fault(fault: Fault) {
    let kind = match fault {
        Fault::Duplicate => "duplicate",
        Fault::ReplyLost => "reply_lost",
    };
    counter!(GATEWAY_FAULTS, "kind" => kind).increment(1);
}
