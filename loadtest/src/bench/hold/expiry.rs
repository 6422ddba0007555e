//! How late holds end when many are due at once, with the sweeper as a node runs it.
use super::fixture::{Fixture, Sale};
use crate::bench::lateness::Lateness;
use crate::bench::rounds::Ratios;
use crate::bench::{Flags, Measurement, Row};
use allocator::store::{LoadOutcome, SeatsCopy};
use allocator::{HoldRecord, HoldState, HoldSweeper};
use anyhow::{Context, ensure};
use ledger::{Clock, Timestamp};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const ROW: Row = Row {
    stage: "hold expiry, all due within one second",
    against: "250 ms / p99 of the lateness (goal 100 ms, stretch 20 ms)",
    floor: 1.0,
    goal: 2.5,
    stretch: 12.5,
};

/// From loading the holds to the first that is due, and for how long they are due.
const BEFORE_MS: i64 = 6_000;
const DUE_FOR_MS: i64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Far beyond any lateness that is worth measuring.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn expiry(flags: &Flags) -> anyhow::Result<Measurement> {
    let count = flags.hold.due;
    let (mut ratios, mut breaches) = (Vec::new(), Vec::new());
    let mut notes = vec![format!(
        "{count} holds due within {DUE_FOR_MS} ms, one sweeper, a Redis and an allocator of its \
         own each round; looked every few ms"
    )];
    for _ in 0..flags.rounds {
        let (late, early) = round(&Fixture::open().await?, count).await?;
        let late = Lateness::of(late).context("no hold was due")?;
        notes.push(format!("late by {late}"));
        ratios.push(late.ratio());
        if early > 0 {
            breaches.push(format!("I17 {early} ended early"));
        }
    }
    let ratios = Ratios::from_ratios(ratios, vec![1.0]);
    Ok(Measurement { row: ROW, ratios, notes, breaches })
}

/// Milliseconds of lateness of every hold, and how many ended before their time.
async fn round(fixture: &Fixture, count: u32) -> anyhow::Result<(Vec<i64>, u64)> {
    let sale = fixture.event(3_600).await?;
    let first = Timestamp::from_millis(Clock::System.now().millis() + BEFORE_MS);
    let due: Vec<i64> = (0..i64::from(count))
        .map(|at| first.millis() + at * DUE_FOR_MS / i64::from(count))
        .collect();
    let copy = SeatsCopy { sold: vec![], holds: holds(&sale, &due)? };
    let loaded = sale.store().load(&sale.at(), copy).await.context("loading holds")?;
    ensure!(loaded == LoadOutcome::Swapped, "the event was not new");
    // The allocator hears of the event, and the sweeper with it.
    fixture.seats.holds(sale.id(), &sale.ids().account(Clock::System.now())).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(HoldSweeper::new(fixture.seats.clone()).run(stop.clone()));
    let seen = watch(&sale, &due).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    seen
}

/// A hold of one place for each time.
fn holds(sale: &Sale, due: &[i64]) -> anyhow::Result<Vec<HoldRecord>> {
    let (now, event) = (Clock::System.now(), &sale.event);
    let hold = |(place, until): (usize, &i64)| {
        let place = u32::try_from(place)?;
        let price = event.layout.price_of(place).context("a place has a price")?;
        Ok(HoldRecord {
            id: sale.ids().hold(&event.id, now),
            account: sale.ids().account(now),
            slot: None,
            places: vec![place],
            prices: vec![price.minor],
            until: Timestamp::from_millis(*until),
            attempts: 0,
            lock_keys: vec![],
            book_keys: vec![],
            state: HoldState::Held,
        })
    };
    due.iter().enumerate().map(hold).collect()
}

/// Milliseconds of lateness of every hold, and how many ended before their time.
async fn watch(sale: &Sale, due: &[i64]) -> anyhow::Result<(Vec<i64>, u64)> {
    let (mut late, mut early) = (Vec::with_capacity(due.len()), 0);
    let since = Instant::now();
    while late.len() < due.len() {
        ensure!(since.elapsed() < PATIENCE, "{} of {} holds ended", late.len(), due.len());
        sleep(LOOK_EVERY).await;
        let left = usize::try_from(sale.holds().await?)?;
        // Time is read after the answer: what has ended by now is at most so late.
        let now = Clock::System.now().millis();
        let ended = due.iter().take(due.len().saturating_sub(left)).skip(late.len());
        for due in ended.copied().collect::<Vec<_>>() {
            early += u64::from(due > now);
            late.push((now - due).max(0));
        }
    }
    Ok((late, early))
}
