//! The check that no server drops keys when its memory is full.
use super::address::RedisFailure;
use super::fault::Fault;
use super::{Link, Redis};
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use ::redis::{FromRedisValue, Value, cmd};
use std::collections::HashMap;

impl Redis {
    /// Asks every server that takes writes. `INFO` is there where `CONFIG` is forbidden.
    pub(super) async fn check_policy(&self) -> Result<(), RedisFailure> {
        let mut info = cmd("INFO");
        info.arg("memory");
        let answers = match &self.link {
            Link::Single(single) => vec![text(single.send(&info).await)?],
            Link::Cluster(cluster) => {
                let everyone = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                let found = cluster.clone().route_command(info, everyone).await;
                let found =
                    found.and_then(|value| Ok(HashMap::<String, String>::from_redis_value(value)?));
                let found = found.map_err(|source| RedisFailure::Policy { source })?;
                found.into_values().collect()
            }
        };
        answers.iter().try_for_each(|info| check(info))
    }
}

fn text(answer: Result<Value, Fault>) -> Result<String, RedisFailure> {
    let value = answer.map_err(RedisFailure::policy)?;
    let text = String::from_redis_value(value);
    text.map_err(|source| RedisFailure::Policy { source: source.into() })
}

fn check(info: &str) -> Result<(), RedisFailure> {
    let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
    match policy.map(str::trim) {
        Some("noeviction") => Ok(()),
        other => Err(RedisFailure::Evicts { policy: other.unwrap_or("unknown").to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_noeviction_will_do() {
        let said = |policy: &str| check(&format!("# Memory\r\nmaxmemory_policy:{policy}\r\n"));
        assert!(said("noeviction").is_ok());
        assert!(said("allkeys-lru").is_err());
        assert!(said("volatile-ttl").is_err());
        assert!(check("# Memory\r\n").is_err());
    }
}
