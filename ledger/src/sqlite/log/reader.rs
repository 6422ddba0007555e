//! One reader of a group: a position that runs ahead of the committed offset.
use super::rows::{self, DeadRow, LogRow};
use super::{Shared, SqliteLog};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::log::{Delivery, Group, Subscription};
use crate::metrics;
use crate::sqlite::file::SqliteFile;
use crate::sqlite::row::unread;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// How often an idle reader looks by itself: another process may append to the same file, and its
/// bell does not ring here.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Reader {
    file: SqliteFile,
    clock: Clock,
    shared: Arc<Shared>,
    bell: watch::Receiver<()>,
    turn: Arc<Mutex<()>>,
    group: Group,
    state: State,
}

enum State {
    /// Another reader of the group may have the turn.
    Waiting,
    Reading {
        /// Up to here, by topic, everything was returned or buried.
        at: [i64; 2],
        committed: [i64; 2],
        _turn: OwnedMutexGuard<()>,
    },
}

impl Reader {
    pub(super) fn new(log: &SqliteLog, group: Group) -> Self {
        Self {
            file: log.file.clone(),
            clock: log.clock.clone(),
            shared: log.shared.clone(),
            bell: log.shared.bell.subscribe(),
            turn: log.turn(group),
            group,
            state: State::Waiting,
        }
    }

    /// Where to read on, once it is this reader's turn.
    async fn position(&mut self) -> Result<[i64; 2], StoreError> {
        if let State::Reading { at, .. } = &self.state {
            return Ok(*at);
        }
        let turn = self.turn.clone().lock_owned().await;
        let at = rows::offsets(self.file.readers(), self.group)
            .await
            .map_err(unread("reading a group's offsets"))?;
        self.state = State::Reading { at, committed: at, _turn: turn };
        Ok(at)
    }

    /// Returns as soon as there may be something new.
    async fn rest(&mut self) {
        // A closed bell cannot be: this reader holds its sender.
        let _ = tokio::time::timeout(LOOK_EVERY, self.bell.changed()).await;
    }

    async fn bury(&self, dead: Vec<DeadRow>) -> Result<(), StoreError> {
        for letter in &dead {
            tracing::error!(topic = ?letter.row.topic(), reason = letter.reason, "a message cannot be read and is set aside");
        }
        let (now, shared) = (self.clock.now(), self.shared.clone());
        let receipt = self.file.write_then(
            "setting unreadable messages aside",
            move |connection| Box::pin(async move { rows::bury(connection, &dead, now).await }),
            move || {
                shared.bell.send_replace(());
            },
        );
        let buried = receipt.await?;
        buried.into_iter().flatten().for_each(metrics::dead);
        Ok(())
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError> {
        let before = self.position().await?;
        let found = loop {
            // Marked as heard before the look, so that what comes after the look rings again.
            self.bell.mark_unchanged();
            let found = rows::read_on(self.file.readers(), self.group, before, max)
                .await
                .map_err(unread("reading the booking log"))?;
            if !found.is_empty() || max == 0 {
                break found;
            }
            self.rest().await;
        };
        let after = advanced(self.group, before, &found);
        let (mut read, mut dead) = (Vec::with_capacity(found.len()), Vec::new());
        for row in found {
            match row.read() {
                Ok(delivery) => read.push(delivery),
                Err(reason) => dead.push(DeadRow { row, reason }),
            }
        }
        if !dead.is_empty() {
            self.bury(dead).await?;
        }
        // Nothing is awaited from here on: a call dropped before has not moved.
        if let State::Reading { at, .. } = &mut self.state {
            *at = after;
        }
        metrics::delivered(self.group, read.len() as u64);
        Ok(read)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let group = self.group;
        let State::Reading { at, committed, .. } = &mut self.state else { return Ok(()) };
        if at == committed {
            return Ok(());
        }
        let after = *at;
        let receipt = self.file.write("committing a group's offsets", move |connection| {
            Box::pin(async move { rows::commit(connection, group, after).await })
        });
        receipt.await?;
        *committed = after;
        Ok(())
    }
}

/// The position behind `rows`, topic by topic.
fn advanced(group: Group, mut after: [i64; 2], rows: &[LogRow]) -> [i64; 2] {
    for row in rows {
        let index = group.topics().iter().position(|topic| Some(*topic) == row.topic());
        if let Some(at) = index.and_then(|index| after.get_mut(index)) {
            *at = row.seq;
        }
    }
    after
}
