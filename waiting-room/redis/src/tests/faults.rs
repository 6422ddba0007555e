//! Redis that is wiped, restarted, cut off or gone: a loss is told, and nothing is done twice.
use super::private::{Private, Wiretap};
use super::*;
use ledger::books::QueueRecord;
use ledger::{Queue, Timestamp};
use waiting_room::SettingsChange;

/// A queue of a few people in a store.
struct Scene {
    store: RedisQueueStore,
    queue: QueueId,
}

impl Scene {
    async fn new(url: &str) -> Self {
        let scene = Self { store: open(url).await, queue: fresh_queue() };
        scene.load(1).await;
        scene
    }

    async fn load(&self, generation: u64) {
        let record = QueueRecord {
            generation,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        };
        let settings = QueueSettings::default();
        let queue = Queue { id: self.queue.clone(), settings, opens_at: now(), revision: 1 };
        let loaded = QueueLoad { queue, record, steps: vec![], admissions: vec![] };
        self.store.swap_in(loaded, now()).await.unwrap();
    }

    fn at(&self) -> CopyRef<'_> {
        CopyRef { queue: &self.queue, generation: 1, now: now() }
    }

    async fn reserve(&self, count: u64, lease: Option<(u64, u64)>) -> Reserved {
        let request = Reserve { count, lease, straight: true };
        answered(self.store.reserve(self.at(), request).await.unwrap())
    }

    async fn snapshot(&self) -> Result<Fenced<QueueSnapshot>, StoreError> {
        let looked = self.store.look(self.at(), None).await?;
        Ok(match looked {
            Fenced::Is((snapshot, _)) => Fenced::Is(snapshot),
            Fenced::Lost => Fenced::Lost,
        })
    }

    async fn take(&self, number: u64) -> Grant {
        let account = AccountId::parse(&format!("a{number}")).unwrap();
        let request = SlotRequest { account, number: Some(number), fresh: true };
        match answered(self.store.take(self.at(), request).await.unwrap()) {
            SlotAnswer::Granted(grant) => grant,
            other => panic!("not granted: {other:?}"),
        }
    }

    async fn settle(&self, number: u64, outcome: ClaimOutcome) {
        answered(self.store.settle(self.at(), number, outcome).await.unwrap());
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn answered<T>(answer: Fenced<T>) -> T {
    match answer {
        Fenced::Is(value) => value,
        Fenced::Lost => panic!("the copy is there"),
    }
}

#[tokio::test]
async fn a_server_that_was_wiped_or_restarted_has_lost_every_copy() {
    let mut redis = Private::start(&[]).await;
    let scene = Scene::new(&redis.url()).await;
    scene.reserve(3, Some((1, 10))).await;
    redis.tell("FLUSHALL").await;
    assert_eq!(scene.snapshot().await.unwrap(), Fenced::Lost);
    scene.load(1).await;
    assert_eq!(answered(scene.snapshot().await.unwrap()).joined, 0, "loaded anew");

    redis.restart().await;
    // The first call may find the old connection gone; it is asked again.
    assert_eq!(scene.snapshot().await.unwrap(), Fenced::Lost);
    scene.load(1).await;
    answered(scene.snapshot().await.unwrap());
}

#[tokio::test]
async fn data_that_outlived_its_server_is_a_loss_too() {
    let redis = Private::start(&[]).await;
    let scene = Scene::new(&redis.url()).await;
    // As after a restart that read its data back, or on a promoted replica.
    let key = format!("tidegate:queue:{{{}}}:line", scene.queue);
    let script = "local l = cmsgpack.unpack(redis.call('GET', KEYS[1])); l.run_id = 'another'; \
                  return redis.call('SET', KEYS[1], cmsgpack.pack(l))";
    let changed = redis.tell(&format!("EVAL \"{script}\" 1 {key}")).await;
    assert!(changed.starts_with("+OK"), "{changed}");
    assert_eq!(scene.snapshot().await.unwrap(), Fenced::Lost);
    scene.load(1).await;
    answered(scene.snapshot().await.unwrap());
}

#[tokio::test]
async fn scripts_that_were_forgotten_are_loaded_again() {
    let redis = Private::start(&[]).await;
    let scene = Scene::new(&redis.url()).await;
    for count in 1..4 {
        assert!(redis.tell("SCRIPT FLUSH").await.starts_with("+OK"));
        scene.reserve(1, Some((1, 10))).await;
        assert_eq!(answered(scene.snapshot().await.unwrap()).joined, count);
    }
}

#[tokio::test]
async fn a_connection_that_is_killed_is_made_again() {
    let redis = Private::start(&[]).await;
    let scene = Scene::new(&redis.url()).await;
    for _ in 0..20 {
        let killed = redis.tell("CLIENT KILL TYPE normal SKIPME yes").await;
        assert!(killed.starts_with(':'), "{killed}");
        answered(scene.snapshot().await.unwrap());
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_again_and_nothing_is_done_twice() {
    let redis = Private::start(&[]).await;
    let wiretap = Wiretap::before(redis.port()).await;
    let scene = Scene::new(&wiretap.url()).await;
    scene.reserve(1, Some((1, 100))).await;

    wiretap.lose_next();
    let reserved = scene.reserve(5, None).await;
    assert_eq!((reserved.first, reserved.count, reserved.left), (2, 5, 94), "not 7 to 11");
    assert_eq!(scene.reserve(1, None).await.first, 7);

    let step = answered(scene.store.propose(scene.at()).await.unwrap()).expect("a step");
    wiretap.lose_next();
    answered(scene.store.publish(scene.at(), step).await.unwrap());
    assert_eq!(answered(scene.snapshot().await.unwrap()).now_serving, 7);

    wiretap.lose_next();
    let grant = scene.take(1).await;
    assert_eq!(scene.take(1).await.at, grant.at);
    assert_eq!(answered(scene.snapshot().await.unwrap()).active, 1);

    // Two claims commit the slot. One fails, which is told once although it is sent twice: the
    // other one's slot stays.
    wiretap.lose_next();
    scene.settle(1, ClaimOutcome::Failed).await;
    assert_eq!(answered(scene.snapshot().await.unwrap()).active, 1);
    scene.settle(1, ClaimOutcome::Failed).await;
    assert_eq!(answered(scene.snapshot().await.unwrap()).active, 0);

    wiretap.lose_next();
    let settings = QueueSettings { capacity: 3, ..QueueSettings::default() };
    let change = SettingsChange { settings, revision: 2, recorded: true };
    answered(scene.store.configure(scene.at(), change).await.unwrap());
    assert_eq!(answered(scene.snapshot().await.unwrap()).settings, settings);
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_at_once() {
    let mut redis = Private::start(&[]).await;
    let scene = Scene::new(&redis.url()).await;
    redis.stop();
    for _ in 0..50 {
        let error = scene.snapshot().await.unwrap_err();
        assert!(error.is_retryable() || error.is_unknown(), "{error:?}");
    }
    redis.restart().await;
    loop {
        match scene.snapshot().await {
            Ok(answer) => {
                assert_eq!(answer, Fenced::Lost);
                break;
            }
            // Nobody connects for a moment after it failed.
            Err(error) => assert!(error.is_retryable() || error.is_unknown(), "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_forgets_when_memory_is_short_is_refused() {
    let more = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let redis = Private::start(&more).await;
    let opened = RedisQueueStore::open(&redis.url(), BOUNDS, &IdSource::system()).await;
    assert!(
        matches!(opened.err(), Some(RedisFailure::Evicts { policy }) if policy == "allkeys-lru")
    );
}
