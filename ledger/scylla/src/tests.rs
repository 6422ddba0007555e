//! The views' contract on a real Cassandra, and what is this backend's own: stamps, expiry.
mod away;

use super::*;
use crate::testing::cql_server as server;
use ledger::conformance::sample::{NOW, SampleEvent};
use ledger::conformance::views::check_all;
use ledger::{BookingStatus, IdSource};
use proptest::prelude::*;

/// A keyspace of its own on the shared server.
struct TestViews {
    keyspace: String,
    views: ScyllaViews,
}

/// Bounds for tests. The test server makes tables slowly when many are made at once.
fn bounds() -> ScyllaBounds {
    let patient = Duration::from_secs(30);
    ScyllaBounds {
        replication: 1,
        consistency: ViewConsistency::LocalQuorum,
        ttl: Duration::from_secs(60 * 60),
        writes_inflight_max: 128,
        request_timeout: patient,
        connect_timeout: patient,
    }
}

impl TestViews {
    async fn open(bounds: ScyllaBounds) -> Self {
        let keyspace = format!("test_{:016x}", IdSource::system().random());
        let views = ScyllaViews::open(&server(), &keyspace, bounds, Clock::System).await;
        let views = views.unwrap_or_else(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            panic!(
                "no Cassandra at {} (TIDEGATE_TEST_CQL, started by `ops/dev/up cassandra`): \
                 {error}: {}",
                server(),
                source.unwrap_or_default()
            )
        });
        Self { keyspace, views }
    }

    async fn remove(self) {
        let drop = format!("DROP KEYSPACE \"{}\"", self.keyspace);
        self.views.0.session.query_unpaged(drop, ()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_keep_their_contract() {
    let test = TestViews::open(bounds()).await;
    check_all(Arc::new(test.views.clone())).await;
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_kept_when_it_is_opened_again() {
    let test = TestViews::open(bounds()).await;
    let booking = Booking::placed(&SampleEvent::default().place(&["a-1"]));
    test.views.put(std::slice::from_ref(&booking)).await.unwrap();
    let again =
        ScyllaViews::open(&server(), &test.keyspace, bounds(), Clock::System).await.unwrap();
    assert_eq!(again.booking(&booking.id).await.unwrap(), Some(booking));
    test.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_say_when_they_expire() {
    let ttl = Duration::from_secs(1_000);
    for (ttl, expected) in [(ttl, Some(900..=1_000)), (Duration::ZERO, None)] {
        let test = TestViews::open(ScyllaBounds { ttl, ..bounds() }).await;
        let booking = Booking::placed(&SampleEvent::default().place(&["a-1"]));
        test.views.put(std::slice::from_ref(&booking)).await.unwrap();
        for table in ["booking_by_id", "bookings_by_account"] {
            let select = format!("SELECT TTL(booking) FROM \"{}\".{table}", test.keyspace);
            let found = test.views.0.session.query_unpaged(select, ()).await.unwrap();
            let rows = found.into_rows_result().unwrap();
            let (left,) = rows.single_row::<(Option<i32>,)>().unwrap();
            match &expected {
                Some(range) => assert!(range.contains(&left.unwrap()), "{table}: {left:?}"),
                None => assert_eq!(left, None, "{table}"),
            }
        }
        test.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bookings_are_put_at_once() {
    let test = TestViews::open(bounds()).await;
    let event = SampleEvent::default();
    let bookings: Vec<Booking> =
        (0..1_000).map(|_| Booking::placed(&event.place(&["a-1"]))).collect();
    test.views.put(&bookings).await.unwrap();
    for booking in bookings.iter().step_by(97) {
        assert_eq!(test.views.booking(&booking.id).await.unwrap().as_ref(), Some(booking));
    }
    test.remove().await;
}

#[tokio::test]
async fn what_cannot_be_a_keyspace_is_refused() {
    for bad in ["", "A", "a-b", "a\"; DROP KEYSPACE b", &"k".repeat(49)] {
        let opened = ScyllaViews::open(&server(), bad, bounds(), Clock::System).await;
        assert!(matches!(opened, Err(StoreError::Broken { .. })), "{bad}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let bounds = ScyllaBounds { connect_timeout: Duration::from_secs(1), ..bounds() };
    let opened = ScyllaViews::open("127.0.0.1:1", "nowhere", bounds, Clock::System).await;
    assert!(opened.is_err_and(|error| error.is_retryable()));
}

#[test]
fn ticks_never_repeat() {
    let stamps = Stamps { clock: Clock::manual(NOW), last: AtomicI64::new(0) };
    let [a, b, c] = [stamps.tick(), stamps.tick(), stamps.tick()];
    assert!(a < b && b < c);
    assert_eq!(a, NOW.millis().saturating_mul(TICKS_PER_MS));
}

fn booking(version: u32) -> Booking {
    let placed = Booking::placed(&SampleEvent::default().place(&["a-1"]));
    Booking { version, status: BookingStatus::Confirmed, ..placed }
}

proptest! {
    #[test]
    fn a_newer_version_has_the_greater_stamp_whenever_it_is_written(
        older in 0u32..VERSION_MAX, newer in 0u32..=VERSION_MAX, at in any::<[i64; 2]>(),
        replayed in any::<[bool; 2]>(),
    ) {
        prop_assume!(older < newer);
        let [a, b] = replayed.map(|again| if again { Replaces::Same } else { Replaces::Older });
        prop_assert!(stamp(&booking(older), at[0], a) < stamp(&booking(newer), at[1], b));
    }

    #[test]
    fn of_one_version_the_first_writing_stays_and_the_last_replay(
        version in 0u32..10, at in 0i64..1 << 38, later in 1i64..1 << 38,
    ) {
        let first = NOW.millis().saturating_mul(TICKS_PER_MS).saturating_add(at);
        let later = first.saturating_add(later);
        let booking = booking(version);
        let stamp = |at, replaces| stamp(&booking, at, replaces);
        prop_assert!(stamp(first, Replaces::Older) > stamp(later, Replaces::Older));
        prop_assert!(stamp(first, Replaces::Same) < stamp(later, Replaces::Same));
        prop_assert!(stamp(first, Replaces::Same) > stamp(first, Replaces::Older));
    }

    #[test]
    fn no_stamp_is_of_the_future(version in any::<u32>(), at in any::<i64>()) {
        let stamp = stamp(&booking(version), at, Replaces::Same);
        prop_assert!(stamp < NOW.millis().saturating_mul(1_000));
    }
}
