//! The topics: their names, and making sure that they are there.
use super::{Client, LogContext, millis};
use ledger::{Group, StoreError, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use std::sync::Arc;
use std::time::Duration;

const DOING: &str = "creating the booking log's topics";

/// How often a topic that was just made is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The names on the cluster, with the prefix before each.
#[derive(Clone)]
pub(super) struct Names {
    topics: Arc<[String; Topic::ALL.len()]>,
    prefix: Arc<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let topics = Topic::ALL.map(|topic| format!("{prefix}{}", topic.name()));
        Self { topics: Arc::new(topics), prefix: prefix.into() }
    }

    pub(super) fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Bookings => &self.topics[0],
            Topic::Outcomes => &self.topics[1],
            Topic::Dead => &self.topics[2],
        }
    }

    /// The topic of this name.
    pub(super) fn find(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.topic(*topic) == name)
    }

    pub(super) fn group(&self, group: Group) -> String {
        format!("{}{}", self.prefix, group.name())
    }
}

/// Creates what is missing and waits until every partition has a leader.
pub(super) async fn ensure(client: &Client) -> Result<(), StoreError> {
    let failed = |error: KafkaError| StoreError::unavailable(DOING, error);
    let admin: AdminClient<LogContext> =
        client.config().create_with_context(LogContext).map_err(failed)?;
    let timeout = client.bounds.request_timeout;
    let retention = millis(client.bounds.retention);
    let dead_retention = millis(client.bounds.dead_retention);
    let insync = client.bounds.insync_replicas_min.to_string();
    let bytes = client.bounds.message_bytes_max.to_string();
    let topics: Vec<NewTopic<'_>> = client
        .topic_names()
        .map(|(topic, name)| {
            let retention = if topic == Topic::Dead { &dead_retention } else { &retention };
            let replication = TopicReplication::Fixed(i32::from(client.bounds.replication));
            NewTopic::new(name, client.partitions(topic), replication)
                .set("retention.ms", retention)
                .set("min.insync.replicas", &insync)
                .set("max.message.bytes", &bytes)
                // One clock for all, so that the age of a message does not hang on who sent it.
                .set("message.timestamp.type", "LogAppendTime")
        })
        .collect();
    let options =
        AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
    for made in admin.create_topics(&topics, &options).await.map_err(failed)? {
        match made {
            Ok(name) => tracing::info!(topic = name, "a topic was created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(refused(&name, code)),
        }
    }
    let found = tokio::time::timeout(timeout, found(client, admin)).await;
    found.unwrap_or_else(|late| Err(StoreError::unavailable(DOING, late)))
}

fn refused(name: &str, code: RDKafkaErrorCode) -> StoreError {
    let for_ever = matches!(
        code,
        RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    );
    if for_ever {
        StoreError::broken(DOING, format!("{name}: {code}"))
    } else {
        StoreError::unavailable(DOING, format!("{name}: {code}"))
    }
}

/// Returns once every topic is there and every partition has a leader.
async fn found(client: &Client, admin: AdminClient<LogContext>) -> Result<(), StoreError> {
    let admin = Arc::new(admin);
    loop {
        let (admin, timeout) = (admin.clone(), client.bounds.request_timeout);
        let look = move || admin.inner().fetch_metadata(None, timeout);
        let seen = tokio::task::spawn_blocking(look).await;
        let seen = seen.map_err(|error| StoreError::unavailable(DOING, error))?;
        if seen.is_ok_and(|seen| complete(client, &seen)) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn complete(client: &Client, seen: &Metadata) -> bool {
    client.topic_names().all(|(topic, name)| {
        let Some(seen) = seen.topics().iter().find(|seen| seen.name() == name) else {
            return false;
        };
        let (is, stated) = (seen.partitions().len(), client.partitions(topic));
        if is > 0 && i32::try_from(is) != Ok(stated) {
            tracing::warn!(topic = name, is, stated, "a topic has other partitions than stated");
        }
        is > 0 && seen.partitions().iter().all(|partition| partition.leader() >= 0)
    })
}

impl Client {
    fn partitions(&self, topic: Topic) -> i32 {
        let count = match topic {
            Topic::Bookings => self.bounds.bookings_partitions,
            Topic::Outcomes => self.bounds.outcomes_partitions,
            Topic::Dead => self.bounds.dead_partitions,
        };
        i32::from(count)
    }
}
