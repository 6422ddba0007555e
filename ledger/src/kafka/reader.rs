//! One reader of a group: its consumer, what it holds ready, and its commits.
use super::positions::{Front, Offsets, Owned, Partition, Place, Positions};
use super::producer::{Ending, Outgoing};
use super::record::{self, DeadRecord};
use super::topics::Names;
use super::{Inner, context};
use crate::error::StoreError;
use crate::log::{Delivery, Group, Subscription};
use crate::metrics;
use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const READING: &str = "reading the booking log";
const COMMITTING: &str = "committing a group's offsets";

/// The wait before a commit is tried again that met a rebalance.
const RECOMMIT_AFTER: Duration = Duration::from_millis(50);

pub(super) struct Reader {
    log: Arc<Inner>,
    group: Group,
    /// `None` only once it is being dropped.
    consumer: Option<Arc<StreamConsumer<Assignments>>>,
    /// Read, and not yet given out.
    ready: VecDeque<Read>,
    /// Unreadable records on their way to the dead-letter topic.
    burying: Option<Ending>,
    positions: Positions,
}

struct Read {
    place: Place,
    found: Found,
}

enum Found {
    Message(Box<Delivery>),
    Unreadable(Box<DeadRecord>),
    /// The dead-letter topic has acknowledged it.
    Buried,
}

/// The consumer's callbacks. They run inside `next`, and only keep the books of what is owned.
struct Assignments {
    names: Names,
    owned: Mutex<Owned>,
}

impl Reader {
    pub(super) fn new(log: Arc<Inner>, group: Group) -> Result<Self, StoreError> {
        let failed = |error: KafkaError| StoreError::unavailable("joining a group", error);
        let names = log.client.names.clone();
        let topics: Vec<&str> = group.topics().iter().map(|topic| names.topic(*topic)).collect();
        let context = Assignments { names: names.clone(), owned: Mutex::default() };
        let config = log.client.consumer_config(group);
        let consumer: StreamConsumer<Assignments> =
            config.create_with_context(context).map_err(failed)?;
        consumer.subscribe(&topics).map_err(failed)?;
        Ok(Self {
            log,
            group,
            consumer: Some(Arc::new(consumer)),
            ready: VecDeque::new(),
            burying: None,
            positions: Positions::default(),
        })
    }

    fn consumer(&self) -> Arc<StreamConsumer<Assignments>> {
        self.consumer.clone().expect("only a drop takes the consumer")
    }

    /// Waits for one record at least, and takes what else has already come, up to `max`.
    async fn fetch(&mut self, max: usize) -> Result<(), StoreError> {
        let consumer = self.consumer();
        let mut stream = consumer.stream();
        while self.ready.is_empty() {
            let Some(read) = stream.next().await else { return Ok(()) };
            self.take(&consumer, read)?;
        }
        while self.ready.len() < max {
            let Some(Some(read)) = stream.next().now_or_never() else { return Ok(()) };
            self.take(&consumer, read)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        consumer: &StreamConsumer<Assignments>,
        read: KafkaResult<BorrowedMessage<'_>>,
    ) -> Result<(), StoreError> {
        let record = match read {
            Ok(record) => record,
            Err(error) if passes_by_itself(&error) => return Ok(()),
            Err(error) => return Err(StoreError::unavailable(READING, error)),
        };
        let context = consumer.context();
        let Some(partition) = context.partition(record.topic(), record.partition()) else {
            return Ok(());
        };
        let Some(place) = context.owned().place(partition, record.offset()) else {
            return Ok(());
        };
        let found = match record::read(partition.topic, &record) {
            Ok(delivery) => Found::Message(Box::new(delivery)),
            Err(dead) => Found::Unreadable(dead),
        };
        self.ready.push_back(Read { place, found });
        Ok(())
    }

    /// Brings what cannot be read to the dead-letter topic. What is ready stays so until that has
    /// acknowledged, and a call dropped here is taken up by the next.
    async fn bury(&mut self) -> Result<(), StoreError> {
        if self.burying.is_none() {
            self.burying = self.begin_burying()?;
        }
        let Some(burying) = &mut self.burying else { return Ok(()) };
        let buried = burying.await;
        self.burying = None;
        buried?;
        for read in &mut self.ready {
            if let Found::Unreadable(record) = &read.found {
                metrics::dead(record.topic);
                read.found = Found::Buried;
            }
        }
        Ok(())
    }

    fn begin_burying(&self) -> Result<Option<Ending>, StoreError> {
        let mut dead = Vec::new();
        for read in &self.ready {
            if let Found::Unreadable(record) = &read.found {
                tracing::error!(
                    topic = record.topic.name(),
                    partition = read.place.partition.number,
                    offset = read.place.offset,
                    reason = record.reason,
                    "a message cannot be read and is set aside"
                );
                dead.push(Outgoing::dead(record));
            }
        }
        if dead.is_empty() {
            return Ok(None);
        }
        self.log.appender.begin("setting unreadable messages aside", dead).map(Some)
    }

    fn give(&mut self, max: usize) -> Vec<Delivery> {
        let consumer = self.consumer();
        let owned = consumer.context().owned();
        let mut given = Vec::with_capacity(max.min(self.ready.len()));
        for Read { place, found } in self.ready.drain(..max.min(self.ready.len())) {
            // Taken away while it lay here: somebody else is given it.
            if !owned.holds(&place) {
                continue;
            }
            match found {
                Found::Message(delivery) => {
                    self.positions.give(place);
                    given.push(*delivery);
                }
                Found::Unreadable(_) | Found::Buried => self.positions.bury(place),
            }
        }
        given
    }

    async fn commit_front(&mut self, front: Front) -> Result<(), StoreError> {
        let timeout = self.log.client.bounds.request_timeout;
        let commit = commit(self.consumer(), &front.offsets);
        let committed = tokio::time::timeout(timeout, commit).await;
        committed.unwrap_or_else(|late| Err(StoreError::unknown(COMMITTING, late)))?;
        self.positions.settle(&front);
        Ok(())
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        // Nothing is added to what is on its way to the dead letters.
        if self.burying.is_none() {
            self.fetch(max).await?;
        }
        self.bury().await?;
        // Nothing is awaited from here on: what is given out has been returned.
        let given = self.give(max);
        metrics::delivered(self.group, given.len() as u64);
        Ok(given)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let front = self.positions.all(&self.consumer().context().owned());
        self.commit_front(front).await
    }

    async fn commit_first(&mut self, messages: usize) -> Result<(), StoreError> {
        let front = self.positions.first(messages, &self.consumer().context().owned());
        self.commit_front(front).await
    }
}

impl Drop for Reader {
    /// Leaving a group talks to the brokers, which no async thread may wait for.
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(consumer)));
        }
    }
}

/// Returns once the brokers have the offsets, or once they are somebody else's to commit.
async fn commit(
    consumer: Arc<StreamConsumer<Assignments>>,
    offsets: &Offsets,
) -> Result<(), StoreError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let list = list(&consumer.context().names, offsets)?;
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

/// True for what librdkafka goes on from by itself.
fn passes_by_itself(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::PollExceeded
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotCoordinator
        )
    )
}

impl Assignments {
    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().expect("no panic while the lock is held")
    }

    fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        Some(Partition { topic: self.names.find(topic)?, number })
    }

    fn each(&self, list: &TopicPartitionList, mut change: impl FnMut(&mut Owned, Partition)) {
        let mut owned = self.owned();
        for element in list.elements() {
            if let Some(partition) = self.partition(element.topic(), element.partition()) {
                change(&mut owned, partition);
            }
        }
    }
}

impl ClientContext for Assignments {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::note(&error, reason);
    }
}

impl ConsumerContext for Assignments {
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.each(list, Owned::gain),
            Rebalance::Revoke(list) => self.each(list, Owned::lose),
            Rebalance::Error(error) => {
                self.owned().lose_all();
                context::note(error, "a rebalance failed");
            }
        }
    }
}
