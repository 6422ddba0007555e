//! One reader of a group: its consumer, what it holds ready, and its commits.
mod assignments;
mod commits;

use super::Inner;
use super::positions::{Front, Place, Positions};
use super::producer::{Completion, Outgoing};
use super::record::{self, DeadRecord};
use assignments::Assignments;
use async_trait::async_trait;
use commits::commit;
use futures_util::{FutureExt, StreamExt};
use ledger::{Delivery, Group, StoreError, Subscription, metrics};
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use std::collections::VecDeque;
use std::sync::Arc;

const READING: &str = "reading the booking log";
pub(super) struct Reader {
    log: Arc<Inner>,
    group: Group,
    /// `None` only once it is being dropped.
    consumer: Option<Arc<StreamConsumer<Assignments>>>,
    /// Read, and not yet given out.
    ready: VecDeque<Read>,
    /// Unreadable records on their way to the dead-letter topic.
    burying: Option<Completion>,
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

impl Reader {
    pub(super) fn new(log: Arc<Inner>, group: Group) -> Result<Self, StoreError> {
        let failed = |error: KafkaError| StoreError::unavailable("joining a group", error);
        let names = log.client.names.clone();
        let topics: Vec<&str> = group.topics().iter().map(|topic| names.topic(*topic)).collect();
        let context = Assignments::new(names.clone());
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
        let bytes_max = self.log.client.bounds.message_bytes_max as usize;
        let found = match record::read(partition.topic, &record, bytes_max) {
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

    fn begin_burying(&self) -> Result<Option<Completion>, StoreError> {
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
        commit(self.consumer(), &front.offsets, timeout).await?;
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
        if tokio::runtime::Handle::try_current().is_ok() {
            drop(self.log.leaving.spawn_blocking(move || drop(consumer)));
        }
    }
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
