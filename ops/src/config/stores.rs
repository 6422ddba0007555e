//! Store URLs: which backend a seam has is said by a scheme, and read once.
use serde::Deserialize;
use serde::de::Error as _;
use std::path::{Path, PathBuf};

/// Where queues live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// In this process, recovered from the books.
    Local,
}

/// Where seats live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatsUrl {
    /// In this process, kept through a crash by the seat journal.
    Local,
}

/// Where the log, the books or the views live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordUrl {
    /// A SQLite file; an empty path is `tidegate.db` under the data folder.
    Sqlite(PathBuf),
}

/// Who takes the money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayUrl {
    /// The simulation in this process, with its query string.
    Simulated(String),
    /// A gateway over HTTP, such as `tidegate gateway`.
    Http(String),
}

impl RecordUrl {
    /// The file, given the data folder.
    pub fn path(&self, data: &Path) -> PathBuf {
        let Self::Sqlite(path) = self;
        if path.as_os_str().is_empty() { data.join("tidegate.db") } else { path.clone() }
    }

    /// Makes a relative path relative to `base`.
    pub(super) fn resolve(&mut self, base: &Path) {
        let Self::Sqlite(path) = self;
        if !path.as_os_str().is_empty() {
            *path = base.join(&*path);
        }
    }
}

impl QueueUrl {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local:" => Ok(Self::Local),
            other => Err(format!("{other:?} is no queue store; use \"local:\"")),
        }
    }
}

impl SeatsUrl {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "local:" => Ok(Self::Local),
            other => Err(format!("{other:?} is no seat store; use \"local:\"")),
        }
    }
}

impl RecordUrl {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(path.into())),
            None => Err(format!("{text:?} is no such store; use \"sqlite:\" or \"sqlite:PATH\"")),
        }
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
        Err(format!("{text:?} is no gateway; use \"simulated:?…\" or \"http://…\""))
    }
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

deserialize_by_parse!(QueueUrl, SeatsUrl, RecordUrl, GatewayUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_choose_backends_and_others_are_refused() {
        let data = Path::new("data");
        assert_eq!(RecordUrl::parse("sqlite:").unwrap().path(data), data.join("tidegate.db"));
        assert_eq!(RecordUrl::parse("sqlite:/a/b.db").unwrap().path(data), Path::new("/a/b.db"));
        assert_eq!(
            GatewayUrl::parse("simulated:?decline=0.1"),
            Ok(GatewayUrl::Simulated("decline=0.1".into()))
        );
        for bad in ["", "local", "mysql://x", "sqlite"] {
            assert!(QueueUrl::parse(bad).is_err(), "{bad}");
            assert!(RecordUrl::parse(bad).is_err(), "{bad}");
            assert!(GatewayUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
