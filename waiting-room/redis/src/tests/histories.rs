//! The scripts beside the pure core over random histories: every answer is the same.
use super::*;
use ledger::books::QueueRecord;
use ledger::{Admission, Queue, SlotRef};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use waiting_room::LocalQueueStore;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// Numbers that are asked for; not all of them are given.
const NUMBERS: u64 = 90;
/// From here on a number means one near the head of the line.
const NEAR: u64 = 1_000;
/// How far behind and before the head.
const BEHIND: u64 = 6;
const BEFORE: u64 = 4;

#[derive(Debug, Clone)]
enum Move {
    /// Clocks of callers differ: time may seem to go back.
    Wait(i64),
    Reserve {
        count: u64,
        lease: Lease,
        straight: bool,
    },
    Propose,
    /// The step that was proposed last.
    Publish,
    PublishTo(u64),
    /// Many are called at once: what is measured forgets.
    Crowd(u64),
    Take {
        number: Option<u64>,
        account: u8,
        fresh: bool,
    },
    Settle(u64, ClaimOutcome),
    Look(u64),
    Configure {
        newer: i64,
        settings: QueueSettings,
        recorded: bool,
    },
    /// What was committed and published is loaded again, under the next generation.
    Lose,
    /// Somebody who believes in another generation.
    Stale,
}

/// Leases come in any order, twice, and with others between them.
#[derive(Debug, Clone, Copy)]
enum Lease {
    None,
    Next(u64),
    After { gap: u64, count: u64 },
    Any(u64, u64),
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let state = prop_oneof![
        8 => Just(QueueState::Open),
        1 => Just(QueueState::Paused),
        1 => Just(QueueState::PreQueue),
        1 => Just(QueueState::Closed),
    ];
    let rate = prop_oneof![Just(0u32), Just(60), Just(600), Just(6_000), Just(60_000)];
    (state, rate, 0u32..30, 1u32..6, 0u32..6, 1u32..20).prop_map(
        |(state, rate_per_minute, capacity, claim, back, session)| QueueSettings {
            state,
            rate_per_minute,
            capacity,
            claim_window_seconds: claim,
            return_seconds: back,
            session_seconds: session,
        },
    )
}

fn lease() -> impl Strategy<Value = Lease> {
    prop_oneof![
        3 => Just(Lease::None),
        4 => (1u64..12).prop_map(Lease::Next),
        1 => (1u64..4, 1u64..6).prop_map(|(gap, count)| Lease::After { gap, count }),
        1 => (1u64..NUMBERS, 0u64..8).prop_map(|(first, more)| Lease::Any(first, first + more)),
    ]
}

fn one_move() -> impl Strategy<Value = Move> {
    let outcome = prop_oneof![
        4 => Just(ClaimOutcome::Committed),
        2 => Just(ClaimOutcome::Failed),
        2 => Just(ClaimOutcome::Ended),
        2 => Just(ClaimOutcome::Left),
    ];
    let number = || prop_oneof![1 => 0..NUMBERS, 2 => NEAR..NEAR + BEHIND + BEFORE];
    prop_oneof![
        8 => (0i64..2_500).prop_map(Move::Wait),
        2 => (-2_000i64..0).prop_map(Move::Wait),
        1 => (DAY_MILLIS - 5_000..DAY_MILLIS + 60_000).prop_map(Move::Wait),
        10 => (0u64..9, lease(), any::<bool>())
            .prop_map(|(count, lease, straight)| Move::Reserve { count, lease, straight }),
        8 => Just(Move::Propose),
        8 => Just(Move::Publish),
        2 => number().prop_map(Move::PublishTo),
        1 => (200u64..900).prop_map(Move::Crowd),
        14 => (number(), 0u8..25, prop::bool::weighted(0.9)).prop_map(|(number, account, fresh)| {
            Move::Take { number: Some(number), account, fresh }
        }),
        6 => (0u8..25).prop_map(|account| Move::Take { number: None, account, fresh: true }),
        12 => (number(), outcome).prop_map(|(number, what)| Move::Settle(number, what)),
        4 => number().prop_map(Move::Look),
        2 => (-1i64..3, settings(), any::<bool>())
            .prop_map(|(newer, settings, recorded)| Move::Configure { newer, settings, recorded }),
        1 => Just(Move::Lose),
        1 => Just(Move::Stale),
    ]
}

/// Both stores, and what `Books` would know.
struct Twins<'a> {
    redis: &'a RedisQueueStore,
    local: LocalQueueStore,
    books: QueueLoad,
    now: Timestamp,
    proposed: Option<QueueStep>,
    /// Granted, and perhaps not committed.
    granted: Vec<Grant>,
    served: u64,
}

impl<'a> Twins<'a> {
    async fn new(redis: &'a RedisQueueStore, settings: QueueSettings) -> Self {
        let record = QueueRecord {
            generation: 1,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        };
        let queue = Queue { id: fresh_queue(), settings, opens_at: T0, revision: 1 };
        let books = QueueLoad { queue, record, steps: vec![], admissions: vec![] };
        let local = LocalQueueStore::new();
        let (proposed, granted, served) = (None, vec![], 0);
        let twins = Self { redis, local, books, now: T0, proposed, granted, served };
        twins.swap_in().await;
        twins
    }

    async fn swap_in(&self) {
        self.local.swap_in(self.books.clone(), self.now).await.unwrap();
        self.redis.swap_in(self.books.clone(), self.now).await.unwrap();
    }

    fn at(&self) -> CopyRef<'_> {
        let generation = self.books.record.generation;
        CopyRef { queue: &self.books.queue.id, generation, now: self.now }
    }

    async fn apply(&mut self, one: &Move) -> Result<(), TestCaseError> {
        match one {
            Move::Wait(millis) => self.now = self.now.plus_millis(*millis),
            Move::Reserve { count, lease, straight } => {
                let lease = self.lease(*lease);
                let request = Reserve { count: *count, lease, straight: *straight };
                let step = self.reserve(request).await?.step;
                self.proposed = step.or(self.proposed);
            }
            Move::Propose => {
                let ours = self.redis.propose(self.at()).await.unwrap();
                prop_assert_eq!(ours, self.local.propose(self.at()).await.unwrap());
                let Fenced::Is(step) = ours else { return lost() };
                self.proposed = step.or(self.proposed);
            }
            Move::Publish => {
                if let Some(step) = self.proposed {
                    self.publish(step).await?;
                }
            }
            Move::PublishTo(number) => self.publish_to(self.resolve(*number)).await?,
            Move::Crowd(count) => {
                let lease = self.lease(Lease::Next(*count));
                self.reserve(Reserve { count: *count, lease, straight: false }).await?;
                self.publish_to(self.books.record.leased_to).await?;
            }
            Move::Take { number, account, fresh } => {
                let number = number.map(|number| self.resolve(number));
                self.take(number, *account, *fresh).await?;
            }
            Move::Settle(number, what) => self.settle(self.resolve(*number), *what).await?,
            Move::Look(number) => self.look(self.resolve(*number)).await?,
            Move::Configure { newer, settings, recorded } => {
                self.configure(*newer, *settings, *recorded).await?;
            }
            Move::Lose => {
                self.granted.clear();
                self.books.record.generation += 1;
                self.swap_in().await;
            }
            Move::Stale => {
                let copy = CopyRef { generation: 99, ..self.at() };
                prop_assert_eq!(self.redis.propose(copy).await.unwrap(), Fenced::Lost);
            }
        }
        self.same_counters().await
    }

    fn resolve(&self, number: u64) -> u64 {
        match number.checked_sub(NEAR) {
            Some(off) => (self.served + off).saturating_sub(BEHIND),
            None => number,
        }
    }

    /// Also what no answer tells is the same.
    async fn same_counters(&mut self) -> Result<(), TestCaseError> {
        // A look changes nothing on the server, so both are brought to the present first.
        self.settle(0, ClaimOutcome::Ended).await?;
        let looked = self.redis.look(self.at(), None).await.unwrap();
        prop_assert_eq!(&looked, &self.local.look(self.at(), None).await.unwrap());
        if let Fenced::Is((snapshot, _)) = looked {
            self.served = snapshot.now_serving;
        }
        let ours = self.redis.counters(&self.books.queue.id).await;
        prop_assert_eq!(ours, self.local.counters(&self.books.queue.id));
        Ok(())
    }

    async fn publish_to(&self, now_serving: u64) -> Result<(), TestCaseError> {
        let step = QueueStep { now_serving, at: self.now, granting_millis: 0 };
        let ours = self.redis.publish(self.at(), step).await.unwrap();
        prop_assert_eq!(ours, self.local.publish(self.at(), step).await.unwrap());
        Ok(())
    }

    fn lease(&mut self, lease: Lease) -> Option<(u64, u64)> {
        let record = &mut self.books.record;
        let (first, last) = match lease {
            Lease::None => return None,
            Lease::Next(count) => (record.leased_to + 1, record.leased_to + count),
            Lease::After { gap, count } => {
                (record.leased_to + 1 + gap, record.leased_to + gap + count)
            }
            Lease::Any(first, last) => (first, last),
        };
        if last > record.leased_to {
            (record.lease_start, record.leased_to) = (first, last);
        }
        Some((first, last))
    }

    async fn reserve(&self, request: Reserve) -> Result<Reserved, TestCaseError> {
        let ours = self.redis.reserve(self.at(), request).await.unwrap();
        prop_assert_eq!(ours, self.local.reserve(self.at(), request).await.unwrap());
        match ours {
            Fenced::Is(reserved) => Ok(reserved),
            Fenced::Lost => lost(),
        }
    }

    async fn publish(&mut self, step: QueueStep) -> Result<(), TestCaseError> {
        let ours = self.redis.publish(self.at(), step).await.unwrap();
        prop_assert_eq!(ours, self.local.publish(self.at(), step).await.unwrap());
        if step.now_serving > self.books.record.now_serving {
            self.books.record.now_serving = step.now_serving;
            self.books.steps.push(step);
        }
        Ok(())
    }

    async fn take(
        &mut self,
        number: Option<u64>,
        account: u8,
        fresh: bool,
    ) -> Result<(), TestCaseError> {
        let account = AccountId::parse(&format!("a{account}")).unwrap();
        let request = SlotRequest { account, number, fresh };
        let ours = self.redis.take(self.at(), request.clone()).await.unwrap();
        prop_assert_eq!(&ours, &self.local.take(self.at(), request).await.unwrap());
        if let Fenced::Is(SlotAnswer::Granted(grant)) = ours {
            self.granted.push(grant);
        }
        Ok(())
    }

    async fn settle(&mut self, number: u64, what: ClaimOutcome) -> Result<(), TestCaseError> {
        let ours = self.redis.settle(self.at(), number, what).await.unwrap();
        prop_assert_eq!(ours, self.local.settle(self.at(), number, what).await.unwrap());
        let rows = &mut self.books.admissions;
        let known = rows.iter_mut().find(|row| row.slot.number == number);
        let grant = self.granted.iter().rev().find(|grant| grant.number == number);
        match (what, known, grant) {
            (ClaimOutcome::Committed, None, Some(grant)) => {
                let record = &mut self.books.record;
                record.admitted_max = record.admitted_max.max(number);
                let slot = SlotRef { queue: self.books.queue.id.clone(), number };
                rows.push(Admission {
                    slot,
                    account: grant.account.clone(),
                    at: grant.at,
                    until: grant.until,
                    ended_at: None,
                    source: grant.source,
                });
                rows.sort_by_key(|row| row.slot.number);
            }
            (ClaimOutcome::Ended, Some(row), _) => row.ended_at = row.ended_at.or(Some(self.now)),
            _ => {}
        }
        Ok(())
    }

    async fn look(&self, number: u64) -> Result<(), TestCaseError> {
        let ours = self.redis.look(self.at(), Some(number)).await.unwrap();
        prop_assert_eq!(ours, self.local.look(self.at(), Some(number)).await.unwrap());
        Ok(())
    }

    async fn configure(
        &mut self,
        newer: i64,
        settings: QueueSettings,
        recorded: bool,
    ) -> Result<(), TestCaseError> {
        let revision = self.books.queue.revision.saturating_add_signed(newer);
        if recorded && revision >= self.books.queue.revision {
            (self.books.queue.settings, self.books.queue.revision) = (settings, revision);
        }
        let change = SettingsChange { settings, revision, recorded };
        let ours = self.redis.configure(self.at(), change).await.unwrap();
        let theirs = self.local.configure(self.at(), change).await.unwrap();
        prop_assert_eq!(ours, theirs);
        Ok(())
    }
}

fn lost<T>() -> Result<T, TestCaseError> {
    Err(TestCaseError::fail("the copy is lost"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_writes_nothing() {
    let redis = on(&single(), ScriptClock::Caller).await;
    let settings = QueueSettings {
        capacity: 1,
        claim_window_seconds: 2,
        return_seconds: 5,
        session_seconds: 20,
        ..QueueSettings::default()
    };
    let mut twins = Twins::new(&redis, settings).await;
    let lease = twins.lease(Lease::Next(3));
    twins.reserve(Reserve { count: 3, lease, straight: false }).await.unwrap();
    twins.publish_to(1).await.unwrap();
    twins.take(Some(1), 1, true).await.unwrap();
    let before = redis.counters(&twins.books.queue.id).await;
    for seconds in [5, 40, 90_000] {
        twins.now = T0.plus_seconds(seconds);
        for number in 0..4 {
            twins.look(number).await.unwrap();
        }
        assert_eq!(redis.counters(&twins.books.queue.id).await, before);
    }
}

#[test]
fn the_scripts_answer_as_the_pure_core_whatever_happens() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let redis = runtime.block_on(on(&single(), ScriptClock::Caller));
    let histories = (settings(), prop::collection::vec(one_move(), 1..120));
    let mut runner = TestRunner::new(ProptestConfig { cases: 100, ..ProptestConfig::default() });
    let ran = runner.run(&histories, |(settings, moves)| {
        runtime.block_on(async {
            let mut twins = Twins::new(&redis, settings).await;
            for one in &moves {
                twins.apply(one).await?;
            }
            for number in 0..NUMBERS + 20 {
                twins.look(number).await?;
            }
            Ok(())
        })
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(why, (settings, moves))) => {
            panic!("{why}\nfrom {settings:?}:\n{moves:#?}")
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
