//! Why a call got no answer, and whether it may have changed something.
use ::redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use ledger::StoreError;

/// A call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    #[error("too many calls are under way")]
    Crowded,
    /// It was tried a moment ago.
    #[error("the server is out of reach")]
    Unreachable,
    #[error("connecting to the server")]
    Connect(#[source] RedisError),
    /// The server, or its client, refused before anything was done.
    #[error("the server refuses")]
    Refused(#[source] RedisError),
    /// Sent, or perhaps sent, and not answered.
    #[error("the server did not answer")]
    Silent(#[source] RedisError),
    /// The script or the data is not what Tidegate wrote.
    #[error("the server cannot do it")]
    Broken(#[source] RedisError),
}

/// Errors by which a server says that it did nothing and may do it later.
const NOT_NOW: [ServerErrorKind; 8] = [
    ServerErrorKind::BusyLoading,
    ServerErrorKind::Moved,
    ServerErrorKind::Ask,
    ServerErrorKind::TryAgain,
    ServerErrorKind::ClusterDown,
    ServerErrorKind::MasterDown,
    ServerErrorKind::ReadOnly,
    ServerErrorKind::NoScript,
];
/// The same, where the library has no name for them.
const NOT_NOW_CODES: [&str; 4] = ["OOM", "BUSY", "MISCONF", "NOREPLICAS"];

impl Fault {
    /// The reply, or what is wrong with it; a server's refusal may come as a value.
    pub(super) fn sorted(reply: RedisResult<Value>) -> Result<Value, Self> {
        match reply {
            Ok(Value::ServerError(error)) => Err(Self::of_reply(error.into())),
            Ok(value) => Ok(value),
            Err(error) => Err(Self::of_reply(error)),
        }
    }

    fn of_reply(error: RedisError) -> Self {
        let kind = error.kind();
        let refused = |known: &ServerErrorKind| kind == ErrorKind::Server(*known);
        if NOT_NOW.iter().any(refused)
            || error.code().is_some_and(|code| NOT_NOW_CODES.contains(&code))
            || kind == ErrorKind::ClusterConnectionNotFound
            || error.is_connection_refusal()
        {
            return Self::Refused(error);
        }
        // A reply that cannot be read, or none at all.
        let lost = [ErrorKind::Io, ErrorKind::Parse, ErrorKind::Client];
        if lost.contains(&kind) { Self::Silent(error) } else { Self::Broken(error) }
    }

    /// The last of several tries of a cluster's client. That nobody is there now, or that the data
    /// moved, says nothing of the try before it, whose answer may have been lost.
    pub(super) fn after_other_tries(self) -> Self {
        let its_own = |error: &RedisError| {
            error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
                || error.code().is_some_and(|code| NOT_NOW_CODES.contains(&code))
        };
        if let Self::Refused(error) = &self
            && !its_own(error)
        {
            return Self::Silent(error.clone());
        }
        self
    }

    pub(super) fn is_no_script(&self) -> bool {
        matches!(self, Self::Refused(error)
            if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// True when the connection is of no more use: broken, silent, or to a server that is no
    /// longer the one that writes.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused(error) => error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly),
            Self::Crowded | Self::Unreachable | Self::Connect(_) | Self::Broken(_) => false,
        }
    }

    pub(super) fn said(self, doing: &'static str) -> StoreError {
        match self {
            Self::Silent(_) => StoreError::unknown(doing, self),
            Self::Broken(error) => StoreError::broken(doing, error),
            Self::Crowded | Self::Unreachable | Self::Connect(_) | Self::Refused(_) => {
                StoreError::unavailable(doing, self)
            }
        }
    }
}
