//! A whole sale in one process: an embedded ledger, the stages, and the server before them.
use crate::client::{Request, Response, TEST_TIMEOUT};
use crate::faulty_log::{Faults, FaultyLog};
use allocator::{HoldSweeper, LocalSeatStore, OutcomeApplier, SeatAllocator};
use ingress::{Config, Parts, Server, sign_login};
use ledger::books::{Begun, Settlement};
use ledger::conformance::TestLedger;
use ledger::conformance::sample::consumer_config;
use ledger::keys::Keyring;
use ledger::purchase::ChargeResult;
use ledger::{
    Account, AccountId, BookingCommand, BookingLog, Clock, Group, IdSource, Message, Projector,
    Role, Subscription,
};
use ledger_sqlite::testing::sqlite_ledger;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waiting_room::{LocalQueueStore, Pacer, WaitingRoom};

pub(crate) struct Fixture {
    pub address: SocketAddr,
    pub keys: Keyring,
    pub clock: Clock,
    pub ids: IdSource,
    pub ledger: TestLedger,
    /// What the log does to those who append.
    pub faults: Faults,
    _tasks: TaskTracker,
    /// Stops the server alone.
    pub front: CancellationToken,
    back: CancellationToken,
    commands: Mutex<Box<dyn Subscription>>,
}

/// What became of a charge.
pub(crate) enum Pay {
    Yes,
    No,
}

impl Fixture {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    /// A fixture whose server has other bounds.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = bounds();
        change(&mut config);
        let ledger = sqlite_ledger().await;
        let (clock, ids) = (Clock::System, IdSource::system());
        let keys = Keyring::ephemeral(clock.now());
        let room = waiting_room(&ledger, &keys, &clock);
        let faults = Faults::default();
        let log = Arc::new(FaultyLog::new(ledger.log.clone(), faults.clone()));
        let seats = allocator(&ledger, log, &clock, &ids);
        let projector = Projector::new(ledger.log.clone(), ledger.views.clone(), consumer_config());
        let server = Server::new(Parts {
            room: room.clone(),
            seats: seats.clone(),
            books: ledger.books.clone(),
            views: ledger.views.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            config,
            changes: projector.changes(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (front, back) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        tasks.spawn(server.run(listener, front.clone()));
        tasks.spawn(Pacer::new(room).run(back.clone()));
        tasks.spawn(OutcomeApplier::new(seats.clone(), consumer_config()).run(back.clone()));
        tasks.spawn(HoldSweeper::new(seats).run(back.clone()));
        tasks.spawn(projector.run(back.clone()));
        let commands = Mutex::new(ledger.log.subscribe(Group::PaymentWorker).await.unwrap());
        Self { address, keys, clock, ids, ledger, faults, _tasks: tasks, front, back, commands }
    }

    pub(crate) fn request(&self, method: &'static str, path: &str) -> Request {
        Request::new(self.address, method, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request("GET", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, login: &str, body: &Value) -> Response {
        self.request("POST", path).login(login).json(body).send().await
    }

    /// A new account with a login, without the cost of a password.
    pub(crate) async fn account(&self, role: Role) -> (AccountId, String) {
        let now = self.clock.now();
        let id = self.ids.account(now);
        let account = Account {
            id: id.clone(),
            username: id.as_str().to_lowercase(),
            password_hash: None,
            role,
            created_at: now,
        };
        self.ledger.books.accounts.create(&[account]).await.unwrap();
        let token = sign_login(&self.keys, &id, role, now, 3_600).unwrap();
        (id, token)
    }

    pub(crate) async fn login(&self, role: Role) -> String {
        self.account(role).await.1
    }

    /// A new event, made as an admin makes one; its id.
    pub(crate) async fn event(&self, more: Value) -> String {
        let admin = self.login(Role::Admin).await;
        let mut form = json!({ "name": "Night", "date": "2030-05-01", "venue": "Hall" });
        form.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        let answer = self.post("/api/events", &admin, &form).await.expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Does the payment worker's part for the next command that asks for a charge.
    pub(crate) async fn pay(&self, pay: Pay) {
        let paid = async {
            let mut commands = self.commands.lock().await;
            loop {
                for delivery in commands.next(1).await.unwrap() {
                    if self.carry_out(delivery.message, &pay).await {
                        commands.commit().await.unwrap();
                        return;
                    }
                }
                commands.commit().await.unwrap();
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, paid).await.expect("a command comes");
    }

    async fn carry_out(&self, message: Message, pay: &Pay) -> bool {
        let purchases = &self.ledger.books.purchases;
        let now = self.clock.now();
        let outcomes = match message {
            Message::Command(BookingCommand::Place(place)) => {
                let begun = purchases.begin(std::slice::from_ref(&place), now).await.unwrap();
                assert!(matches!(begun[..], [Begun::Charge(_)]), "{begun:?}");
                let result = match pay {
                    Pay::Yes => {
                        ChargeResult::Captured { charge_id: "ch_1".into(), amount: place.total }
                    }
                    Pay::No => ChargeResult::Declined { code: "card_declined".into() },
                };
                let settlement = Settlement { booking_id: place.booking_id, result };
                purchases.settle(&[settlement], now).await.unwrap()
            }
            Message::Command(BookingCommand::Cancel(cancel)) => {
                purchases.cancel(&[cancel], now).await.unwrap()
            }
            Message::Outcome(_) => return false,
        };
        let messages = outcomes.into_iter().map(|o| Message::Outcome(Box::new(o))).collect();
        self.ledger.log.append(messages).await.unwrap();
        true
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.front.cancel();
        self.back.cancel();
    }
}

fn waiting_room(ledger: &TestLedger, keys: &Keyring, clock: &Clock) -> WaitingRoom {
    WaitingRoom::new(waiting_room::Parts {
        store: Arc::new(LocalQueueStore::new()),
        progress: ledger.books.queue_progress.clone(),
        admissions: ledger.books.admissions.clone(),
        queues: ledger.books.queues.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        config: waiting_room::Config {
            join_combine_ms: 1,
            join_combine_max: 100,
            join_queue_max: 1_000,
            lease_ahead_seconds: 1,
            lease_min: 1_000,
            pacer_interval_ms: 20,
            list_interval_ms: 1_000,
            step_retry_ms: 1_000,
            settings_recorded_within_ms: 10_000,
            opening_wait_ms: 1_000,
            recovery: ledger::RecoveryBounds { wait_ms: 500, poll_ms: 20, winner_ms: 3_000 },
            board_interval_ms: 200,
            board_idle_ms: 1_000,
            issuer: "test".into(),
            leeway_seconds: 2,
            poll: vec![(Some(50), 2_000), (None, 60_000)],
            message: String::new(),
        },
        pressure: watch::channel(Arc::default()).1,
    })
}

fn allocator(
    ledger: &TestLedger,
    log: Arc<dyn BookingLog>,
    clock: &Clock,
    ids: &IdSource,
) -> SeatAllocator {
    SeatAllocator::new(allocator::Parts {
        store: Arc::new(LocalSeatStore::new(ledger.journal.clone())),
        purchases: ledger.books.purchase_reads.clone(),
        events: ledger.books.events.clone(),
        generations: ledger.books.seat_generations.clone(),
        log,
        clock: clock.clone(),
        ids: ids.clone(),
        config: allocator::Config {
            seats_per_lock_max: 20,
            sweep_interval_ms: 50,
            search_interval_ms: 5_000,
            sweep_batch_max: 1_000,
            seats_age_max_ms: 1,
            declined_hold_seconds: 120,
            key_seconds: 86_400,
            recovery: ledger::RecoveryBounds { wait_ms: 1_000, poll_ms: 20, winner_ms: 10_000 },
        },
    })
}

/// Bounds that no test meets by accident.
pub(crate) fn bounds() -> Config {
    Config {
        limit_address_per_second: 0,
        limit_address_burst: 0,
        limit_account_per_second: 0,
        limit_account_burst: 0,
        limit_all_per_second: 0,
        limit_login_per_minute: 0,
        limit_register_per_minute: 0,
        limits_sweep_interval_ms: 10_000,
        trusted_proxies: Vec::new(),
        connections_max: 1_000,
        connection_buffer_bytes: 16_384,
        headers_max: 64,
        header_read_timeout_ms: 30_000,
        keep_alive_timeout_ms: 60_000,
        body_read_timeout_ms: 30_000,
        write_timeout_ms: 30_000,
        linger_ms: 1_000,
        refusal_timeout_ms: 500,
        drain_timeout_ms: 30_000,
        body_bytes_max: 65_536,
        json_depth_max: 16,
        streams_max: 100,
        stream_heartbeat_ms: 15_000,
        stream_interval_ms: 20,
        stream_retry_ms: 3_000,
        long_polls_max: 100,
        long_poll_seconds_max: 30,
        long_poll_interval_ms: 1_000,
        password_threads: 2,
        password_queue_max: 64,
        login_seconds: 3_600,
        queue_cookie_seconds: 604_800,
        cookies_secure: false,
        cors_origins: Vec::new(),
        events_cached_max: 100,
    }
}
