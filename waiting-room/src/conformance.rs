//! The contract of [`QueueStore`] as a suite: every backend runs all of it.
use crate::store::{
    ClaimOutcome, CopyRef, Grant, NotYet, PlaceStatus, QueueLoad, QueueSnapshot, QueueStore,
    Reserve, Reserved, SettingsChange, SlotAnswer, SlotRequest,
};
use ledger::books::{QueueRecord, QueueStep};
use ledger::{
    AccountId, Admission, AdmissionSource, Clock, Fenced, Queue, QueueId, QueueSettings,
    QueueState, SlotRef, Timestamp,
};
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// A queue of its own in a store under test.
#[derive(Clone)]
pub struct Bench {
    pub store: Arc<dyn QueueStore>,
    /// A store with a clock of its own needs the system's.
    pub clock: Clock,
    pub queue: QueueId,
}

const LOST: &str = "the copy is there";
const ANSWER: &str = "the store answers";

/// Runs the whole suite; `make` gives a bench whose queue nobody has touched.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) {
    a_copy_of_another_generation_is_lost(make().await).await;
    only_a_newer_copy_replaces_one(make().await).await;
    numbers_are_given_once_in_order(make().await).await;
    leases_may_come_twice_and_late(make().await).await;
    steps_count_when_they_are_published(make().await).await;
    a_claim_that_is_replayed_gets_the_same_slot(make().await).await;
    one_number_goes_to_one_account(make().await).await;
    capacity_holds_under_contention(make().await).await;
    the_rate_holds_under_contention(make().await).await;
    outcomes_may_come_twice(make().await).await;
    walk_ins_get_numbers_and_slots_of_their_own(make().await).await;
    places_may_be_given_up(make().await).await;
    settings_follow_their_revisions(make().await).await;
    a_slot_ends_by_itself(make().await).await;
    a_loss_brings_back_what_the_record_knows(make().await).await;
}

fn settings() -> QueueSettings {
    QueueSettings {
        state: QueueState::Open,
        rate_per_minute: 60_000,
        capacity: 100,
        claim_window_seconds: 60,
        return_seconds: 60,
        session_seconds: 60,
    }
}

fn recorded(settings: QueueSettings, revision: u64) -> SettingsChange {
    SettingsChange { settings, revision, recorded: true }
}

fn account(n: u64) -> AccountId {
    AccountId::parse(&format!("acc_{n}")).expect("a valid id")
}

impl Bench {
    fn loaded(&self, settings: QueueSettings) -> QueueLoad {
        let record = QueueRecord {
            generation: 1,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        };
        let opens_at = self.clock.now();
        let queue = Queue { id: self.queue.clone(), settings, opens_at, revision: 1 };
        QueueLoad { queue, record, steps: Vec::new(), admissions: Vec::new() }
    }

    async fn load(&self, settings: QueueSettings) {
        self.swap_in(self.loaded(settings)).await;
    }

    async fn swap_in(&self, loaded: QueueLoad) {
        self.store.swap_in(loaded, self.clock.now()).await.expect(ANSWER);
    }

    fn at(&self, generation: u64) -> CopyRef<'_> {
        CopyRef { queue: &self.queue, generation, now: self.clock.now() }
    }

    async fn wait(&self, millis: u64) {
        let time = Duration::from_millis(millis);
        match &self.clock {
            Clock::System => tokio::time::sleep(time).await,
            Clock::Manual(_) => self.clock.advance(time),
        }
    }

    async fn reserve(&self, count: u64, lease: Option<(u64, u64)>) -> Reserved {
        let request = Reserve { count, lease, straight: false };
        answered(self.store.reserve(self.at(1), request).await.expect(ANSWER))
    }

    /// So many in line, all of them called.
    async fn called(&self, count: u64) {
        self.reserve(count, Some((1, count))).await;
        let step = QueueStep { now_serving: count, at: self.clock.now(), granting_millis: 0 };
        self.publish(step).await;
    }

    async fn publish(&self, step: QueueStep) {
        answered(self.store.publish(self.at(1), step).await.expect(ANSWER));
    }

    async fn take(&self, number: Option<u64>, account: AccountId) -> SlotAnswer {
        let request = SlotRequest { account, number, fresh: true };
        answered(self.store.take(self.at(1), request).await.expect(ANSWER))
    }

    async fn grant(&self, number: Option<u64>, account: AccountId) -> Grant {
        match self.take(number, account).await {
            SlotAnswer::Granted(grant) => grant,
            other => panic!("not granted: {other:?}"),
        }
    }

    async fn settle(&self, number: u64, outcome: ClaimOutcome) {
        answered(self.store.settle(self.at(1), number, outcome).await.expect(ANSWER));
    }

    async fn look(&self, number: u64) -> (QueueSnapshot, PlaceStatus) {
        let looked = self.store.look(self.at(1), Some(number)).await.expect(ANSWER);
        let (snapshot, place) = answered(looked);
        (snapshot, place.expect("a place was asked for"))
    }

    async fn active(&self) -> u64 {
        self.look(0).await.0.active
    }
}

/// Why a slot was refused, however long for.
fn not_yet(taken: &SlotAnswer) -> Option<NotYet> {
    if let SlotAnswer::NotYet { why, .. } = taken { Some(*why) } else { None }
}

fn answered<T>(answer: Fenced<T>) -> T {
    match answer {
        Fenced::Is(value) => value,
        Fenced::Lost => panic!("{LOST}"),
    }
}

async fn all<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    tasks.collect::<JoinSet<T>>().join_all().await
}

pub async fn a_copy_of_another_generation_is_lost(bench: Bench) {
    let lost = async |generation| {
        let (store, copy) = (&bench.store, bench.at(generation));
        let reserve = Reserve { count: 1, lease: Some((1, 9)), straight: true };
        let request = SlotRequest { account: account(1), number: None, fresh: true };
        let step = QueueStep { now_serving: 1, at: copy.now, granting_millis: 0 };
        assert_eq!(store.reserve(copy, reserve).await.expect(ANSWER), Fenced::Lost);
        assert_eq!(store.propose(copy).await.expect(ANSWER), Fenced::Lost);
        assert_eq!(store.publish(copy, step).await.expect(ANSWER), Fenced::Lost);
        assert_eq!(store.take(copy, request).await.expect(ANSWER), Fenced::Lost);
        let settled = store.settle(copy, 1, ClaimOutcome::Ended).await;
        assert_eq!(settled.expect(ANSWER), Fenced::Lost);
        assert_eq!(store.look(copy, Some(1)).await.expect(ANSWER), Fenced::Lost);
        let configured = store.configure(copy, recorded(QueueSettings::default(), 9)).await;
        assert_eq!(configured.expect(ANSWER), Fenced::Lost);
    };
    lost(1).await;
    bench.load(settings()).await;
    lost(0).await;
    lost(2).await;
    let (snapshot, _) = bench.look(1).await;
    assert_eq!((snapshot.joined, snapshot.active, snapshot.revision), (0, 0, 1), "nothing changed");
}

pub async fn only_a_newer_copy_replaces_one(bench: Bench) {
    bench.load(settings()).await;
    bench.reserve(3, Some((1, 5))).await;
    bench.load(settings()).await;
    assert_eq!(bench.look(1).await.0.joined, 3, "a copy as new stays");
    let mut newer = bench.loaded(settings());
    newer.record.generation = 3;
    newer.record.leased_to = 5;
    bench.swap_in(newer).await;
    let mut older = bench.loaded(settings());
    older.record.generation = 2;
    bench.swap_in(older).await;
    let (snapshot, _) = answered(bench.store.look(bench.at(3), None).await.expect(ANSWER));
    assert_eq!(snapshot.joined, 5);
    assert_eq!(bench.store.look(bench.at(1), None).await.expect(ANSWER), Fenced::Lost);
}

pub async fn numbers_are_given_once_in_order(bench: Bench) {
    bench.load(settings()).await;
    assert_eq!(bench.reserve(1, None).await.count, 0, "nothing is leased");
    bench.reserve(0, Some((1, 500))).await;
    let joins = (0..40).map(|n| {
        let bench = bench.clone();
        async move { bench.reserve(n % 7, None).await }
    });
    let mut given = HashSet::new();
    for reserved in all(joins).await {
        for number in reserved.first..reserved.first + reserved.count {
            assert!((1..=500).contains(&number) && given.insert(number), "{number} twice");
        }
    }
    let last = given.len() as u64;
    assert_eq!(given.iter().max(), Some(&last), "no number is left out");
    let next = bench.reserve(1_000, None).await;
    assert_eq!((next.first, next.count, next.left), (last + 1, 500 - last, 0));
}

pub async fn leases_may_come_twice_and_late(bench: Bench) {
    bench.load(settings()).await;
    bench.reserve(0, Some((11, 20))).await;
    assert_eq!(bench.reserve(0, Some((11, 20))).await.left, 10);
    let first = bench.reserve(2, None).await;
    assert_eq!((first.first, first.count), (11, 2));
    assert_eq!(bench.reserve(0, Some((1, 10))).await.left, 8, "numbers never go back");
    let step = answered(bench.store.propose(bench.at(1)).await.expect(ANSWER));
    assert_eq!(step.map(|step| step.now_serving), Some(12), "what was left out holds nobody up");
}

pub async fn steps_count_when_they_are_published(bench: Bench) {
    bench.load(settings()).await;
    bench.reserve(3, Some((1, 3))).await;
    let step = answered(bench.store.propose(bench.at(1)).await.expect(ANSWER)).expect("a step");
    assert_eq!(step.now_serving, 3);
    assert_eq!(bench.take(Some(3), account(3)).await, NotYet::Waiting.into());
    let again = answered(bench.store.propose(bench.at(1)).await.expect(ANSWER)).expect("a step");
    assert_eq!(again.now_serving, 3, "until it is published it is proposed again");
    bench.publish(step).await;
    bench.publish(QueueStep { now_serving: 1, ..step }).await;
    bench.publish(again).await;
    let (snapshot, place) = bench.look(3).await;
    assert_eq!(snapshot.now_serving, 3);
    assert!(matches!(place, PlaceStatus::Ready { .. }));
    assert_eq!(answered(bench.store.propose(bench.at(1)).await.expect(ANSWER)), None);
}

pub async fn a_claim_that_is_replayed_gets_the_same_slot(bench: Bench) {
    bench.load(settings()).await;
    bench.called(3).await;
    let first = bench.grant(Some(1), account(1)).await;
    assert_eq!(bench.grant(Some(1), account(1)).await, first, "its reply was lost");
    assert_eq!(bench.grant(Some(2), account(1)).await, first, "one slot an account");
    bench.settle(1, ClaimOutcome::Committed).await;
    assert_eq!(bench.grant(None, account(1)).await, Grant { committed: true, ..first });
    assert_eq!(bench.active().await, 1);
    let request = SlotRequest { account: account(2), number: Some(2), fresh: false };
    let stale = answered(bench.store.take(bench.at(1), request).await.expect(ANSWER));
    assert_eq!(stale, NotYet::Waiting.into(), "no new slot was asked for");
}

pub async fn one_number_goes_to_one_account(bench: Bench) {
    bench.load(settings()).await;
    bench.called(1).await;
    let claims = (0..20).map(|n| {
        let bench = bench.clone();
        async move { bench.take(Some(1), account(n)).await }
    });
    let answers = all(claims).await;
    let granted = answers.iter().filter(|taken| matches!(taken, SlotAnswer::Granted(_))).count();
    let used = answers.iter().filter(|taken| **taken == SlotAnswer::TokenUsed).count();
    assert_eq!((granted, used), (1, 19));
}

pub async fn capacity_holds_under_contention(bench: Bench) {
    bench.load(QueueSettings { capacity: 7, ..settings() }).await;
    bench.called(40).await;
    let claims = (1..=40).map(|n| {
        let bench = bench.clone();
        async move { bench.take(Some(n), account(n)).await }
    });
    let answers = all(claims).await;
    let granted = answers.iter().filter(|taken| matches!(taken, SlotAnswer::Granted(_))).count();
    let full = answers.iter().filter(|taken| not_yet(taken) == Some(NotYet::Full)).count();
    assert_eq!((granted, full), (7, 33));
}

pub async fn the_rate_holds_under_contention(bench: Bench) {
    // One token a minute after the first burst of one: no test takes that long.
    bench.load(QueueSettings { rate_per_minute: 1, ..settings() }).await;
    bench.called(30).await;
    let claims = (1..=30).map(|n| {
        let bench = bench.clone();
        async move { bench.take(Some(n), account(n)).await }
    });
    let answers = all(claims).await;
    let granted = answers.iter().filter(|taken| matches!(taken, SlotAnswer::Granted(_))).count();
    let slow = answers.iter().filter(|taken| not_yet(taken) == Some(NotYet::Rate)).count();
    assert_eq!((granted, slow), (1, 29));
    let lucky = (1..=30).zip(&answers).find(|(_, taken)| matches!(taken, SlotAnswer::Granted(_)));
    let Some((_, SlotAnswer::Granted(Grant { number: lucky, .. }))) = lucky else {
        panic!("one was granted")
    };
    let lucky = *lucky;
    bench.settle(lucky, ClaimOutcome::Failed).await;
    let again = bench.take(Some(lucky), account(lucky)).await;
    assert_eq!(not_yet(&again), Some(NotYet::Rate), "a token never comes back");
    let SlotAnswer::NotYet { ask_after_millis: Some(after), .. } = again else { panic!("called") };
    assert!((1_000..=60_000).contains(&after), "when the next token comes: {after}");
}

pub async fn outcomes_may_come_twice(bench: Bench) {
    bench.load(settings()).await;
    bench.called(3).await;
    bench.grant(Some(1), account(1)).await;
    bench.settle(1, ClaimOutcome::Ended).await;
    assert_eq!(bench.active().await, 1, "only what is committed ends");
    bench.settle(1, ClaimOutcome::Failed).await;
    bench.settle(1, ClaimOutcome::Failed).await;
    assert_eq!(bench.active().await, 0);
    assert!(matches!(bench.look(1).await.1, PlaceStatus::Ready { .. }), "the place is still there");
    let grant = bench.grant(Some(1), account(2)).await;
    assert_eq!(grant.account, account(2), "nobody was bound by what failed");
    bench.settle(1, ClaimOutcome::Committed).await;
    bench.settle(1, ClaimOutcome::Committed).await;
    bench.settle(1, ClaimOutcome::Failed).await;
    assert_eq!(bench.active().await, 1, "what is committed does not fail");
    bench.settle(1, ClaimOutcome::Ended).await;
    bench.settle(1, ClaimOutcome::Ended).await;
    assert_eq!((bench.active().await, bench.look(1).await.1), (0, PlaceStatus::Done));
    assert_eq!(bench.take(Some(1), account(2)).await, SlotAnswer::Over);
    assert_eq!(bench.take(Some(1), account(1)).await, SlotAnswer::TokenUsed);
    bench.settle(99, ClaimOutcome::Ended).await;
}

pub async fn walk_ins_get_numbers_and_slots_of_their_own(bench: Bench) {
    bench.load(QueueSettings { capacity: 20, ..settings() }).await;
    assert_eq!(bench.take(None, account(1)).await, SlotAnswer::NoNumbers);
    bench.reserve(0, Some((1, 100))).await;
    let walk_ins = (0..60).map(|n| {
        let bench = bench.clone();
        async move { bench.take(None, account(n % 30)).await }
    });
    let mut slots = HashSet::new();
    for taken in all(walk_ins).await {
        match taken {
            SlotAnswer::Granted(grant) => {
                assert_eq!(grant.source, AdmissionSource::StraightThrough);
                assert!(grant.step.is_some_and(|step| step.now_serving >= grant.number));
                slots.insert((grant.number, grant.account));
            }
            other => assert_eq!(not_yet(&other), Some(NotYet::Full)),
        }
    }
    let numbers: HashSet<u64> = slots.iter().map(|slot| slot.0).collect();
    let accounts: HashSet<&AccountId> = slots.iter().map(|slot| &slot.1).collect();
    assert_eq!((slots.len(), numbers.len(), accounts.len()), (20, 20, 20));
    assert_eq!(bench.active().await, 20);
}

pub async fn places_may_be_given_up(bench: Bench) {
    bench.load(QueueSettings { capacity: 1, ..settings() }).await;
    bench.reserve(3, Some((1, 3))).await;
    let propose = async || answered(bench.store.propose(bench.at(1)).await.expect(ANSWER));
    bench.publish(propose().await.expect("a step")).await;
    assert_eq!(propose().await, None, "room is kept for number 1");
    bench.settle(1, ClaimOutcome::Left).await;
    bench.settle(1, ClaimOutcome::Left).await;
    assert_eq!(bench.take(Some(1), account(1)).await, SlotAnswer::Over);
    let step = propose().await.expect("the room is free");
    assert_eq!(step.now_serving, 2);
    bench.settle(3, ClaimOutcome::Left).await;
    let (snapshot, place) = bench.look(3).await;
    assert_eq!(snapshot.left_waiting, 1);
    bench.reserve(4, Some((4, 7))).await;
    bench.settle(5, ClaimOutcome::Left).await;
    let left_ahead = async |number| bench.look(number).await.0.left_ahead;
    assert_eq!((left_ahead(3).await, left_ahead(4).await, left_ahead(6).await), (0, 1, 2));
    assert_eq!(place, PlaceStatus::Done);
}

pub async fn settings_follow_their_revisions(bench: Bench) {
    bench.load(settings()).await;
    bench.called(2).await;
    let paused = QueueSettings { state: QueueState::Paused, ..settings() };
    let change = async |change| {
        let before = bench.clock.now();
        let at = bench.store.configure(bench.at(1), change).await.expect(ANSWER);
        // Stores and callers may differ by a little, never by hours.
        assert!(answered(at).millis_since(before).abs() < 3_600_000);
        bench.look(1).await.0
    };
    let configure = async |settings, revision| change(recorded(settings, revision)).await;
    configure(paused, 3).await;
    configure(settings(), 2).await;
    assert_eq!(not_yet(&bench.take(Some(1), account(1)).await), Some(NotYet::Paused));
    configure(QueueSettings { state: QueueState::Closed, ..settings() }, 3).await;
    assert_eq!(bench.take(Some(1), account(1)).await, SlotAnswer::Closed);
    configure(settings(), 4).await;
    bench.grant(Some(1), account(1)).await;
    assert_eq!(bench.look(1).await.0.revision, 4);

    // On their way into the record: several under one revision only forbid.
    let announce = async |settings, revision| {
        change(SettingsChange { settings, revision, recorded: false }).await
    };
    let fewer = QueueSettings { capacity: 50, ..settings() };
    let slower = QueueSettings { rate_per_minute: 60, ..paused };
    assert_eq!(announce(fewer, 4).await.settings, fewer);
    assert_eq!(announce(fewer, 5).await.revision, 5);
    let both = QueueSettings { capacity: 50, ..slower };
    assert_eq!(announce(slower, 5).await.settings, both);
    assert_eq!(configure(settings(), 4).await.settings, both, "what is recorded is older");
    assert_eq!(configure(slower, 5).await.settings, slower, "whatever was recorded counts");
    assert_eq!(announce(settings(), 4).await.settings, slower);
}

pub async fn a_slot_ends_by_itself(bench: Bench) {
    bench.load(QueueSettings { capacity: 1, session_seconds: 2, ..settings() }).await;
    bench.called(2).await;
    let grant = bench.grant(Some(1), account(1)).await;
    bench.settle(1, ClaimOutcome::Committed).await;
    assert_eq!(not_yet(&bench.take(Some(2), account(2)).await), Some(NotYet::Full));
    // Down to a whole second: a pass never outlives the session.
    assert!((1_001..=2_000).contains(&grant.until.millis_since(grant.at)));
    bench.wait(2_000).await;
    assert_eq!(bench.take(Some(1), account(1)).await, SlotAnswer::Over);
    bench.grant(Some(2), account(2)).await;
    assert_eq!(bench.active().await, 1);
}

pub async fn a_loss_brings_back_what_the_record_knows(bench: Bench) {
    let now = bench.clock.now();
    let mut loaded = bench.loaded(QueueSettings { capacity: 4, ..settings() });
    loaded.record = QueueRecord {
        generation: 1,
        leased_to: 100,
        lease_start: 5,
        now_serving: 4,
        admitted_max: 3,
    };
    loaded.steps = vec![QueueStep { now_serving: 4, at: now, granting_millis: 1_234 }];
    let row = |number, until: Timestamp, ended_at| Admission {
        slot: SlotRef { queue: bench.queue.clone(), number },
        account: account(number),
        at: now.plus_millis(-5_000),
        until,
        ended_at,
        source: AdmissionSource::Line,
    };
    loaded.admissions = vec![
        row(1, now.plus_millis(-1), None),
        row(2, now.plus_seconds(60), Some(now.plus_millis(-1))),
        row(3, now.plus_seconds(60), None),
    ];
    bench.swap_in(loaded).await;
    let live = bench.grant(Some(3), account(3)).await;
    assert_eq!((live.committed, live.at), (true, now.plus_millis(-5_000)));
    assert_eq!(bench.take(Some(2), account(2)).await, SlotAnswer::Over);
    assert_eq!(bench.take(Some(1), account(9)).await, SlotAnswer::TokenUsed);
    assert_eq!(bench.active().await, 1);
    assert_eq!(bench.reserve(1, Some((101, 110))).await.first, 101, "no number twice");
    // The bucket starts empty; a moment later there is a token for whoever is still called.
    bench.wait(50).await;
    let step = answered(bench.store.propose(bench.at(1)).await.expect(ANSWER)).expect("a step");
    // Room for 4, which was called before, for 5, and for 101; what is doubtful holds nobody up.
    assert!(step.now_serving >= 100, "{step:?}");
    bench.publish(step).await;
    assert!(matches!(bench.look(50).await.1, PlaceStatus::Ready { .. }));
    bench.settle(4, ClaimOutcome::Left).await;
    bench.settle(5, ClaimOutcome::Left).await;
    bench.grant(Some(50), account(50)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalQueueStore;

    #[tokio::test]
    async fn the_local_store_keeps_the_contract() {
        let clock = Clock::manual(Timestamp::from_millis(1_767_225_600_000));
        let queue = QueueId::parse("q").expect("a valid id");
        let store = || Arc::new(LocalQueueStore::new());
        suite(|| async { Bench { store: store(), clock: clock.clone(), queue: queue.clone() } })
            .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_local_store_keeps_the_contract_in_real_time() {
        let queue = QueueId::parse("q").expect("a valid id");
        let store = || Arc::new(LocalQueueStore::new());
        suite(|| async { Bench { store: store(), clock: Clock::System, queue: queue.clone() } })
            .await;
    }
}
