//! The views in ScyllaDB or Cassandra: bookings by id and by account, and tickets to bookings.
#![warn(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod statements;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use ::scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::Consistency;
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::CqlTimestamp;
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use ledger::{
    AccountId, Booking, BookingId, Clock, Cursor, LIMIT_MAX, Page, Replaces, StoreError, TicketId,
    Views,
};
use statements::Statements;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The bounds of a [`ScyllaViews`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScyllaBounds {
    /// Copies of each row when the keyspace is made: `NetworkTopologyStrategy`, in every data
    /// centre. A keyspace that is there stays as it is.
    pub replication: u16,
    /// Of reads and of writes.
    pub consistency: ViewConsistency,
    /// How long a row lives after it was last written. It must outlive the event: whoever sells a
    /// year ahead says more than a year. What has expired is still in the books, and a replay of
    /// them writes it anew. Zero keeps rows for ever.
    pub ttl: Duration,
    /// Writes of one `put` that are under way at once.
    pub writes_inflight_max: usize,
    pub request_timeout: Duration,
    /// Of the whole first connection to the cluster, and of each later one to a node.
    pub connect_timeout: Duration,
}

/// How many copies must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewConsistency {
    /// One of them.
    One,
    /// More than half of those in the local data centre.
    LocalQuorum,
    /// More than half of all.
    Quorum,
}

/// The views in one keyspace. Clones share the session.
#[derive(Clone)]
pub struct ScyllaViews(Arc<Inner>);

struct Inner {
    session: Session,
    statements: Statements,
    stamps: Stamps,
    /// In seconds, as CQL counts it.
    ttl: i32,
    writes_inflight_max: usize,
}

impl ScyllaViews {
    /// Connects to the cluster that `nodes` (`host:port`, separated by commas) belong to, and
    /// creates the keyspace and the tables that are missing.
    pub async fn open(
        nodes: &str,
        keyspace: &str,
        bounds: ScyllaBounds,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        const DOING: &str = "connecting to the views";
        let ttl = i32::try_from(bounds.ttl.as_secs()).ok().filter(|ttl| *ttl <= TTL_SECONDS_MAX);
        let ttl = ttl.ok_or_else(|| StoreError::broken(DOING, "the ttl is above 20 years"))?;
        let profile = ExecutionProfile::builder()
            .consistency(bounds.consistency.into())
            .request_timeout(Some(bounds.request_timeout))
            .build();
        let builder = SessionBuilder::new()
            .known_nodes(nodes.split(',').map(str::trim))
            .connection_timeout(bounds.connect_timeout)
            // A connection that hangs is given up as early as a request on it.
            .keepalive_interval(bounds.request_timeout)
            .keepalive_timeout(bounds.request_timeout)
            .default_execution_profile_handle(profile.into_handle());
        let connected = tokio::time::timeout(bounds.connect_timeout, builder.build()).await;
        let session = connected
            .map_err(|late| StoreError::unavailable(DOING, late))?
            .map_err(|error| StoreError::unavailable(DOING, error))?;
        let statements = Statements::prepare(&session, keyspace, &bounds).await?;
        let stamps = Stamps { clock, last: AtomicI64::new(0) };
        let writes_inflight_max = bounds.writes_inflight_max.max(1);
        Ok(Self(Arc::new(Inner { session, statements, stamps, ttl, writes_inflight_max })))
    }
}

/// The longest time to live that CQL knows.
const TTL_SECONDS_MAX: i32 = 20 * 365 * 24 * 60 * 60;

#[async_trait]
impl Views for ScyllaViews {
    /// What is written is idempotent: a put that failed in part is put again whole.
    async fn put(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Older).await
    }

    async fn rewrite(&self, bookings: &[Booking]) -> Result<(), StoreError> {
        self.write(bookings, Replaces::Same).await
    }

    async fn booking(&self, id: &BookingId) -> Result<Option<Booking>, StoreError> {
        const DOING: &str = "reading a booking's view";
        let texts = self.texts(DOING, &self.0.statements.booking, (id.as_str(),)).await?;
        texts.first().map(|text| decode(DOING, text)).transpose()
    }

    async fn bookings_of(
        &self,
        account: &AccountId,
        cursor: Cursor,
    ) -> Result<Page<Booking>, StoreError> {
        const DOING: &str = "listing an account's bookings";
        let limit = cursor.limit.clamp(1, LIMIT_MAX);
        let (account, statements) = (account.as_str(), &self.0.statements);
        let rows = i32::try_from(limit).unwrap_or(i32::MAX).saturating_add(1);
        let texts = match cursor.after.as_deref().map(read_mark) {
            None => self.texts(DOING, &statements.first_page, (account, rows)).await?,
            Some(Some((placed_at, id))) => {
                let after = (account, CqlTimestamp(placed_at), id, rows);
                self.texts(DOING, &statements.next_page, after).await?
            }
            // A mark that no page gave out has nothing after it.
            Some(None) => Vec::new(),
        };
        let bookings = texts.iter().map(|text| decode(DOING, text)).collect::<Result<_, _>>()?;
        Ok(Page::cut(bookings, limit, mark))
    }

    async fn booking_of_ticket(&self, ticket: &TicketId) -> Result<Option<Booking>, StoreError> {
        const DOING: &str = "reading a ticket's booking";
        let ids = self.texts(DOING, &self.0.statements.ticket, (ticket.as_str(),)).await?;
        let Some(id) = ids.first() else { return Ok(None) };
        let id = BookingId::parse(id).map_err(|error| StoreError::broken(DOING, error))?;
        self.booking(&id).await
    }
}

/// A booking as it is written.
struct Row {
    id: BookingId,
    account: AccountId,
    placed_at: CqlTimestamp,
    tickets: Vec<TicketId>,
    text: String,
    stamp: i64,
}

impl Row {
    fn of(booking: &Booking, stamp: i64) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: booking.id.clone(),
            account: booking.account_id.clone(),
            placed_at: CqlTimestamp(booking.placed_at.millis()),
            tickets: booking.tickets.iter().map(|ticket| ticket.ticket_id.clone()).collect(),
            text: serde_json::to_string(booking)?,
            stamp,
        })
    }
}

impl ScyllaViews {
    async fn write(&self, bookings: &[Booking], replaces: Replaces) -> Result<(), StoreError> {
        const DOING: &str = "putting bookings into the views";
        let written_at = self.0.stamps.tick();
        let row = |booking| Row::of(booking, stamp(booking, written_at, replaces));
        let rows: Result<Vec<Row>, _> = bookings.iter().map(row).collect();
        let rows = rows.map_err(|error| StoreError::broken(DOING, error))?;
        stream::iter(rows)
            .map(|row| self.write_row(row))
            .buffer_unordered(self.0.writes_inflight_max)
            .try_collect()
            .await
            .map_err(|error| unwritten(DOING, error))
    }

    async fn write_row(&self, row: Row) -> Result<(), ExecutionError> {
        let Inner { session, statements, ttl, .. } = self.0.as_ref();
        let (id, account, text) = (row.id.as_str(), row.account.as_str(), row.text.as_str());
        // The tickets first: one that leads to an older version leads to the right booking.
        for ticket in &row.tickets {
            let values = (ticket.as_str(), id, row.stamp, ttl);
            session.execute_unpaged(&statements.put_ticket, values).await?;
        }
        let by_account = (account, row.placed_at, id, text, row.stamp, ttl);
        let by_id = (id, text, row.stamp, ttl);
        futures_util::try_join!(
            session.execute_unpaged(&statements.put_by_account, by_account),
            session.execute_unpaged(&statements.put_by_id, by_id),
        )?;
        Ok(())
    }

    /// The first column of the rows that `statement` finds.
    async fn texts(
        &self,
        doing: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<String>, StoreError> {
        let found = self.0.session.execute_unpaged(statement, values).await;
        let found = found.map_err(|error| unread(doing, error))?;
        let broken = |error| StoreError::broken(doing, error);
        let rows = found.into_rows_result().map_err(|error| StoreError::broken(doing, error))?;
        let rows = rows.rows::<(String,)>().map_err(|error| StoreError::broken(doing, error))?;
        rows.map(|row| row.map(|(text,)| text).map_err(broken)).collect()
    }
}

fn decode(doing: &'static str, text: &str) -> Result<Booking, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::broken(doing, error))
}

/// The mark of a page's last booking: where it stands in the order, newest first.
fn mark(last: &Booking) -> String {
    format!("{}~{}", last.placed_at.millis(), last.id)
}

fn read_mark(mark: &str) -> Option<(i64, &str)> {
    let (placed_at, id) = mark.split_once('~')?;
    Some((placed_at.parse().ok()?, id))
}

/// The times that writes are stamped with. A cell keeps the write with the greatest stamp, so the
/// version stands in the high bits, and an older version changes nothing, whenever and wherever it
/// is written. In the low bits a later writing counts less: of two writings of one version the
/// first one stays, until a replay writes it anew; of two replays the later one stays. No read and
/// no lightweight transaction is needed for any of this.
///
/// The greatest stamp stays below the microseconds of today, because ScyllaDB refuses what seems
/// to come from the future, and so that a row may be deleted by hand.
struct Stamps {
    clock: Clock,
    last: AtomicI64,
}

/// The parts of a millisecond that tell writings apart.
const TICKS_PER_MS: i64 = 4;

/// The bits of a stamp for the ticks since the booking was placed, eight years of them. Two writings
/// of one version that are both later are told apart by their content. Above them is one bit for
/// replays, and then the version.
const AGE_BITS: u32 = 40;

/// More than any booking has.
const VERSION_MAX: u32 = 700;

impl Stamps {
    /// A moment that is later than all before it on this node.
    fn tick(&self) -> i64 {
        let now = self.clock.now().millis().saturating_mul(TICKS_PER_MS);
        let later = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        last.map_or(now, |last| now.max(last.saturating_add(1)))
    }
}

fn stamp(booking: &Booking, written_at: i64, replaces: Replaces) -> i64 {
    const REPLAY: i64 = 1 << AGE_BITS;
    const AGE_MAX: i64 = REPLAY - 1;
    let placed_at = booking.placed_at.millis().saturating_mul(TICKS_PER_MS);
    let age = written_at.saturating_sub(placed_at).clamp(0, AGE_MAX);
    let version = i64::from(booking.version.min(VERSION_MAX));
    let below = match replaces {
        Replaces::Older => AGE_MAX.saturating_sub(age),
        Replaces::Same => REPLAY.saturating_add(age),
    };
    (version << (AGE_BITS + 1)).saturating_add(below)
}

/// A failed read changed nothing.
fn unread(doing: &'static str, error: ExecutionError) -> StoreError {
    if is_for_ever(&error) {
        StoreError::broken(doing, error)
    } else {
        StoreError::unavailable(doing, error)
    }
}

/// Of a failed put, a part may be there.
fn unwritten(doing: &'static str, error: ExecutionError) -> StoreError {
    if is_for_ever(&error) {
        StoreError::broken(doing, error)
    } else {
        StoreError::unknown(doing, error)
    }
}

/// True for what the server refuses however often it is asked.
fn is_for_ever(error: &ExecutionError) -> bool {
    let refused = matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::ConfigError
                | DbError::Unauthorized
                | DbError::ProtocolError,
            _
        ))
    );
    refused || matches!(error, ExecutionError::BadQuery(_))
}

impl From<ViewConsistency> for Consistency {
    fn from(consistency: ViewConsistency) -> Self {
        match consistency {
            ViewConsistency::One => Self::LocalOne,
            ViewConsistency::LocalQuorum => Self::LocalQuorum,
            ViewConsistency::Quorum => Self::Quorum,
        }
    }
}
