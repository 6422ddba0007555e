//! What a failure means: nothing happened, nobody knows, or it would fail the same way for ever.
use ledger::{Source, StoreError, Unbalanced};
use ledger_sql::RowError;
use sqlx::Error;

/// Why a piece of work was not done.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(Error),
    /// Others were faster, again and again.
    Contended,
    /// The server did not answer in time.
    Silent,
    /// It was found out of reach a moment ago.
    Unreachable,
}

/// What became of a transaction that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It ended before its COMMIT: nothing of it is there.
    Undone(Fault),
    /// Its COMMIT was sent, and the answer never came.
    Unsure(Fault),
}

impl From<RowError> for Fault {
    fn from(error: RowError) -> Self {
        Self::Sql(error.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Unbalanced> for Fault {
    fn from(error: Unbalanced) -> Self {
        RowError::from(error).into()
    }
}

impl Failure {
    /// What a failed COMMIT means. That it was refused is only believed of the reasons for which
    /// the server takes a transaction back: a session that is shut down may have committed first.
    pub(super) fn of_commit(error: Error) -> Self {
        match code(&error) {
            Some(code) if matches!(class(&code), "23" | "40") => Self::Undone(error.into()),
            _ => Self::Unsure(error.into()),
        }
    }

    /// True when nothing happened and only the company was at fault: the same work again, at
    /// once, has a chance.
    pub(super) fn is_collision(&self) -> bool {
        match self {
            Self::Undone(Fault::Contended) => true,
            // Serialization failure, deadlock, lock timeout.
            Self::Undone(Fault::Sql(error)) => {
                matches!(code(error).as_deref(), Some("40001" | "40P01" | "55P03"))
            }
            Self::Undone(Fault::Silent | Fault::Unreachable) | Self::Unsure(_) => false,
        }
    }

    pub(super) fn said(self, doing: &'static str) -> StoreError {
        match self {
            Self::Undone(fault) if fault.is_for_ever() => StoreError::broken(doing, fault),
            Self::Undone(fault) => StoreError::unavailable(doing, fault),
            Self::Unsure(fault) => StoreError::unknown(doing, fault),
        }
    }
}

impl Fault {
    /// True when the same work would fail the same way again.
    fn is_for_ever(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        match code(error) {
            // Data, constraints, syntax and names, triggers, unsupported; damaged pages.
            Some(code) => {
                matches!(class(&code), "0A" | "22" | "23" | "42" | "P0")
                    || matches!(&*code, "XX001" | "XX002")
            }
            None => {
                matches!(
                    error,
                    // A row that Tidegate never wrote.
                    Error::ColumnDecode { .. }
                        | Error::Decode(_)
                        | Error::ColumnNotFound(_)
                        | Error::Encode(_)
                        | Error::TypeNotFound { .. }
                        | Error::RowNotFound
                )
            }
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => error.fmt(f),
            Self::Contended => f.write_str("others were faster each time"),
            Self::Silent => f.write_str("the server did not answer in time"),
            Self::Unreachable => f.write_str("the server is out of reach"),
        }
    }
}

impl From<Fault> for Source {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            other @ (Fault::Contended | Fault::Silent | Fault::Unreachable) => {
                other.to_string().into()
            }
        }
    }
}

/// The SQLSTATE of an error that the server sent:
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn code(error: &Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

fn class(code: &str) -> &str {
    code.get(..2).unwrap_or("")
}
