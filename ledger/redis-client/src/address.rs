//! Where the servers are, as a configuration names them, and why they could not be opened.
use super::fault::Fault;
use ::redis::io::tcp::TcpSettings;
use ::redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError};

/// Why a Redis could not be opened. Says nothing of its address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    #[error("reading the address of the Redis server")]
    Address { source: RedisError },
    #[error("connecting to the Redis server")]
    Connect { source: RedisError },
    #[error("asking the Redis server for its eviction policy")]
    Policy { source: RedisError },
    /// It would drop keys when memory is short.
    #[error("the Redis server evicts keys: maxmemory-policy is {policy:?}, it must be noeviction")]
    Evicts { policy: String },
}

pub(super) enum Address {
    Single(ConnectionInfo),
    /// Addresses of some of the nodes.
    Cluster(Vec<String>),
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, RedisFailure> {
        let failed = |source| RedisFailure::Address { source };
        let Some(nodes) = url.strip_prefix("redis-cluster://") else {
            let info = url.into_connection_info().map_err(failed)?;
            // By RESP3 the client hears at once that a connection is gone.
            let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
            let info = info.set_redis_settings(settings).set_tcp_settings(at_once());
            return Ok(Self::Single(info));
        };
        // A user and a password are the same for all nodes.
        let (user, nodes) = match nodes.rsplit_once('@') {
            Some((user, nodes)) => (format!("{user}@"), nodes),
            None => (String::new(), nodes),
        };
        let nodes = nodes.trim_end_matches('/').split(',');
        let nodes: Vec<_> = nodes.map(|node| format!("redis://{user}{node}")).collect();
        for node in &nodes {
            node.as_str().into_connection_info().map_err(failed)?;
        }
        Ok(Self::Cluster(nodes))
    }
}

/// A small question is not kept back until the one before it is acknowledged.
pub(super) fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl RedisFailure {
    pub(super) fn connect(fault: Fault) -> Self {
        Self::Connect { source: source_of(fault) }
    }

    pub(super) fn policy(fault: Fault) -> Self {
        Self::Policy { source: source_of(fault) }
    }
}

fn source_of(fault: Fault) -> RedisError {
    match fault {
        Fault::Connect(error)
        | Fault::Refused(error)
        | Fault::Silent(error)
        | Fault::Broken(error) => error,
        Fault::Crowded | Fault::Unreachable => {
            RedisError::from((ErrorKind::Io, "the server is out of reach"))
        }
    }
}
