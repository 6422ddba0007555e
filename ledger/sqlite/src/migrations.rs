//! What brings a file up to date. The bookkeeping is sqlx's, which migrated the older files.
#[cfg(test)]
mod tests;

use super::connection::Connection;
use aws_lc_rs::digest::{SHA384, digest};
use ledger_sql::Record;
use rusqlite::Error;

/// Migrations of one kind of file, in order.
#[derive(Debug, Clone, Copy)]
pub struct Migrations(pub &'static [Migration]);

#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The file's name without its ending: the version, an underscore, what it is about.
    pub name: &'static str,
    pub sql: &'static str,
}

/// A file of the folder `migrations` of the crate that calls this.
#[macro_export]
macro_rules! migration {
    ($name:literal) => {
        $crate::Migration {
            name: $name,
            sql: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
        }
    };
}

/// Why a file could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailure {
    #[error("reading which migrations the file has had")]
    Read { source: Error },
    #[error("running migration {version}")]
    Run { version: i64, source: Error },
    #[error("migration {version} is not the one that the file has had")]
    Changed { version: i64 },
    #[error("migration {version} was begun and not finished")]
    Unfinished { version: i64 },
    #[error("the file has had migration {version}, which this program does not know: it is older")]
    Unknown { version: i64 },
}

/// A migration that the file has had.
struct Applied {
    version: i64,
    finished: bool,
    checksum: Vec<u8>,
}

impl Migrations {
    /// Brings the file up to date, all of it or nothing.
    pub(super) fn run(&self, connection: &Connection) -> Result<(), MigrationFailure> {
        // A file that is up to date is not locked: another process may be selling from it.
        if self.missing(connection)?.is_empty() {
            return Ok(());
        }
        let locked = |source| MigrationFailure::Read { source };
        connection.batch("BEGIN IMMEDIATE").map_err(locked)?;
        // Closing the connection undoes what is not committed.
        for migration in self.missing(connection)? {
            let failed = |source| MigrationFailure::Run { version: migration.version(), source };
            migration.run(connection).map_err(failed)?;
        }
        connection.batch("COMMIT").map_err(locked)
    }

    /// The migrations that the file has not had. Those that it has had must be ours.
    fn missing(&self, connection: &Connection) -> Result<Vec<&Migration>, MigrationFailure> {
        let applied = applied(connection).map_err(|source| MigrationFailure::Read { source })?;
        self.check(&applied)?;
        let is_missing =
            |other: &&Migration| !applied.iter().any(|one| one.version == other.version());
        Ok(self.0.iter().filter(is_missing).collect())
    }

    fn check(&self, applied: &[Applied]) -> Result<(), MigrationFailure> {
        for Applied { version, finished, checksum } in applied {
            let version = *version;
            if !finished {
                return Err(MigrationFailure::Unfinished { version });
            }
            match self.0.iter().find(|migration| migration.version() == version) {
                None => return Err(MigrationFailure::Unknown { version }),
                Some(migration) if migration.checksum() != *checksum => {
                    return Err(MigrationFailure::Changed { version });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Migration {
    fn version(&self) -> i64 {
        self.name.split_once('_').and_then(|(version, _)| version.parse().ok()).unwrap_or(0)
    }

    fn checksum(&self) -> Vec<u8> {
        digest(&SHA384, self.sql.as_bytes()).as_ref().to_vec()
    }

    fn run(&self, connection: &Connection) -> Result<(), Error> {
        let about = self.name.split_once('_').map_or("", |(_, about)| about).replace('_', " ");
        connection.batch(self.sql)?;
        connection.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (?1, ?2, TRUE, ?3, -1)",
            (self.version(), about, self.checksum()),
        )?;
        Ok(())
    }
}

fn applied(connection: &Connection) -> Result<Vec<Applied>, Error> {
    connection.batch(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
             version BIGINT PRIMARY KEY,
             description TEXT NOT NULL,
             installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
             success BOOLEAN NOT NULL,
             checksum BLOB NOT NULL,
             execution_time BIGINT NOT NULL)",
    )?;
    let sql = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";
    connection.all(sql, (), |row: &dyn Record| {
        Ok(Applied {
            version: row.integer("version")?,
            finished: row.flag("success")?,
            checksum: row.bytes("checksum")?.to_vec(),
        })
    })
}
