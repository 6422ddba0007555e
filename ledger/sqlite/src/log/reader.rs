//! One reader of a group: a position that runs ahead of the committed offset.
use super::rows::{self, DeadRow, LogRow};
use super::{Shared, SqliteLog};
use crate::{Connection, SqliteFile};
use async_trait::async_trait;
use ledger::{Clock, Delivery, Group, StoreError, Subscription, metrics};
use std::collections::VecDeque;
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
        /// The position behind each message returned and not committed.
        returned: VecDeque<[i64; 2]>,
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
        let group = self.group;
        let offsets = move |connection: &Connection| rows::offsets(connection, group);
        let at = self.file.read("reading a group's offsets", offsets).await?;
        self.state = State::Reading { at, committed: at, returned: VecDeque::new(), _turn: turn };
        Ok(at)
    }

    /// Returns as soon as there may be something new.
    async fn rest(&mut self) {
        // A closed bell cannot be: this reader holds its sender.
        let _ = tokio::time::timeout(LOOK_EVERY, self.bell.changed()).await;
    }

    /// Commits up to `after`, behind the first `messages` that are not committed.
    async fn commit_to(&mut self, after: [i64; 2], messages: usize) -> Result<(), StoreError> {
        let group = self.group;
        let State::Reading { committed, returned, .. } = &mut self.state else { return Ok(()) };
        if after == *committed {
            return Ok(());
        }
        let receipt = self.file.write("committing a group's offsets", move |connection| {
            rows::commit(connection, group, after)
        });
        receipt.await?;
        *committed = after;
        returned.drain(..messages.min(returned.len()));
        Ok(())
    }

    async fn bury(&self, dead: Vec<DeadRow>) -> Result<(), StoreError> {
        for letter in &dead {
            let (topic, reason) = (letter.row.topic(), &letter.reason);
            tracing::error!(?topic, reason, "a message cannot be read and is set aside");
        }
        let (now, shared) = (self.clock.now(), self.shared.clone());
        let receipt = self.file.write_then(
            "setting unreadable messages aside",
            move |connection| rows::bury(connection, &dead, now),
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
        let group = self.group;
        let found = loop {
            // Marked as heard before the look, so that what comes after the look rings again.
            self.bell.mark_unchanged();
            let read = move |connection: &Connection| rows::read_on(connection, group, before, max);
            let found = self.file.read("reading the booking log", read).await?;
            if !found.is_empty() || max == 0 {
                break found;
            }
            self.rest().await;
        };
        let mut after = before;
        let (mut read, mut dead) = (Vec::with_capacity(found.len()), Vec::new());
        let mut behind = Vec::with_capacity(found.len());
        for row in found {
            advance(self.group, &mut after, &row);
            match row.read() {
                Ok(delivery) => {
                    read.push(delivery);
                    behind.push(after);
                }
                Err(reason) => dead.push(DeadRow { row, reason }),
            }
        }
        if !dead.is_empty() {
            self.bury(dead).await?;
        }
        // Nothing is awaited from here on: a call dropped before has not moved.
        if let State::Reading { at, returned, .. } = &mut self.state {
            *at = after;
            returned.extend(behind);
        }
        metrics::delivered(self.group, read.len() as u64);
        Ok(read)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let State::Reading { at, returned, .. } = &self.state else { return Ok(()) };
        let (after, messages) = (*at, returned.len());
        self.commit_to(after, messages).await
    }

    async fn commit_first(&mut self, messages: usize) -> Result<(), StoreError> {
        let State::Reading { returned, .. } = &self.state else { return Ok(()) };
        let last = messages.min(returned.len()).checked_sub(1);
        let Some(after) = last.and_then(|last| returned.get(last).copied()) else { return Ok(()) };
        self.commit_to(after, messages).await
    }
}

/// Moves a position behind a row of one of the group's topics.
fn advance(group: Group, after: &mut [i64; 2], row: &LogRow) {
    let index = group.topics().iter().position(|topic| Some(*topic) == row.topic());
    if let Some(at) = index.and_then(|index| after.get_mut(index)) {
        *at = row.seq;
    }
}
