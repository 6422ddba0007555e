//! Taking a test's keyspace away.
use ::scylla::client::session_builder::SessionBuilder;

/// # Panics
/// When the server does not do it.
pub async fn remove_keyspace(node: &str, keyspace: &str) {
    let session = SessionBuilder::new().known_node(node).build().await.expect("a CQL server");
    let drop = format!("DROP KEYSPACE IF EXISTS \"{keyspace}\"");
    session.query_unpaged(drop, ()).await.expect("the keyspace goes");
}

/// Names another node than the one that `ops/dev/up cassandra` starts.
pub const CQL_VARIABLE: &str = "TIDEGATE_TEST_CQL";

/// Where the tests' node is.
#[expect(clippy::disallowed_methods, reason = "where the tests' servers are")]
pub fn cql_server() -> String {
    std::env::var(CQL_VARIABLE).unwrap_or_else(|_| "127.0.0.1:19042".to_owned())
}
