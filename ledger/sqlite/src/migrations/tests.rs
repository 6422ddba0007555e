//! Files of the builds that migrated with sqlx open, and only files that this build knows.
use crate::tests::count;
use crate::{FileFailure, MIGRATIONS, MigrationFailure, SqliteAccounts, SqliteFile};
use ledger::books::Accounts;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The table of migrations as a build with sqlx 0.9 left it.
const BY_SQLX: &str = include_str!("by_sqlx.sql");

/// A file as such a build left it, with one account in it.
fn written_by_sqlx(folder: &Path) -> (PathBuf, Connection) {
    let path = folder.join("tidegate.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    for migration in MIGRATIONS.0 {
        connection.execute_batch(migration.sql).unwrap();
    }
    connection.execute_batch(BY_SQLX).unwrap();
    let ada = "INSERT INTO accounts VALUES ('acc_ada', 'ada', NULL, 'user', 1)";
    connection.execute(ada, ()).unwrap();
    (path, connection)
}

/// Version, description and checksum of each migration that a file has had.
fn listed(connection: &Connection) -> Vec<(i64, String, Vec<u8>)> {
    let sql = "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_file_written_by_sqlx_opens() {
    let folder = tempfile::tempdir().unwrap();
    let (path, connection) = written_by_sqlx(folder.path());
    let before = listed(&connection);
    let file = SqliteFile::open(&path, &MIGRATIONS).await.unwrap();
    let ada = SqliteAccounts::new(file.clone()).by_name("ada").await.unwrap();
    assert_eq!(ada.map(|account| account.id.to_string()).as_deref(), Some("acc_ada"));
    assert_eq!(listed(&connection), before, "nothing was migrated again");
}

#[tokio::test]
async fn a_new_file_lists_its_migrations_as_sqlx_would() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let file = SqliteFile::open(&path, &MIGRATIONS).await.unwrap();
    let (_, by_sqlx) = written_by_sqlx(folder.path());
    assert_eq!(listed(&Connection::open(&path).unwrap()), listed(&by_sqlx));
    // Opened again, it is left as it is.
    file.close().await;
    let file = SqliteFile::open(&path, &MIGRATIONS).await.unwrap();
    let all = count(&file, "SELECT count(*) FROM _sqlx_migrations").await;
    assert_eq!(usize::try_from(all), Ok(MIGRATIONS.0.len()));
}

#[tokio::test]
async fn a_file_that_another_program_migrated_is_refused() {
    type Expected = fn(&MigrationFailure) -> bool;
    let table: [(&str, Expected); 3] = [
        ("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 10", |failure| {
            matches!(failure, MigrationFailure::Changed { version: 10 })
        }),
        ("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 10", |failure| {
            matches!(failure, MigrationFailure::Unfinished { version: 10 })
        }),
        ("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 10", |failure| {
            matches!(failure, MigrationFailure::Unknown { version: 9_999 })
        }),
    ];
    for (change, expected) in table {
        let folder = tempfile::tempdir().unwrap();
        let (path, connection) = written_by_sqlx(folder.path());
        connection.execute(change, ()).unwrap();
        match SqliteFile::open(&path, &MIGRATIONS).await.err() {
            Some(FileFailure::Migrate { source, .. }) => assert!(expected(&source), "{source:?}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    use crate::{Migration, Migrations};
    const BROKEN: Migrations = Migrations(&[
        Migration { name: "0001_one", sql: "CREATE TABLE one (a)" },
        Migration { name: "0002_two", sql: "CREATE TABLE two (a); CREATE TABLE one (a)" },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    match SqliteFile::open(&path, &BROKEN).await.err() {
        Some(FileFailure::Migrate { source: MigrationFailure::Run { version: 2, .. }, .. }) => {}
        other => panic!("{other:?}"),
    }
    let connection = Connection::open(&path).unwrap();
    let tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('one', 'two')";
    assert_eq!(connection.query_row(tables, (), |row| row.get::<_, i64>(0)), Ok(0));
}

#[test]
fn every_migration_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned()).collect();
    names.sort();
    let embedded: Vec<_> = MIGRATIONS.0.iter().map(|migration| migration.name).collect();
    assert_eq!(names, embedded);
}
