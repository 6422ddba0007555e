//! Taking a test's keyspace away.
use ::scylla::client::session_builder::SessionBuilder;

/// # Panics
/// When the server does not do it.
pub(crate) async fn remove_keyspace(node: &str, keyspace: &str) {
    let session = SessionBuilder::new().known_node(node).build().await.expect("a CQL server");
    let drop = format!("DROP KEYSPACE IF EXISTS \"{keyspace}\"");
    session.query_unpaged(drop, ()).await.expect("the keyspace goes");
}
