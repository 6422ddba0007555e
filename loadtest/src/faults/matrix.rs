//! Which faults there are, and the spike that each is put into.
use super::Flags;
use crate::scenario::{Scenario, Wanted};
use clap::ValueEnum;
use serde::Serialize;
use std::time::Duration;

/// The sale is in full swing by then.
pub(super) const BEFORE: Duration = Duration::from_secs(8);
/// People still arrive for so long after the fault should have healed.
const AFTER: Duration = Duration::from_secs(20);

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fault {
    /// kill -9 of each payment worker in turn, with charges on their way.
    WorkerKill,
    /// kill -9 of each node that people talk to, in turn.
    IngressKill,
    /// kill -9 of the broker, and a proper restart.
    KafkaRestart,
    /// A proper restart of Postgres, and a kill -9.
    PostgresRestart,
    /// Connections to Postgres cut during COMMIT, before and after it was heard.
    PostgresCut,
    /// kill -9 of Redis, which comes back with nothing.
    RedisRestart,
    /// FLUSHALL in the middle of the sale.
    RedisFlushall,
    /// kill -9 of the master that has the event's seats; a replica takes over.
    RedisClusterFailover,
    /// Cassandra away for a minute.
    CassandraDown,
    /// A payment worker joins or leaves every 5 s.
    Rebalance,
    /// Every command and outcome appended again, at once and later.
    Duplicates,
    /// Messages that nobody can read.
    Poison,
    /// A gateway that takes connections and says nothing.
    GatewayHang,
}

impl Fault {
    pub(super) const ALL: [Self; 13] = [
        Self::WorkerKill,
        Self::IngressKill,
        Self::KafkaRestart,
        Self::PostgresRestart,
        Self::PostgresCut,
        Self::RedisRestart,
        Self::RedisFlushall,
        Self::RedisClusterFailover,
        Self::CassandraDown,
        Self::Rebalance,
        Self::Duplicates,
        Self::Poison,
        Self::GatewayHang,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WorkerKill => "worker-kill",
            Self::IngressKill => "ingress-kill",
            Self::KafkaRestart => "kafka-restart",
            Self::PostgresRestart => "postgres-restart",
            Self::PostgresCut => "postgres-cut",
            Self::RedisRestart => "redis-restart",
            Self::RedisFlushall => "redis-flushall",
            Self::RedisClusterFailover => "redis-cluster-failover",
            Self::CassandraDown => "cassandra-down",
            Self::Rebalance => "rebalance",
            Self::Duplicates => "duplicates",
            Self::Poison => "poison",
            Self::GatewayHang => "gateway-hang",
        }
    }

    /// About how long it lasts.
    fn lasts(self, flags: &Flags) -> Duration {
        let seconds = match self {
            Self::WorkerKill | Self::IngressKill | Self::Duplicates => 14,
            Self::KafkaRestart | Self::PostgresRestart => 16,
            Self::PostgresCut | Self::RedisRestart | Self::RedisFlushall | Self::Poison => 10,
            Self::RedisClusterFailover => 12,
            Self::CassandraDown => flags.cassandra_down_seconds + 8,
            Self::Rebalance => 22,
            Self::GatewayHang => 15,
        };
        Duration::from_secs(seconds)
    }

    /// How long the gateway takes for a charge: long enough to be killed in the middle of one.
    pub(super) fn gateway_latency_ms(self) -> u32 {
        match self {
            Self::WorkerKill | Self::Rebalance => 800,
            Self::IngressKill
            | Self::KafkaRestart
            | Self::PostgresRestart
            | Self::PostgresCut
            | Self::RedisRestart
            | Self::RedisFlushall
            | Self::RedisClusterFailover
            | Self::CassandraDown
            | Self::Duplicates
            | Self::Poison
            | Self::GatewayHang => 100,
        }
    }

    /// A crowd that comes before, during and after the fault, for about half as many seats as it
    /// wants, so that the last ones are sold after it.
    pub(super) fn scenario(self, flags: &Flags) -> Scenario {
        let arrive = BEFORE + self.lasts(flags) + AFTER;
        let users = flags.per_second * u32::try_from(arrive.as_secs()).unwrap_or(u32::MAX);
        let scenario = Scenario::new(Wanted {
            users,
            seats: users,
            arrive,
            rate_per_minute: Some(flags.per_second * 60),
            capacity: None,
            seed: flags.seed,
        });
        Scenario {
            hold_ttl_seconds: 30,
            session_seconds: 180,
            mischief: arrive,
            think: Duration::from_secs(3),
            hunt: Duration::from_secs(30),
            disturbed: true,
            ..scenario
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_called_as_the_command_line_has_them() {
        assert_eq!(Fault::ALL.as_slice(), Fault::value_variants());
        for fault in Fault::ALL {
            let value = fault.to_possible_value().expect("no fault is hidden");
            assert_eq!(value.get_name(), fault.name());
        }
    }
}
