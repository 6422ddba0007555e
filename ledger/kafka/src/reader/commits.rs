//! Commits of a group's offsets, also while the group changes.
use super::assignments::Assignments;
use crate::positions::Offsets;
use crate::topics::Names;
use ledger::StoreError;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

const COMMITTING: &str = "committing a group's offsets";

/// The wait before a commit is tried again that met a rebalance.
const RECOMMIT_AFTER: Duration = Duration::from_millis(50);

/// Returns once the brokers have the offsets, or once they are somebody else's to commit.
pub(super) async fn commit(
    consumer: Arc<StreamConsumer<Assignments>>,
    offsets: &Offsets,
    timeout: Duration,
) -> Result<(), StoreError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let list = list(consumer.context().names(), offsets)?;
    let committed = tokio::time::timeout(timeout, retry_until_ok(consumer, list)).await;
    committed.unwrap_or_else(|late| Err(StoreError::unknown(COMMITTING, late)))
}

async fn retry_until_ok(
    consumer: Arc<StreamConsumer<Assignments>>,
    list: TopicPartitionList,
) -> Result<(), StoreError> {
    loop {
        let (consumer, list) = (consumer.clone(), list.clone());
        let commit = move || consumer.commit(&list, CommitMode::Sync);
        let done = tokio::task::spawn_blocking(commit).await;
        let error = match done.map_err(|error| StoreError::unknown(COMMITTING, error))? {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.rdkafka_error_code() {
            // Between two assignments of the group; what is kept can be committed right after.
            Some(RDKafkaErrorCode::RebalanceInProgress) => {}
            Some(code) if is_lost(code) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a late commit was dropped"
                );
                return Ok(());
            }
            Some(_) | None => return Err(StoreError::unknown(COMMITTING, error)),
        }
        tokio::time::sleep(RECOMMIT_AFTER).await;
    }
}

fn list(names: &Names, offsets: &Offsets) -> Result<TopicPartitionList, StoreError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let name = names.topic(partition.topic);
        list.add_partition_offset(name, partition.number, Offset::Offset(*offset))
            .map_err(|error| StoreError::broken(COMMITTING, error))?;
    }
    Ok(list)
}

/// True when the group went on without this reader: its messages come again to somebody.
fn is_lost(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::AssignmentLost
    )
}
