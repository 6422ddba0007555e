//! The contracts of every record on a real Postgres, and what only this backend has to show.
mod audit;
mod claiming;
mod contract;
mod crowd;
mod generations;
mod losses;
mod plans;
mod restart;
mod wire;

use super::{PgBounds, PgPurchases, PgStore};
use crate::testing::TestPostgres;
use ledger::PlaceBooking;
use ledger::books::{Begun, Purchases};
use ledger::conformance::sample::NOW;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::Duration;

/// A session with a transaction that it has not ended.
struct Rival(PgConnection);

impl Rival {
    async fn claims(schema: &TestPostgres, command: &PlaceBooking) -> Self {
        let (booking, event) = (&command.booking_id, &command.event_id);
        let place = &command.items[0].item;
        let sql = format!(
            "INSERT INTO purchases (id, event_id, account_id, command, payment, status,
                 cancel_requested, tickets, refunds, version, published_version, updated_at)
             VALUES ('{booking}', '{event}', 'rival', '{{}}', 'submitted', 'processing',
                 false, '[]', '[]', 1, 1, 1);
             INSERT INTO claims (event_id, place, booking_id, account_id, state)
             VALUES ('{event}', '{place}', '{booking}', 'rival', 'paying')"
        );
        Self::does(schema, &sql).await
    }

    async fn does(schema: &TestPostgres, sql: &str) -> Self {
        let mut session = PgConnection::connect(&schema.url).await.unwrap();
        session.execute(AssertSqlSafe(format!("BEGIN; {sql}"))).await.unwrap();
        Self(session)
    }

    /// Returns the session that waits for this one, once there is one.
    async fn awaited(&mut self) -> i32 {
        loop {
            let waiting: Option<i32> = sqlx::query_scalar(
                "SELECT pid FROM pg_locks
                 WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))",
            )
            .fetch_optional(&mut self.0)
            .await
            .unwrap();
            if let Some(pid) = waiting {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(mut self, how: &'static str) {
        self.0.execute(how).await.unwrap();
        self.0.close().await.unwrap();
    }
}

/// What became of each: charge it, or the status it ended with.
fn answers(begun: &[Begun]) -> Vec<&'static str> {
    let word = |begun: &Begun| match begun {
        Begun::Charge(_) => "charge",
        Begun::Resolve(_) => "resolve",
        Begun::Ended(outcome) => outcome.booking.status.as_str(),
    };
    begun.iter().map(word).collect()
}

async fn begin(books: &PgPurchases, batch: &[PlaceBooking]) -> Vec<&'static str> {
    answers(&books.begin(batch, NOW).await.unwrap())
}

/// Opens the schema on other bounds than the generous ones.
async fn open(url: &str, bounds: PgBounds) -> PgPurchases {
    PgPurchases::new(PgStore::open(url, bounds).await.unwrap())
}
