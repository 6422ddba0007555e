//! A crash or a failure at every single step, and at random: it always ends, with the money right.
use crate::faults::{Fault, Faults};
use crate::world::World;
use ledger::{BookingStatus, PlaceBooking};
use payment_simulator::Simulation;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Faults after which a random run heals.
const FAULTS_MAX: usize = 12;

/// Starts nodes one after the other, each where the one before crashed.
async fn nodes(world: &World, faults: &Faults) {
    loop {
        tokio::select! {
            () = world.node(faults) => panic!("a node ended by itself"),
            () = faults.crashed() => {}
        }
    }
}

/// One sale with every kind of booking in it.
struct Sale {
    kept: PlaceBooking,
    late: PlaceBooking,
    declined: PlaceBooking,
    unknown: PlaceBooking,
    cancelled_early: PlaceBooking,
    cancelled_late: PlaceBooking,
}

impl Sale {
    fn new(world: &World) -> Self {
        Self {
            kept: world.place(&["stalls-A-1", "stalls-A-2"], "tok_good"),
            late: world.place(&["stalls-A-2"], "tok_good"),
            declined: world.place(&["stalls-A-3"], "tok_decline"),
            unknown: world.place(&["stalls-A-4"], "tok_unknown"),
            cancelled_early: world.place(&["stalls-A-5"], "tok_good"),
            cancelled_late: world.place(&["stalls-A-6"], "tok_good"),
        }
    }

    fn all(&self) -> [&PlaceBooking; 6] {
        let Self { kept, late, declined, unknown, cancelled_early, cancelled_late } = self;
        [kept, late, declined, unknown, cancelled_early, cancelled_late]
    }

    /// What visitors do.
    async fn script(&self, world: &World) {
        world.append_places(&self.all()).await;
        world.append_cancel(&self.cancelled_early).await;
        let sold = async || world.is(&self.cancelled_late, BookingStatus::Confirmed).await;
        world.in_time(sold).await;
        world.append_cancel(&self.cancelled_late).await;
        let over = async || {
            world.is(&self.cancelled_late, BookingStatus::Refunded).await
                && world.settled(&self.all()).await
        };
        world.in_time(over).await;
    }

    async fn assert_sound(&self, world: &World) {
        let table = [
            (&self.kept, BookingStatus::Confirmed),
            (&self.late, BookingStatus::SeatLost),
            (&self.declined, BookingStatus::Declined),
            (&self.unknown, BookingStatus::Confirmed),
            (&self.cancelled_early, BookingStatus::Refunded),
            (&self.cancelled_late, BookingStatus::Refunded),
        ];
        for (place, expected) in table {
            assert_eq!(world.status(place).await, Some(expected));
        }
        let captured = world.charges().await.into_iter().filter(|c| c.decline_code.is_none());
        let mut captured: Vec<_> = captured.map(|charge| charge.booking).collect();
        captured.sort();
        let paid = [&self.kept, &self.unknown, &self.cancelled_early, &self.cancelled_late];
        let mut expected: Vec<_> = paid.map(|place| place.booking_id.clone()).into();
        expected.sort();
        assert_eq!(captured, expected, "one capture a booking, none for a lost seat");
        assert_eq!(world.refunds().await, 2);
        assert_eq!(world.transfers().await.len(), 6);
        world.assert_sound(&self.all()).await;
    }
}

/// True when the run had a call numbered `at`.
async fn run_with(fault: Fault, at: usize) -> bool {
    let world = World::new().await;
    let sale = Sale::new(&world);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let faults =
        Faults::new(move || (counted.fetch_add(1, Ordering::Relaxed) == at).then_some(fault));
    tokio::select! {
        () = nodes(&world, &faults) => {}
        () = sale.script(&world) => {}
    }
    sale.assert_sound(&world).await;
    calls.load(Ordering::Relaxed) > at
}

async fn at_every_step(fault: Fault) {
    let mut at = 0;
    while run_with(fault, at).await {
        at += 1;
        assert!(at < 500, "a run ends");
    }
    assert!(at > 20, "only {at} steps were interrupted: the faults are not in the way");
}

#[tokio::test]
async fn a_crash_before_any_step_ends_right() {
    at_every_step(Fault::CrashBefore).await;
}

#[tokio::test]
async fn a_crash_after_any_step_ends_right() {
    at_every_step(Fault::CrashAfter).await;
}

#[tokio::test]
async fn a_failure_before_any_step_ends_right() {
    at_every_step(Fault::FailBefore).await;
}

#[tokio::test]
async fn a_failure_after_any_step_ends_right() {
    at_every_step(Fault::FailAfter).await;
}

#[tokio::test]
async fn random_faults_end_right() {
    for seed in 0..12 {
        let simulation =
            Simulation { latency_ms: 0, decline: 0.2, unknown: 0.3, duplicate: 0.3, seed };
        let world = World::with(simulation).await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut left = FAULTS_MAX;
        let faults = Faults::new(move || {
            if left == 0 || !random.random_bool(0.2) {
                return None;
            }
            left -= 1;
            Some(Fault::ALL[random.random_range(0..Fault::ALL.len())])
        });
        let places: Vec<_> = (0..10)
            .map(|n| world.place(&[&format!("stalls-A-{}", n % 7)], "tok_default"))
            .collect();
        let all: Vec<&PlaceBooking> = places.iter().collect();
        let script = async {
            world.append_places(&all).await;
            for place in places.iter().step_by(3) {
                world.append_cancel(place).await;
            }
            world.in_time(async || world.settled(&all).await).await;
        };
        tokio::select! {
            () = nodes(&world, &faults) => {}
            () = script => {}
        }
        assert_random_sound(&world, &all, seed).await;
    }
}

async fn assert_random_sound(world: &World, places: &[&PlaceBooking], seed: u64) {
    let charges = world.charges().await;
    for place in places {
        let status = world.status(place).await.unwrap();
        let captures = charges
            .iter()
            .filter(|c| c.booking == place.booking_id && c.decline_code.is_none())
            .count();
        let paid = matches!(status, BookingStatus::Confirmed | BookingStatus::Refunded);
        assert_eq!(captures, usize::from(paid), "seed {seed}: {status:?}");
    }
    world.assert_sound(places).await;
}
