//! Measuring a backlog: what a group has committed against what its topics hold.
use super::positions::Partition;
use super::{Client, LogContext};
use ledger::{Backlog, Group, StoreError, Timestamp};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

const DOING: &str = "measuring a backlog";

/// How long the oldest messages are looked at before their partitions go without an age.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// One look waits no longer than this, so that the bound holds.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A consumer of the group that never joins it: it asks, and looks at the first unread messages.
pub(super) struct Meter {
    consumer: BaseConsumer<LogContext>,
    /// The oldest unread message of each partition when it was last looked at: offset and time.
    oldest: HashMap<Partition, (i64, Timestamp)>,
}

/// What a group has not committed of one partition.
struct Lag {
    partition: Partition,
    first: i64,
    messages: u64,
}

/// Blocks: for threads that may.
pub(super) fn measure(
    mut meter: OwnedMutexGuard<Option<Meter>>,
    client: &Client,
    group: Group,
) -> Result<Backlog, StoreError> {
    let failed = |error: KafkaError| StoreError::unavailable(DOING, error);
    let meter = match &mut *meter {
        Some(meter) => meter,
        none => none.insert(Meter::new(client, group).map_err(failed)?),
    };
    let lags = meter.lags(client, group).map_err(failed)?;
    meter.look(client, &lags).map_err(failed)?;
    let messages = lags.iter().fold(0u64, |sum, lag| sum.saturating_add(lag.messages));
    let oldest_at =
        lags.iter().filter_map(|lag| meter.oldest.get(&lag.partition)).map(|(_, at)| *at);
    Ok(Backlog { messages, oldest_at: oldest_at.min() })
}

impl Meter {
    fn new(client: &Client, group: Group) -> KafkaResult<Self> {
        let mut config = client.consumer_config(group);
        // One message a partition is enough; what is ready of one must not hold up another.
        config
            .set("queued.min.messages", "1")
            .set("queued.max.messages.kbytes", "65536")
            .set("fetch.message.max.bytes", "16384")
            .set("fetch.queue.backoff.ms", "10");
        let consumer = config.create_with_context(LogContext)?;
        Ok(Self { consumer, oldest: HashMap::new() })
    }

    /// The partitions in which something is unread.
    fn lags(&self, client: &Client, group: Group) -> KafkaResult<Vec<Lag>> {
        let timeout = client.bounds.request_timeout;
        let mut partitions = Vec::new();
        for topic in group.topics() {
            let seen = self.consumer.fetch_metadata(Some(client.names.topic(*topic)), timeout)?;
            let seen = seen.topics().iter().flat_map(|topic| topic.partitions());
            partitions.extend(seen.map(|p| Partition { topic: *topic, number: p.id() }));
        }
        let list = |offset| list(client, partitions.iter().map(|p| (*p, offset)));
        let committed = self.consumer.committed_offsets(list(Offset::Invalid)?, timeout)?;
        // Asked for the time "end" or "beginning", a broker says the offset there.
        let ends = self.consumer.offsets_for_times(list(Offset::End)?, timeout)?;
        let starts = self.consumer.offsets_for_times(list(Offset::Beginning)?, timeout)?;
        let lag = |partition: &Partition| {
            let name = client.names.topic(partition.topic);
            let at = |list: &TopicPartitionList| {
                list.find_partition(name, partition.number).and_then(|found| match found.offset() {
                    Offset::Offset(offset) => Some(offset),
                    Offset::Beginning
                    | Offset::End
                    | Offset::Stored
                    | Offset::Invalid
                    | Offset::OffsetTail(_) => None,
                })
            };
            let (start, end) = (at(&starts).unwrap_or(0), at(&ends).unwrap_or(0));
            // What is older than the log's retention is gone, read or not.
            let first = at(&committed).unwrap_or(start).max(start);
            let messages = u64::try_from(end.saturating_sub(first)).unwrap_or(0);
            Lag { partition: *partition, first, messages }
        };
        Ok(partitions.iter().map(lag).filter(|lag| lag.messages > 0).collect())
    }

    /// Learns when the first unread message of each partition was appended.
    fn look(&mut self, client: &Client, lags: &[Lag]) -> KafkaResult<()> {
        let known = |lag: &Lag| self.oldest.get(&lag.partition).is_some_and(|at| at.0 == lag.first);
        let mut unknown: HashMap<Partition, i64> =
            lags.iter().filter(|lag| !known(lag)).map(|lag| (lag.partition, lag.first)).collect();
        self.oldest.retain(|partition, _| lags.iter().any(|lag| lag.partition == *partition));
        if unknown.is_empty() {
            return Ok(());
        }
        let offsets = unknown.iter().map(|(partition, first)| (*partition, Offset::Offset(*first)));
        self.consumer.assign(&list(client, offsets)?)?;
        let until = Instant::now().checked_add(LOOK_MAX);
        let mut paused = Vec::new();
        while !unknown.is_empty() && until.is_some_and(|until| Instant::now() < until) {
            // An error passes or the time does; the age that is missing then is an older one.
            let Some(Ok(record)) = self.consumer.poll(LOOK_EVERY) else { continue };
            let topic = client.names.find(record.topic());
            let Some(topic) = topic else { continue };
            let partition = Partition { topic, number: record.partition() };
            if let Some(first) = unknown.remove(&partition) {
                let at = Timestamp::from_millis(record.timestamp().to_millis().unwrap_or(0));
                self.oldest.insert(partition, (first, at));
                paused.push((partition, Offset::Invalid));
                self.consumer.pause(&list(client, paused.iter().rev().take(1).copied())?)?;
            }
        }
        // A pause would outlive the assignment.
        self.consumer.resume(&list(client, paused.into_iter())?)?;
        self.consumer.unassign()
    }
}

fn list(
    client: &Client,
    offsets: impl Iterator<Item = (Partition, Offset)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let name = client.names.topic(partition.topic);
        list.add_partition_offset(name, partition.number, offset)?;
    }
    Ok(list)
}
