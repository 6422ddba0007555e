//! Store URLs: which backend a seam has is said by a scheme, and read once.
use serde::Deserialize;
use serde::de::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where queues live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// In this process, recovered from the books.
    Local,
    Redis(Address),
}

/// Where seats live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatsUrl {
    /// In this process, kept through a crash by the seat journal.
    Local,
    Redis(Address),
}

/// Where the booking log lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogUrl {
    Sqlite(FilePath),
    /// The brokers: `host:port`, separated by commas.
    Kafka(String),
}

/// Where the books live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BooksUrl {
    Sqlite(FilePath),
    Postgres(Address),
}

/// Where the views live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewsUrl {
    /// In the database of the books.
    WithBooks,
    Sqlite(FilePath),
    Postgres(Address),
    Scylla {
        /// `scylla://host:port`, more separated by commas; perhaps with `user:password@` before.
        nodes: Address,
        keyspace: String,
    },
}

/// Who takes the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayUrl {
    /// The simulation in this process, with its query string.
    Simulated(String),
    /// A gateway over HTTP, such as `tidegate gateway`.
    Http(String),
}

/// A SQLite file; empty is `tidegate.db` under the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(PathBuf);

/// An address that may hold a password, and so never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the scheme.
    pub fn rest(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, rest)| rest)
    }

    /// Without its password.
    pub fn shown(&self) -> String {
        without_password(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

impl FilePath {
    /// The file, given the data folder.
    pub fn under(&self, data: &Path) -> PathBuf {
        if self.0.as_os_str().is_empty() { data.join("tidegate.db") } else { self.0.clone() }
    }

    /// Makes a relative path relative to `base`.
    fn resolve(&mut self, base: &Path) {
        if !self.0.as_os_str().is_empty() {
            self.0 = base.join(&self.0);
        }
    }
}

impl QueueUrl {
    /// True where several nodes can share it.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local:" => Ok(Self::Local),
            _ => redis(text).map(Self::Redis).ok_or_else(|| refused("queue store", text, FAST)),
        }
    }
}

impl SeatsUrl {
    /// True where several nodes can share it.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local:" => Ok(Self::Local),
            _ => redis(text).map(Self::Redis).ok_or_else(|| refused("seat store", text, FAST)),
        }
    }
}

impl LogUrl {
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Kafka(_))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        if let Self::Sqlite(path) = self {
            path.resolve(base);
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = sqlite(text) {
            return Ok(Self::Sqlite(path));
        }
        let brokers = text.strip_prefix("kafka://").map(|rest| rest.trim_end_matches('/'));
        match brokers {
            Some(brokers) if is_hosts(brokers) => Ok(Self::Kafka(brokers.to_owned())),
            Some(_) | None => {
                let use_these = "\"sqlite:\", \"sqlite:PATH\" or \"kafka://HOST:PORT,…\"";
                Err(refused("booking log", text, use_these))
            }
        }
    }
}

impl BooksUrl {
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        if let Self::Sqlite(path) = self {
            path.resolve(base);
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let use_these = "\"sqlite:\", \"sqlite:PATH\" or \"postgres://USER@HOST/DATABASE\"";
        let found = sqlite(text).map(Self::Sqlite).or(postgres(text).map(Self::Postgres));
        found.ok_or_else(|| refused("place for books", text, use_these))
    }
}

impl ViewsUrl {
    /// True where several nodes can share it, given the books.
    pub fn is_shared(&self, books: &BooksUrl) -> bool {
        match self {
            Self::WithBooks => books.is_shared(),
            Self::Sqlite(_) => false,
            Self::Postgres(_) | Self::Scylla { .. } => true,
        }
    }

    pub(super) fn resolve(&mut self, base: &Path) {
        if let Self::Sqlite(path) = self {
            path.resolve(base);
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::WithBooks);
        }
        let use_these = "\"\", \"sqlite:\", \"sqlite:PATH\", \"postgres://USER@HOST/DATABASE\" or \
                         \"scylla://HOST:PORT,…/KEYSPACE\"";
        let found = sqlite(text).map(Self::Sqlite).or(postgres(text).map(Self::Postgres));
        found.or(scylla(text)).ok_or_else(|| refused("place for views", text, use_these))
    }
}

impl GatewayUrl {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("simulated:") {
            let query = rest.strip_prefix('?').unwrap_or(rest);
            return Ok(Self::Simulated(query.to_owned()));
        }
        if text.starts_with("http://") {
            return Ok(Self::Http(text.trim_end_matches('/').to_owned()));
        }
        Err(refused("gateway", text, "\"simulated:?…\" or \"http://…\""))
    }
}

/// Where the fast copies may live.
const FAST: &str = "\"local:\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,…\"";

fn refused(what: &str, text: &str, use_these: &str) -> String {
    format!("{:?} is no {what}; use {use_these}", without_password(text))
}

fn sqlite(text: &str) -> Option<FilePath> {
    text.strip_prefix("sqlite:").map(|path| FilePath(path.into()))
}

fn postgres(text: &str) -> Option<Address> {
    let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
    known.then(|| Address(text.to_owned()))
}

/// More of it is read by the client.
fn redis(text: &str) -> Option<Address> {
    let known = text.starts_with("redis://") || text.starts_with("redis-cluster://");
    known.then(|| Address(text.to_owned()))
}

fn scylla(text: &str) -> Option<ViewsUrl> {
    let (nodes, keyspace) = text.rsplit_once('/')?;
    let hosts = nodes.strip_prefix("scylla://")?;
    let hosts = hosts.rsplit_once('@').map_or(hosts, |(_, hosts)| hosts);
    let sound = is_hosts(hosts) && !keyspace.is_empty();
    sound.then(|| ViewsUrl::Scylla { nodes: Address(nodes.into()), keyspace: keyspace.into() })
}

/// Names or addresses, each with or without a port, separated by commas.
fn is_hosts(text: &str) -> bool {
    let sound = |host: &str| !host.is_empty() && !host.contains(['/', '@', ' ', '?']);
    text.split(',').all(|host| sound(host.trim()))
}

/// Properties of librdkafka whose value is no secret; of any other only the name is shown.
const PROPERTIES_SHOWN: [&str; 10] = [
    "broker.address.family",
    "client.id",
    "client.rack",
    "compression.type",
    "debug",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "security.protocol",
    "ssl.ca.location",
];

/// Parts of names in a query that promise a secret.
const SECRET_NAMES: [&str; 6] = ["password", "passwd", "secret", "key", "token", "credential"];

/// A property `name=value` as it may be shown.
pub(crate) fn without_secret(property: &str) -> String {
    match property.split_once('=') {
        Some((name, _)) if !PROPERTIES_SHOWN.contains(&name.trim()) => format!("{name}=…"),
        Some(_) | None => property.to_owned(),
    }
}

/// An address as it may be shown: `scheme://user:…@host`, and `password=…` in its query. The user
/// of an HTTP address is an API key more often than a name, and is not shown either.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // A password that is not escaped may hold whatever ends an authority, so all before the last @
    // counts as user and password.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (shown_user(scheme, user), rest),
        None => (String::new(), rest),
    };
    let mut shown = format!("{scheme}://{user}");
    for part in rest.split_inclusive(['?', '&']) {
        let end = part.chars().last().filter(|c| matches!(c, '?' | '&'));
        match part.split_once('=') {
            Some((name, _)) if promises_secret(name) => {
                shown.push_str(name);
                shown.push_str("=…");
                shown.extend(end);
            }
            Some(_) | None => shown.push_str(part),
        }
    }
    shown
}

fn shown_user(scheme: &str, user: &str) -> String {
    match user.split_once(':') {
        _ if scheme.starts_with("http") => "…@".to_owned(),
        Some((name, _)) => format!("{name}:…@"),
        // This @ stands in a path or a query.
        None if user.contains(['?', '=', '/']) => "…@".to_owned(),
        None => format!("{user}@"),
    }
}

fn promises_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_NAMES.iter().any(|word| name.contains(word))
}

macro_rules! deserialize_by_parse {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
            }
        }
    )*};
}

deserialize_by_parse!(QueueUrl, SeatsUrl, LogUrl, BooksUrl, ViewsUrl, GatewayUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_choose_backends() {
        let data = Path::new("data");
        let BooksUrl::Sqlite(file) = BooksUrl::parse("sqlite:").unwrap() else { panic!() };
        assert_eq!(file.under(data), data.join("tidegate.db"));
        let BooksUrl::Sqlite(file) = BooksUrl::parse("sqlite:/a/b.db").unwrap() else { panic!() };
        assert_eq!(file.under(data), Path::new("/a/b.db"));
        let url = "postgres://u@h/db";
        assert_eq!(BooksUrl::parse(url), Ok(BooksUrl::Postgres(Address(url.into()))));
        assert_eq!(LogUrl::parse("kafka://a:1,b:2"), Ok(LogUrl::Kafka("a:1,b:2".into())));
        assert_eq!(ViewsUrl::parse(""), Ok(ViewsUrl::WithBooks));
        for url in ["redis://:p@h:1/2", "redis-cluster://a:1,b:2"] {
            assert_eq!(QueueUrl::parse(url), Ok(QueueUrl::Redis(Address(url.into()))));
            assert_eq!(SeatsUrl::parse(url), Ok(SeatsUrl::Redis(Address(url.into()))));
        }
        assert_eq!(
            ViewsUrl::parse("scylla://u:p@a:1,b/k"),
            Ok(ViewsUrl::Scylla {
                nodes: Address("scylla://u:p@a:1,b".into()),
                keyspace: "k".into()
            })
        );
        assert_eq!(
            GatewayUrl::parse("simulated:?decline=0.1"),
            Ok(GatewayUrl::Simulated("decline=0.1".into()))
        );
    }

    #[test]
    fn other_schemes_and_half_addresses_are_refused() {
        for bad in ["local", "mysql://x", "sqlite", "kafka://", "kafka://a,,b", "scylla://a"] {
            assert!(QueueUrl::parse(bad).is_err(), "{bad}");
            assert!(SeatsUrl::parse(bad).is_err(), "{bad}");
            assert!(LogUrl::parse(bad).is_err(), "{bad}");
            assert!(BooksUrl::parse(bad).is_err(), "{bad}");
            assert!(ViewsUrl::parse(bad).is_err(), "{bad}");
            assert!(GatewayUrl::parse(bad).is_err(), "{bad}");
        }
        let refused = BooksUrl::parse("mysql://u:secret@h/db").unwrap_err();
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let table = [
            ("local:", "local:"),
            ("postgres://h/db", "postgres://h/db"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("postgres://u:secret@h:5432/db", "postgres://u:…@h:5432/db"),
            ("postgres://u:p@ss@h/db?x=1", "postgres://u:…@h/db?x=1"),
            ("postgres://u:p/w@h/db", "postgres://u:…@h/db"),
            ("postgres://h/db?user=u&password=s", "postgres://h/db?user=u&password=…"),
            ("redis://:secret@h:1", "redis://:…@h:1"),
            ("scylla://u:p@a,b/k", "scylla://u:…@a,b/k"),
            ("postgres://u:pa?ss@h/db", "postgres://u:…@h/db"),
            ("postgres://u:pa#s&s@h/db?sslmode=require", "postgres://u:…@h/db?sslmode=require"),
            ("postgres://h/db?password=s&user=a@b", "postgres://…@b"),
            ("postgres://h/db?user=a@b&sslpassword=s", "postgres://…@b&sslpassword=…"),
            ("http://sk_live_1@h:80", "http://…@h:80"),
            ("http://u:p@h:80", "http://…@h:80"),
            ("http://h:80/?api_key=s&x=1", "http://h:80/?api_key=…&x=1"),
        ];
        for (url, shown) in table {
            assert_eq!(without_password(url), shown);
        }
        assert_eq!(without_secret("sasl.password=s"), "sasl.password=…");
        assert_eq!(without_secret("sasl.username=u"), "sasl.username=u");
        let java = "sasl.jaas.config=org.apache.X required username=u password=s;";
        assert_eq!(without_secret(java), "sasl.jaas.config=…");
        assert_eq!(without_secret("ssl.key.pem=s"), "ssl.key.pem=…");
        let BooksUrl::Postgres(address) = BooksUrl::parse("postgres://u:secret@h/d").unwrap()
        else {
            panic!("a Postgres address")
        };
        assert!(!format!("{address:?}").contains("secret"));
    }
}
