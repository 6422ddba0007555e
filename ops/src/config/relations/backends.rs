//! Which backends work together, and with which roles.
use crate::config::{Configuration, GatewayUrl, LogUrl};
use crate::roles::{self, Role};
use anyhow::{bail, ensure};
use ledger::SaleTerms;

/// How often a reader may be lost, one after the other, before a payment's deadline.
const SESSIONS_PER_DEADLINE: u64 = 3;
/// Kafka's own bounds for a reader's session, as brokers have them by default.
const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 6_000..=1_800_000;
/// ScyllaDB and Cassandra refuse to keep a row for longer: 20 years.
const TTL_DAYS_MAX: u64 = 20 * 365;

pub(super) fn check(config: &Configuration) -> anyhow::Result<()> {
    check_roles(config)?;
    check_stores(config)?;
    check_kafka(config)?;
    check_databases(config)
}

/// The stores that live in one process.
fn own(config: &Configuration) -> Vec<&'static str> {
    let urls = &config.stores;
    let all = [
        ("queue", urls.queue.is_shared()),
        ("seats", urls.seats.is_shared()),
        ("bookings", urls.bookings.is_shared()),
        ("books", urls.books.is_shared()),
        ("views", urls.views.is_shared(&urls.books)),
    ];
    all.into_iter().filter(|(_, shared)| !shared).map(|(key, _)| key).collect()
}

/// What one node may do and several may not: readers of a shared log share it out, so that what
/// becomes of a booking would reach one node, and its seat another.
pub(crate) fn only_alone(config: &Configuration) -> Option<String> {
    let own = own(config);
    (config.stores.bookings.is_shared() && !own.is_empty()).then(|| own.join(", "))
}

fn check_roles(config: &Configuration) -> anyhow::Result<()> {
    if roles::parse(&config.roles)?.len() == Role::ALL.len() {
        return Ok(());
    }
    if let Some(key) = own(config).first() {
        bail!(
            "roles: stores.{key} lives in one process, so that must run every role; split them \
             only where all five stores are shared"
        );
    }
    Ok(())
}

fn check_stores(config: &Configuration) -> anyhow::Result<()> {
    let urls = &config.stores;
    ensure!(
        !urls.bookings.is_shared() || urls.books.is_shared(),
        "stores.books: a booking log that nodes share needs books that they share: name Postgres"
    );
    let simulated = matches!(config.payment.gateway, GatewayUrl::Simulated(_));
    ensure!(
        !(simulated && urls.bookings.is_shared()),
        "payment.gateway: \"simulated:\" lives in one process and keeps its own log, and \
         stores.bookings is shared: run `tidegate gateway` and name its address"
    );
    Ok(())
}

fn check_kafka(config: &Configuration) -> anyhow::Result<()> {
    let LogUrl::Kafka(_) = &config.stores.bookings else { return Ok(()) };
    let kafka = &config.ledger.kafka;
    for (key, count) in [
        ("bookings_partitions", kafka.bookings_partitions),
        ("outcomes_partitions", kafka.outcomes_partitions),
        ("dead_partitions", kafka.dead_partitions),
        ("replication", kafka.replication),
        ("insync_replicas_min", kafka.insync_replicas_min),
    ] {
        ensure!(count >= 1, "ledger.kafka.{key} must be at least 1");
    }
    ensure!(
        kafka.insync_replicas_min <= kafka.replication,
        "ledger.kafka.insync_replicas_min must be at most replication"
    );
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    ensure!(
        kafka.name_prefix.len() <= 100 && kafka.name_prefix.chars().all(named),
        "ledger.kafka.name_prefix: at most 100 letters, digits, dots, dashes and underscores"
    );
    let session = kafka.session_timeout_ms;
    ensure!(
        SESSION_TIMEOUT_MS.contains(&session),
        "ledger.kafka.session_timeout_ms must be from {} to {}",
        SESSION_TIMEOUT_MS.start(),
        SESSION_TIMEOUT_MS.end()
    );
    ensure!(
        kafka.poll_interval_max_ms >= session,
        "ledger.kafka.poll_interval_max_ms must be at least session_timeout_ms"
    );
    let deadline_ms = u64::from(SaleTerms::default().payment_deadline_seconds) * 1_000;
    ensure!(
        session.saturating_mul(SESSIONS_PER_DEADLINE) <= deadline_ms
            && kafka.delivery_timeout_ms.saturating_mul(SESSIONS_PER_DEADLINE) <= deadline_ms,
        "ledger.kafka.session_timeout_ms and delivery_timeout_ms must be at most a third of an \
         event's payment deadline ({deadline_ms} ms unless it says otherwise)"
    );
    ensure!(
        kafka.delivery_timeout_ms > kafka.linger_ms,
        "ledger.kafka.delivery_timeout_ms must be above linger_ms"
    );
    Ok(())
}

fn check_databases(config: &Configuration) -> anyhow::Result<()> {
    let (postgres, scylla) = (&config.ledger.postgres, &config.ledger.scylla);
    let redis = &config.ledger.redis;
    for (key, value) in [
        ("postgres.connections_max", u64::from(postgres.connections_max)),
        ("postgres.acquire_timeout_ms", postgres.acquire_timeout_ms),
        ("postgres.lock_timeout_ms", postgres.lock_timeout_ms),
        ("scylla.replication", u64::from(scylla.replication)),
        ("scylla.request_timeout_ms", scylla.request_timeout_ms),
        ("scylla.connect_timeout_ms", scylla.connect_timeout_ms),
        ("redis.connect_timeout_ms", redis.connect_timeout_ms),
        ("redis.response_timeout_ms", redis.response_timeout_ms),
        ("redis.inflight_max", redis.inflight_max as u64),
        ("watch_interval_ms", config.ledger.watch_interval_ms),
        ("watch_timeout_ms", config.ledger.watch_timeout_ms),
    ] {
        ensure!(value >= 1, "ledger.{key} must be at least 1");
    }
    ensure!(config.pressure.look_interval_ms >= 1, "pressure.look_interval_ms must be at least 1");
    ensure!(
        postgres.lock_timeout_ms <= postgres.statement_timeout_ms,
        "ledger.postgres.lock_timeout_ms must be at most statement_timeout_ms"
    );
    ensure!(
        scylla.ttl_days <= TTL_DAYS_MAX,
        "ledger.scylla.ttl_days must be at most {TTL_DAYS_MAX}"
    );
    Ok(())
}
