//! The ledger's metrics: their names, what they mean, and where each is set.
use crate::booking::BookingStatus;
use crate::clock::Timestamp;
use crate::log::{Backlog, Group, Topic};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::time::Duration;

pub const WRITER_QUEUE: &str = "tidegate_ledger_writer_queue";
pub const WRITER_WORKS_TOTAL: &str = "tidegate_ledger_writer_works_total";
pub const WRITER_COMMITS_TOTAL: &str = "tidegate_ledger_writer_commits_total";
pub const WRITER_FAILURES_TOTAL: &str = "tidegate_ledger_writer_failures_total";
pub const WRITER_COMMIT_SECONDS: &str = "tidegate_ledger_writer_commit_seconds";
pub const POSTGRES_TRANSACTIONS_TOTAL: &str = "tidegate_ledger_postgres_transactions_total";
pub const POSTGRES_TRANSACTION_SECONDS: &str = "tidegate_ledger_postgres_transaction_seconds";
pub const POSTGRES_COLLISIONS_TOTAL: &str = "tidegate_ledger_postgres_collisions_total";
pub const POSTGRES_CONNECTIONS: &str = "tidegate_ledger_postgres_connections";
pub const POSTGRES_CONNECTIONS_IDLE: &str = "tidegate_ledger_postgres_connections_idle";
pub const LOG_APPENDED_TOTAL: &str = "tidegate_ledger_log_appended_total";
pub const LOG_DELIVERED_TOTAL: &str = "tidegate_ledger_log_delivered_total";
pub const LOG_DEAD_TOTAL: &str = "tidegate_ledger_log_dead_total";
pub const LOG_BACKLOG: &str = "tidegate_ledger_log_backlog";
pub const LOG_BACKLOG_AGE_SECONDS: &str = "tidegate_ledger_log_backlog_age_seconds";
pub const OUTCOMES_TOTAL: &str = "tidegate_ledger_outcomes_total";
pub const VIEWS_PROJECTED_TOTAL: &str = "tidegate_ledger_views_projected_total";
pub const CONSUMED_TOTAL: &str = "tidegate_ledger_consumer_messages_total";
pub const CONSUMER_RETRIES_TOTAL: &str = "tidegate_ledger_consumer_retries_total";
pub const CONSUMER_DEAD_TOTAL: &str = "tidegate_ledger_consumer_dead_letters_total";
pub const VIEWS_WATCHERS: &str = "tidegate_ledger_views_watchers";

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_gauge!(WRITER_QUEUE, Unit::Count, "Writes that wait for the SQLite writer");
    describe_counter!(WRITER_WORKS_TOTAL, Unit::Count, "Writes that the SQLite writer took");
    describe_counter!(WRITER_COMMITS_TOTAL, Unit::Count, "Transactions of the SQLite writer");
    describe_counter!(WRITER_FAILURES_TOTAL, Unit::Count, "Transactions that failed as a whole");
    describe_histogram!(
        WRITER_COMMIT_SECONDS,
        Unit::Seconds,
        "From the start of a group's transaction until it is durable"
    );
    describe_counter!(
        POSTGRES_TRANSACTIONS_TOTAL,
        Unit::Count,
        "Transactions, by what they came to"
    );
    describe_histogram!(
        POSTGRES_TRANSACTION_SECONDS,
        Unit::Seconds,
        "From the wish for a connection until the transaction is durable or has failed"
    );
    describe_counter!(POSTGRES_COLLISIONS_TOTAL, Unit::Count, "Tries that collided with others");
    describe_gauge!(POSTGRES_CONNECTIONS, Unit::Count, "Connections that are open");
    describe_gauge!(POSTGRES_CONNECTIONS_IDLE, Unit::Count, "Connections that nobody uses");
    describe_counter!(LOG_APPENDED_TOTAL, Unit::Count, "Messages the log acknowledged, by topic");
    describe_counter!(LOG_DELIVERED_TOTAL, Unit::Count, "Messages given to a group's reader");
    describe_counter!(LOG_DEAD_TOTAL, Unit::Count, "Messages nobody could read, by topic");
    describe_gauge!(LOG_BACKLOG, Unit::Count, "Messages that a group has still to read");
    describe_gauge!(
        LOG_BACKLOG_AGE_SECONDS,
        Unit::Seconds,
        "Age of the oldest message that a group has still to read"
    );
    describe_counter!(OUTCOMES_TOTAL, Unit::Count, "New outcomes in the books, by status");
    describe_counter!(VIEWS_PROJECTED_TOTAL, Unit::Count, "Messages that reached the views");
    describe_counter!(
        CONSUMED_TOTAL,
        Unit::Count,
        "Messages that had their effect and were committed, by group"
    );
    describe_counter!(
        CONSUMER_RETRIES_TOTAL,
        Unit::Count,
        "Calls of stores and of the log that failed and were made again, by group"
    );
    describe_counter!(
        CONSUMER_DEAD_TOTAL,
        Unit::Count,
        "Messages that could not be carried out and were set aside, by group"
    );
    describe_gauge!(VIEWS_WATCHERS, Unit::Count, "Requests that wait for a booking to change");
}

/// Keeps the backlog gauges of a group; called wherever [`BookingLog::backlog`] was asked.
///
/// [`BookingLog::backlog`]: crate::BookingLog::backlog
pub fn backlog(group: Group, backlog: Backlog, now: Timestamp) {
    let age = backlog.oldest_at.map_or(0, |oldest| now.millis_since(oldest).max(0));
    gauge!(LOG_BACKLOG, "group" => group.name()).set(backlog.messages as f64);
    gauge!(LOG_BACKLOG_AGE_SECONDS, "group" => group.name()).set(age as f64 / 1_000.0);
}

pub fn writer_took(works: usize, waiting: usize) {
    counter!(WRITER_WORKS_TOTAL).increment(works as u64);
    gauge!(WRITER_QUEUE).set(waiting as f64);
}

pub fn writer_finished(committed: bool, took: Duration) {
    let outcome = if committed { WRITER_COMMITS_TOTAL } else { WRITER_FAILURES_TOTAL };
    counter!(outcome).increment(1);
    histogram!(WRITER_COMMIT_SECONDS).record(took.as_secs_f64());
}

/// What became of a transaction in Postgres.
#[derive(Debug, Clone, Copy)]
pub enum Transaction {
    Committed,
    Undone,
    Unsure,
}

pub fn transaction(fate: Transaction, took: Duration) {
    let outcome = match fate {
        Transaction::Committed => "committed",
        Transaction::Undone => "undone",
        Transaction::Unsure => "unsure",
    };
    counter!(POSTGRES_TRANSACTIONS_TOTAL, "outcome" => outcome).increment(1);
    histogram!(POSTGRES_TRANSACTION_SECONDS).record(took.as_secs_f64());
}

pub fn transaction_collided() {
    counter!(POSTGRES_COLLISIONS_TOTAL).increment(1);
}

pub fn connections(open: u32, idle: usize) {
    gauge!(POSTGRES_CONNECTIONS).set(f64::from(open));
    gauge!(POSTGRES_CONNECTIONS_IDLE).set(idle as f64);
}

pub fn appended(topic: Topic, messages: u64) {
    counter!(LOG_APPENDED_TOTAL, "topic" => topic.name()).increment(messages);
}

pub fn delivered(group: Group, messages: u64) {
    counter!(LOG_DELIVERED_TOTAL, "group" => group.name()).increment(messages);
}

pub fn dead(topic: Topic) {
    counter!(LOG_DEAD_TOTAL, "topic" => topic.name()).increment(1);
}

pub fn outcome(status: BookingStatus) {
    counter!(OUTCOMES_TOTAL, "status" => status.as_str()).increment(1);
}

pub fn projected(messages: u64) {
    counter!(VIEWS_PROJECTED_TOTAL).increment(messages);
}

pub(crate) fn consumed(group: Group, messages: u64) {
    counter!(CONSUMED_TOTAL, "group" => group.name()).increment(messages);
}

pub(crate) fn consumer_retry(group: Group) {
    counter!(CONSUMER_RETRIES_TOTAL, "group" => group.name()).increment(1);
}

pub(crate) fn dead_lettered(group: Group, messages: u64) {
    counter!(CONSUMER_DEAD_TOTAL, "group" => group.name()).increment(messages);
}

pub fn watchers(count: usize) {
    gauge!(VIEWS_WATCHERS).set(count as f64);
}
