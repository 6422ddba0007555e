//! What the writer promises: shared transactions, failures that stay alone, honest answers.
use crate::tests::{crashed, open};
use crate::{Receipt, SqliteFile};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use ledger::StoreError;
use sqlx::SqliteConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Done<'c> = BoxFuture<'c, Result<(), sqlx::Error>>;

fn note(word: &str) -> impl for<'c> FnOnce(&'c mut SqliteConnection) -> Done<'c> + Send + 'static {
    let word = word.to_owned();
    move |connection| {
        Box::pin(async move {
            let insert = sqlx::query("INSERT INTO notes VALUES (?1, ?2)");
            insert.bind(word).bind(vec![0u8; 2_000]).execute(connection).await.map(|_| ())
        })
    }
}

fn run(file: &SqliteFile, sql: &'static str) -> Receipt<()> {
    file.write("running a statement", move |connection| {
        Box::pin(async move { sqlx::query(sql).execute(connection).await.map(|_| ()) })
    })
}

async fn with_notes(dir: &tempfile::TempDir) -> SqliteFile {
    let file = open(dir).await;
    run(&file, "CREATE TABLE notes (word TEXT UNIQUE, ballast BLOB)").await.unwrap();
    file
}

async fn notes(file: &SqliteFile) -> Vec<String> {
    let words = sqlx::query_scalar("SELECT word FROM notes ORDER BY rowid");
    words.fetch_all(file.readers()).await.unwrap()
}

/// The first work waits until `count` more are queued, so that those share one transaction.
fn hold_back(file: &SqliteFile) -> (Arc<tokio::sync::Notify>, Receipt<()>) {
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = go.clone();
    let receipt = file.write("waiting", move |_| {
        Box::pin(async move {
            wait.notified().await;
            Ok(())
        })
    });
    (go, receipt)
}

#[tokio::test]
async fn a_group_shares_a_transaction_and_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let (go, waiting) = hold_back(&file);
    tokio::task::yield_now().await;
    let receipts: Vec<_> = ["a", "b", "c"].map(|word| file.write("noting", note(word))).into();
    // All three see one transaction's worth of changes: nothing is committed between them.
    let between = file.write("looking", |connection| {
        Box::pin(async move {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes").fetch_one(connection).await
        })
    });
    go.notify_one();
    waiting.await.unwrap();
    assert_eq!(between.await.unwrap(), 3);
    assert!(join_all(receipts).await.iter().all(Result::is_ok));
    assert_eq!(notes(&file).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_work_that_fails_undoes_itself_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = with_notes(&dir).await;
    let (go, waiting) = hold_back(&file);
    tokio::task::yield_now().await;
    let half = file.write("failing halfway", |connection| {
        Box::pin(async move {
            note("half")(&mut *connection).await?;
            sqlx::query("SELECT * FROM nothing").execute(connection).await.map(|_| ())
        })
    });
    let receipts = ["a", "a", "b"].map(|word| file.write("noting", note(word)));
    go.notify_one();
    waiting.await.unwrap();
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
        let left = open(&crashed(&dir)).await;
        assert_eq!(notes(&left).await.last().map(String::as_str), Some(word));
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
    let (go, waiting) = hold_back(&file);
    tokio::task::yield_now().await;
    let words: Vec<String> = (0..20).map(|n| format!("w{n}")).collect();
    let receipts: Vec<_> = words.iter().map(|word| file.write("noting", note(word))).collect();
    let reached = Arc::new(AtomicBool::new(false));
    let mark = reached.clone();
    let last = file.write("coming last", move |_| {
        mark.store(true, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    });
    go.notify_one();
    waiting.await.unwrap();
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
    let (go, waiting) = hold_back(&file);
    tokio::task::yield_now().await;
    let fine = file.write("noting", note("fine"));
    // A deferred constraint is the one thing that only COMMIT itself checks.
    let orphan = run(&file, "INSERT INTO owners VALUES ('nobody')");
    go.notify_one();
    waiting.await.unwrap();
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
