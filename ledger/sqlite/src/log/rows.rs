//! Rows of the log: appending them, reading on from a position, and burying what is unreadable.
use super::two_topics;
use crate::Connection;
use ledger::message::Unreadable;
use ledger::{Backlog, DeadLetter, Delivery, Group, LogPosition, Message, Timestamp, Topic};
use ledger_sql::{Record, RowError, count, time_maybe};
use rusqlite::Error;

/// A message about to be appended.
pub(super) struct NewRow {
    topic: &'static str,
    key: String,
    kind: &'static str,
    value: Vec<u8>,
    appended_at: i64,
}

/// A row as it was read.
pub(super) struct LogRow {
    pub(super) seq: i64,
    topic: String,
    key: String,
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
    fn of(row: &dyn Record) -> Result<Self, RowError> {
        Ok(Self {
            seq: row.integer("seq")?,
            topic: row.text("topic")?.to_owned(),
            key: row.text("key")?.to_owned(),
            kind: row.text("type")?.to_owned(),
            value: row.bytes("value")?.to_owned(),
            appended_at: row.integer("appended_at")?,
        })
    }

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

pub(super) fn insert(connection: &Connection, rows: &[NewRow]) -> Result<(), Error> {
    for NewRow { topic, key, kind, value, appended_at } in rows {
        connection.execute(
            "INSERT INTO log (topic, key, type, value, appended_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            (topic, key, kind, value, appended_at),
        )?;
    }
    Ok(())
}

/// Up to `max` rows of the group's topics, each after its topic's position, in order of appending.
pub(super) fn read_on(
    connection: &Connection,
    group: Group,
    after: [i64; 2],
    max: usize,
) -> Result<Vec<LogRow>, Error> {
    let [first, second] = two_topics(group);
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    connection.all(
        "SELECT * FROM (SELECT seq, topic, key, type, value, appended_at FROM log
             WHERE topic = ?1 AND seq > ?2 ORDER BY seq LIMIT ?5)
         UNION ALL
         SELECT * FROM (SELECT seq, topic, key, type, value, appended_at FROM log
             WHERE topic = ?3 AND seq > ?4 ORDER BY seq LIMIT ?5)
         ORDER BY seq LIMIT ?5",
        (first, after[0], second, after[1], max),
        LogRow::of,
    )
}

/// Copies rows to the dead topic, each once however often and by whomever it is met. Returns the
/// topics of those that are new there.
pub(super) fn bury(
    connection: &Connection,
    dead: &[DeadRow],
    now: Timestamp,
) -> Result<Vec<Option<Topic>>, Error> {
    let mut buried = Vec::new();
    for DeadRow { row, reason } in dead {
        let new = connection.execute(
            "INSERT INTO log
                 (topic, key, type, value, appended_at, source_topic, source_seq, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            (
                Topic::Dead.name(),
                &row.key,
                &row.kind,
                &row.value,
                now.millis(),
                &row.topic,
                row.seq,
                reason,
            ),
        )?;
        if new > 0 {
            buried.push(row.topic());
        }
    }
    Ok(buried)
}

/// Where the group stands in each of its topics.
pub(super) fn offsets(connection: &Connection, group: Group) -> Result<[i64; 2], Error> {
    let sql = "SELECT topic, seq FROM log_offsets WHERE reader = ?1";
    let found = connection
        .all(sql, [group.name()], |row| Ok((row.text("topic")?.to_owned(), row.integer("seq")?)))?;
    let of = |name: &str| found.iter().find(|(topic, _)| topic == name).map_or(0, |(_, seq)| *seq);
    Ok(two_topics(group).map(of))
}

/// Moves the group's offsets, never back.
pub(super) fn commit(connection: &Connection, group: Group, after: [i64; 2]) -> Result<(), Error> {
    for (topic, seq) in group.topics().iter().zip(after) {
        connection.execute(
            "INSERT INTO log_offsets (reader, topic, seq) VALUES (?1, ?2, ?3)
             ON CONFLICT (reader, topic) DO UPDATE SET seq = max(seq, excluded.seq)",
            (group.name(), topic.name(), seq),
        )?;
    }
    Ok(())
}

/// What the group has not committed yet: one range of the index a topic, however long the log is.
pub(super) fn backlog(connection: &Connection, group: Group) -> Result<Backlog, Error> {
    let after = offsets(connection, group)?;
    let mut backlog = Backlog { messages: 0, oldest_at: None };
    for (topic, seq) in group.topics().iter().zip(after) {
        let (messages, oldest) = connection.one(
            "SELECT (SELECT count(*) FROM log WHERE topic = ?1 AND seq > ?2) AS messages,
                 (SELECT appended_at FROM log WHERE topic = ?1 AND seq > ?2
                  ORDER BY seq LIMIT 1) AS oldest_at",
            (topic.name(), seq),
            |row| Ok((count(row, "messages")?, time_maybe(row, "oldest_at")?)),
        )?;
        backlog.messages = backlog.messages.saturating_add(messages);
        backlog.oldest_at = [backlog.oldest_at, oldest].into_iter().flatten().min();
    }
    Ok(backlog)
}
