//! How a command fails: used wrongly (exit code 2), or tried and failed (exit code 1).
use std::io::Write;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use or configuration; nothing was touched.
    Usage(anyhow::Error),
    Failed(anyhow::Error),
}

impl Failure {
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }

    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
        }
    }

    /// One line on stderr with the whole chain of causes.
    pub fn print(&self) {
        let (Self::Usage(error) | Self::Failed(error)) = self;
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(std::io::stderr(), "tidegate: {error:#}");
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
