//! The handle and its loops on a whole embedded ledger.
mod booking;
mod recovery;
mod showing;

use crate::conformance::NOW;
use crate::conformance::venue::Venue;
use ledger::Clock;
use ledger_sqlite::testing::sqlite_ledger_at;

async fn venue() -> Venue {
    let clock = Clock::manual(NOW);
    Venue::open(sqlite_ledger_at(clock.clone()).await, clock, None).await
}
