//! The booking log in SQLite: one append-only table, an offset per group and topic, and a bell
//! that wakes the readers of this process.
mod reader;
mod rows;
#[cfg(test)]
mod tests;

use super::SqliteFile;
use async_trait::async_trait;
use ledger::{
    Backlog, BookingLog, Clock, DeadLetter, Group, Message, StoreError, Subscription, Topic,
    metrics,
};
use reader::Reader;
use rows::{DeadRow, NewRow};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// The booking log of one file. One process opens one of them: the bell and the turns of the
/// groups are shared by its clones.
#[derive(Clone)]
pub struct SqliteLog {
    file: SqliteFile,
    clock: Clock,
    shared: Arc<Shared>,
}

/// What the readers of one process share.
struct Shared {
    /// Rung after each append.
    bell: watch::Sender<()>,
    /// One reader a group has the turn: a second one would only be given the same messages.
    turns: [Arc<Mutex<()>>; Group::ALL.len()],
}

impl SqliteLog {
    pub fn new(file: SqliteFile, clock: Clock) -> Self {
        let shared = Shared { bell: watch::Sender::new(()), turns: Default::default() };
        Self { file, clock, shared: Arc::new(shared) }
    }

    fn turn(&self, group: Group) -> Arc<Mutex<()>> {
        let index = match group {
            Group::PaymentWorker => 0,
            Group::OutcomeApplier => 1,
            Group::SlotEnder => 2,
            Group::Projector => 3,
        };
        self.shared.turns[index].clone()
    }
}

#[async_trait]
impl BookingLog for SqliteLog {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let rows: Vec<NewRow> = messages.iter().map(|m| NewRow::of(m, now)).collect();
        let shared = self.shared.clone();
        let receipt = self.file.write_then(
            "appending to the booking log",
            move |connection| rows::insert(connection, &rows),
            move || {
                shared.bell.send_replace(());
                count_appended(&messages);
            },
        );
        receipt.await
    }

    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError> {
        Ok(Box::new(Reader::new(self, group)))
    }

    async fn append_dead(&self, _group: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        let now = self.clock.now();
        let dead: Vec<DeadRow> = letters.iter().map(DeadRow::of).collect();
        let shared = self.shared.clone();
        let receipt = self.file.write_then(
            "setting messages aside",
            move |connection| rows::bury(connection, &dead, now),
            move || {
                shared.bell.send_replace(());
            },
        );
        receipt.await.map(|_| ())
    }

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError> {
        self.file.read("measuring a backlog", move |c| rows::backlog(c, group)).await
    }
}

fn count_appended(messages: &[Message]) {
    for topic in Topic::ALL {
        let count = messages.iter().filter(|message| message.topic() == topic).count();
        if count > 0 {
            metrics::appended(topic, count as u64);
        }
    }
}

/// A group's topics, for statements that name two; the empty name is no topic.
fn two_topics(group: Group) -> [&'static str; 2] {
    let name = |index: usize| group.topics().get(index).map_or("", |topic| topic.name());
    [name(0), name(1)]
}
