//! The shared Redis code against real servers.
use super::*;
use crate::testing::{BOUNDS, both};

#[tokio::test]
async fn a_script_is_loaded_where_it_is_missing() {
    for url in both() {
        let redis = Redis::open(&url, BOUNDS).await.unwrap();
        let source =
            format!("return {{KEYS[1], ARGV[1], '{}'}}", ledger::IdSource::system().random());
        let script = Script::new(source);
        for key in ["{a}:x", "{b}:x", "{c}:x", "{d}:x"] {
            for _ in 0..2 {
                let answer = redis.run("testing", &script, &[key.as_bytes()], &[b"1"]).await;
                let Value::Array(parts) = answer.unwrap() else { panic!("an array was sent") };
                assert_eq!(parts[0], Value::BulkString(key.as_bytes().to_vec()));
            }
        }
    }
}

#[tokio::test]
async fn a_script_that_fails_is_broken_not_lost() {
    for url in both() {
        let redis = Redis::open(&url, BOUNDS).await.unwrap();
        let script = Script::new("return redis.call('NONSENSE')");
        let error = redis.run("testing", &script, &[b"{a}:x"], &[]).await.unwrap_err();
        assert!(!error.is_retryable() && !error.is_unknown(), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_refused_at_opening() {
    for url in ["redis://127.0.0.1:1", "redis-cluster://127.0.0.1:1"] {
        assert!(matches!(Redis::open(url, BOUNDS).await.err(), Some(RedisFailure::Connect { .. })));
    }
    for url in ["http://127.0.0.1", "redis-cluster://", "redis-cluster://a,,b", "rediss://a"] {
        assert!(
            matches!(Redis::open(url, BOUNDS).await.err(), Some(RedisFailure::Address { .. })),
            "{url}"
        );
    }
}
