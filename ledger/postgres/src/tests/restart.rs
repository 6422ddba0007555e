//! A server of the test's own, killed and started again under a sale.
use super::open;
use crate::testing::BOUNDS;
use crate::{PgBounds, PgPurchases};
use futures_util::future::join_all;
use ledger::books::{Begun, PurchaseReads, Purchases, Settlement};
use ledger::conformance::sample::{NOW, SampleEvent};
use ledger::purchase::{ChargeResult, PaymentState};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian, and `ops/dev`, have the server's programs.
const PROGRAMS: &str = "/usr/lib/postgresql";

struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    /// Makes an empty database cluster and starts it.
    fn start() -> Self {
        let programs = std::fs::read_dir(PROGRAMS).ok().and_then(|mut found| found.next());
        let programs = programs.and_then(Result::ok).map(|version| version.path().join("bin"));
        let programs = programs.unwrap_or_else(|| {
            panic!(
                "this test needs the programs of Postgres under {PROGRAMS}: `ops/dev/up postgres`"
            )
        });
        let folder = TempDir::new().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = Self { folder, programs, port };
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(server.folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = server.data();
        let data = data.to_str().unwrap();
        server.run("initdb", &["-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]);
        server.up();
        server
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn up(&self) {
        let folder = self.folder.path().display();
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}",
            self.port
        );
        let log = format!("{folder}/log");
        let data = self.data();
        self.run(
            "pg_ctl",
            &["-D", data.to_str().unwrap(), "-l", &log, "-o", &options, "-w", "start"],
        );
    }

    /// Stops as a crash would: no connection is closed in order, and recovery follows.
    fn kill(&self) {
        let data = self.data();
        self.run("pg_ctl", &["-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        let status = command.status().unwrap();
        assert!(status.success(), "{program} {arguments:?} failed: {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.kill();
        }
    }
}

/// Postgres refuses to run as root: then its own user runs it.
fn other_user() -> Option<(u32, u32)> {
    let id = |flag: &str, of: &[&str]| -> u32 {
        let found = Command::new("id").arg(flag).args(of).output().unwrap();
        assert!(found.status.success(), "there is no user to run Postgres as");
        String::from_utf8(found.stdout).unwrap().trim().parse().unwrap()
    };
    (id("-u", &[]) == 0).then(|| (id("-u", &["postgres"]), id("-g", &["postgres"])))
}

/// Calls until there is an answer, as a worker does; counts the calls that had none.
async fn call<T, F: Future<Output = Result<T, ledger::StoreError>>>(
    unanswered: &AtomicUsize,
    again: impl Fn() -> F,
) -> T {
    loop {
        match again().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(error.is_retryable() || error.is_unknown(), "{error:?}");
                unanswered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

struct Sale {
    books: PgPurchases,
    event: SampleEvent,
    over: AtomicBool,
    sold: AtomicUsize,
    unanswered: AtomicUsize,
}

impl Sale {
    /// Buys one place after the other, each until it is sold.
    async fn buy(&self, buyer: usize) {
        for n in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let command = [self.event.place(&[&format!("p-{buyer}-{n}")])];
            let begun = call(&self.unanswered, || self.books.begin(&command, NOW)).await;
            assert!(matches!(begun[..], [Begun::Charge(_) | Begun::Resolve(_)]), "{begun:?}");
            let (booking_id, amount) = (command[0].booking_id.clone(), command[0].total);
            let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
            let settlement = [Settlement { booking_id, result }];
            call(&self.unanswered, || self.books.settle(&settlement, NOW)).await;
            self.sold.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn goes_on(&self) {
        let before = self.sold.load(Ordering::Relaxed);
        while self.sold.load(Ordering::Relaxed) < before.saturating_add(20) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_goes_on_after_the_server_was_killed() {
    let server = tokio::task::block_in_place(Server::start);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let books = open(&url, PgBounds { acquire_timeout_ms: 500, ..BOUNDS }).await;
    let (sold, unanswered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let event = SampleEvent::default();
    let sale = Sale { books, event, over: AtomicBool::new(false), sold, unanswered };
    let restarts = async {
        for _ in 0..3 {
            sale.goes_on().await;
            tokio::task::block_in_place(|| server.kill());
            // Somebody notices.
            let unanswered = sale.unanswered.load(Ordering::Relaxed);
            while sale.unanswered.load(Ordering::Relaxed) == unanswered {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::task::block_in_place(|| server.up());
        }
        sale.goes_on().await;
        sale.over.store(true, Ordering::Relaxed);
    };
    tokio::join!(join_all((0..4).map(|buyer| sale.buy(buyer))), restarts);
    let all = sale.books.purchases(ledger::Cursor { after: None, limit: 200 }).await.unwrap();
    assert!(all.items.iter().all(|purchase| purchase.payment == PaymentState::Captured));
    let claims = sale.books.claims(&sale.event.id, 0).await.unwrap();
    assert_eq!(claims.live.len(), sale.sold.load(Ordering::Relaxed));
}
