//! Group commit against a real file: shared fsyncs, lone failures that stay alone, honest answers.
use crate::tests::{crashed, open};
use crate::{Connection, Receipt, SqliteFile};
use futures_util::FutureExt;
use futures_util::future::join_all;
use ledger::StoreError;
use rusqlite::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

fn note(word: &str) -> impl FnOnce(&Connection) -> Result<usize, Error> + Send + 'static {
    let word = word.to_owned();
    move |connection| {
        connection.execute("INSERT INTO notes VALUES (?1, ?2)", (word, vec![0u8; 2_000]))
    }
}

fn run(file: &SqliteFile, sql: &'static str) -> Receipt<()> {
    file.write("running a statement", move |connection| connection.batch(sql))
}

async fn with_notes(dir: &tempfile::TempDir) -> SqliteFile {
    let file = open(dir).await;
    run(&file, "CREATE TABLE notes (word TEXT UNIQUE, ballast BLOB)").await.unwrap();
    file
}

async fn notes(file: &SqliteFile) -> Vec<String> {
    let words = file.read("reading notes", |connection| {
        let sql = "SELECT word FROM notes ORDER BY rowid";
        connection.all(sql, (), |row| row.text("word").map(str::to_owned))
    });
    words.await.unwrap()
}

/// A work that the writer is in the middle of: what is written now shares the next transaction.
struct HeldBack {
    go: mpsc::Sender<()>,
    receipt: Receipt<()>,
}

impl HeldBack {
    async fn start(file: &SqliteFile) -> Self {
        let ((go, wait), (begun, begins)) = (mpsc::channel(), tokio::sync::oneshot::channel());
        let receipt = file.write("waiting", move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        begins.await.unwrap();
        Self { go, receipt }
    }

    async fn end(self) {
        self.go.send(()).unwrap();
        self.receipt.await.unwrap();
    }
}

#[tokio::test]
async fn a_group_shares_a_transaction_and_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let held_back = HeldBack::start(&file).await;
    let receipts: Vec<_> = ["a", "b", "c"].map(|word| file.write("noting", note(word))).into();
    // All three see one transaction's worth of changes: nothing is committed between them.
    let between =
        file.write("looking", |connection| connection.number("SELECT count(*) FROM notes", ()));
    held_back.end().await;
    assert_eq!(between.await.unwrap(), 3);
    assert!(join_all(receipts).await.iter().all(Result::is_ok));
    assert_eq!(notes(&file).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_work_that_fails_undoes_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let held_back = HeldBack::start(&file).await;
    let half = file.write("failing halfway", |connection| {
        note("half")(connection)?;
        connection.batch("SELECT * FROM nothing")
    });
    let receipts = ["a", "a", "b"].map(|word| file.write("noting", note(word)));
    held_back.end().await;
    assert!(matches!(half.await, Err(StoreError::Unavailable { .. })));
    let [first, twice, last] = receipts;
    first.await.unwrap();
    assert!(matches!(twice.await, Err(StoreError::Broken { .. })));
    last.await.unwrap();
    assert_eq!(notes(&file).await, ["a", "b"]);
}

#[tokio::test]
async fn a_receipt_is_ready_only_when_the_work_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    for word in ["a", "b", "c"] {
        file.write("noting", note(word)).await.unwrap();
        let left = crashed(&dir);
        let file = open(&left).await;
        assert_eq!(notes(&file).await.last().map(String::as_str), Some(word));
    }
}

#[tokio::test]
async fn a_dropped_receipt_changes_nothing_and_its_bell_still_rings() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let rung = Arc::new(AtomicUsize::new(0));
    let bell = |rung: &Arc<AtomicUsize>| {
        let rung = rung.clone();
        move || {
            rung.fetch_add(1, Ordering::SeqCst);
        }
    };
    drop(file.write_then("noting", note("a"), bell(&rung)));
    // A work that fails rings no bell.
    file.write_then("noting", note("a"), bell(&rung)).await.unwrap_err();
    file.write("noting", note("b")).await.unwrap();
    assert_eq!(notes(&file).await, ["a", "b"]);
    assert_eq!(rung.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_full_file_is_fatal_and_nothing_of_the_group_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    file.write("noting", note("before")).await.unwrap();
    // No page may be added to what the file has.
    run(&file, "PRAGMA max_page_count = 1").await.unwrap();
    let held_back = HeldBack::start(&file).await;
    let words: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    let receipts: Vec<_> = words.iter().map(|word| file.write("noting", note(word))).collect();
    let reached = Arc::new(AtomicBool::new(false));
    let mark = reached.clone();
    let last = file.write("coming last", move |_| {
        mark.store(true, Ordering::SeqCst);
        Ok(())
    });
    held_back.end().await;
    // Those before the one that failed, that one, and those never reached: all may try again.
    for answer in join_all(receipts).await {
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    }
    assert!(matches!(last.await, Err(StoreError::Unavailable { .. })));
    assert!(!reached.load(Ordering::SeqCst));
    assert!(file.fatal().borrow().as_deref().is_some_and(|why| why.contains("full")));
    assert_eq!(notes(&file).await, ["before"]);
    // From then on every write is refused, and reads go on.
    let late = file.write("noting", note("late")).await;
    assert!(matches!(late, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn a_commit_that_fails_leaves_the_outcome_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    run(
        &file,
        "CREATE TABLE owners (word TEXT REFERENCES notes (word) DEFERRABLE INITIALLY DEFERRED)",
    )
    .await
    .unwrap();
    let held_back = HeldBack::start(&file).await;
    let fine = file.write("noting", |connection| note("fine")(connection).map(drop));
    // A deferred constraint is the one thing that only COMMIT itself checks.
    let orphan = run(&file, "INSERT INTO owners VALUES ('nobody')");
    held_back.end().await;
    for receipt in [fine, orphan] {
        assert!(receipt.await.unwrap_err().is_unknown());
    }
    assert!(file.fatal().borrow().is_none());
    assert!(notes(&file).await.is_empty());
    file.write("noting", note("after")).await.unwrap();
}

#[tokio::test]
async fn closing_finishes_what_was_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let receipts: Vec<_> = (0..100).map(|n| file.write("noting", note(&n.to_string()))).collect();
    file.close().await;
    for receipt in receipts {
        receipt.now_or_never().expect("answered before the end").unwrap();
    }
    assert_eq!(notes(&open(&dir).await).await.len(), 100);
}
