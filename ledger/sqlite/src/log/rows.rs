//! Rows of the log: appending them, reading on from a position, and burying what is unreadable.
use super::two_topics;
use ledger::message::Unreadable;
use ledger::{Backlog, DeadLetter, Delivery, Group, LogPosition, Message, Timestamp, Topic};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

/// A message about to be appended.
pub(super) struct NewRow {
    topic: &'static str,
    key: String,
    kind: &'static str,
    value: Vec<u8>,
    appended_at: i64,
}

/// A row as it was read.
#[derive(FromRow)]
pub(super) struct LogRow {
    pub(super) seq: i64,
    topic: String,
    key: String,
    #[sqlx(rename = "type")]
    kind: String,
    value: Vec<u8>,
    appended_at: i64,
}

/// A row that could not be read or not be carried out, and why.
pub(super) struct DeadRow {
    pub(super) row: LogRow,
    pub(super) reason: String,
}

impl NewRow {
    pub(super) fn of(message: &Message, now: Timestamp) -> Self {
        Self {
            topic: message.topic().name(),
            key: message.key().to_owned(),
            kind: message.type_name(),
            value: message.encode(),
            appended_at: now.millis(),
        }
    }
}

impl DeadRow {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        let Delivery { message, position, appended_at } = &letter.delivery;
        let row = LogRow {
            seq: position.offset,
            topic: message.topic().name().to_owned(),
            key: message.key().to_owned(),
            kind: message.type_name().to_owned(),
            value: message.encode(),
            appended_at: appended_at.millis(),
        };
        Self { row, reason: letter.reason.clone() }
    }
}

impl LogRow {
    pub(super) fn topic(&self) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.name() == self.topic)
    }

    /// The message, or why it cannot be read.
    pub(super) fn read(&self) -> Result<Delivery, String> {
        let read = match self.topic() {
            Some(topic) => Message::decode(topic, &self.kind, &self.value),
            None => Err(Unreadable::UnknownType(self.kind.clone())),
        };
        let appended_at = Timestamp::from_millis(self.appended_at);
        let position = LogPosition { partition: 0, offset: self.seq };
        read.map(|message| Delivery { message, position, appended_at })
            .map_err(|error| error.to_string())
    }
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[NewRow],
) -> Result<(), sqlx::Error> {
    for row in rows {
        sqlx::query(
            "INSERT INTO log (topic, key, type, value, appended_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(row.topic)
        .bind(&row.key)
        .bind(row.kind)
        .bind(&row.value)
        .bind(row.appended_at)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Up to `max` rows of the group's topics, each after its topic's position, in order of appending.
pub(super) async fn read_on(
    readers: &SqlitePool,
    group: Group,
    after: [i64; 2],
    max: usize,
) -> Result<Vec<LogRow>, sqlx::Error> {
    let [first, second] = two_topics(group);
    sqlx::query_as(
        "SELECT * FROM (SELECT seq, topic, key, type, value, appended_at FROM log \
           WHERE topic = ?1 AND seq > ?2 ORDER BY seq LIMIT ?5) \
         UNION ALL \
         SELECT * FROM (SELECT seq, topic, key, type, value, appended_at FROM log \
           WHERE topic = ?3 AND seq > ?4 ORDER BY seq LIMIT ?5) \
         ORDER BY seq LIMIT ?5",
    )
    .bind(first)
    .bind(after[0])
    .bind(second)
    .bind(after[1])
    .bind(i64::try_from(max).unwrap_or(i64::MAX))
    .fetch_all(readers)
    .await
}

/// Copies rows to the dead topic, each once however often and by whomever it is met. Returns the
/// topics of those that are new there.
pub(super) async fn bury(
    connection: &mut SqliteConnection,
    dead: &[DeadRow],
    now: Timestamp,
) -> Result<Vec<Option<Topic>>, sqlx::Error> {
    let mut buried = Vec::new();
    for DeadRow { row, reason } in dead {
        let done = sqlx::query(
            "INSERT INTO log \
             (topic, key, type, value, appended_at, source_topic, source_seq, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )
        .bind(Topic::Dead.name())
        .bind(&row.key)
        .bind(&row.kind)
        .bind(&row.value)
        .bind(now.millis())
        .bind(&row.topic)
        .bind(row.seq)
        .bind(reason)
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() > 0 {
            buried.push(row.topic());
        }
    }
    Ok(buried)
}

/// Where the group stands in each of its topics.
pub(super) async fn offsets(readers: &SqlitePool, group: Group) -> Result<[i64; 2], sqlx::Error> {
    let found: Vec<(String, i64)> =
        sqlx::query_as("SELECT topic, seq FROM log_offsets WHERE reader = ?1")
            .bind(group.name())
            .fetch_all(readers)
            .await?;
    let of = |name: &str| found.iter().find(|(topic, _)| topic == name).map_or(0, |(_, seq)| *seq);
    Ok(two_topics(group).map(of))
}

/// Moves the group's offsets, never back.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    group: Group,
    after: [i64; 2],
) -> Result<(), sqlx::Error> {
    for (topic, seq) in group.topics().iter().zip(after) {
        sqlx::query(
            "INSERT INTO log_offsets (reader, topic, seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT (reader, topic) DO UPDATE SET seq = max(seq, excluded.seq)",
        )
        .bind(group.name())
        .bind(topic.name())
        .bind(seq)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What the group has not committed yet: one range of the index a topic, however long the log is.
pub(super) async fn backlog(readers: &SqlitePool, group: Group) -> Result<Backlog, sqlx::Error> {
    let after = offsets(readers, group).await?;
    let mut backlog = Backlog { messages: 0, oldest_at: None };
    for (topic, seq) in group.topics().iter().zip(after) {
        let (messages, oldest): (i64, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM log WHERE topic = ?1 AND seq > ?2), \
             (SELECT appended_at FROM log WHERE topic = ?1 AND seq > ?2 ORDER BY seq LIMIT 1)",
        )
        .bind(topic.name())
        .bind(seq)
        .fetch_one(readers)
        .await?;
        let messages = u64::try_from(messages).unwrap_or(0);
        backlog.messages = backlog.messages.saturating_add(messages);
        let oldest = oldest.map(Timestamp::from_millis);
        backlog.oldest_at = [backlog.oldest_at, oldest].into_iter().flatten().min();
    }
    Ok(backlog)
}
