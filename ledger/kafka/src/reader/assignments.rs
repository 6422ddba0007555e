//! Which partitions a reader owns, as the group assigns and revokes them.
use crate::context;
use crate::positions::{Owned, Partition};
use crate::topics::Names;
use ledger::lock;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, TopicPartitionList};
use std::sync::{Mutex, MutexGuard};

/// The consumer's callbacks. They run inside `next`, and only keep the books of what is owned.
pub(super) struct Assignments {
    names: Names,
    owned: Mutex<Owned>,
}

impl Assignments {
    pub(super) fn new(names: Names) -> Self {
        Self { names, owned: Mutex::default() }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn owned(&self) -> MutexGuard<'_, Owned> {
        lock(&self.owned)
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
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
