//! The line under random histories: the invariants I9 to I11 hold whatever happens, also across
//! losses.
use super::bounds::TOKEN;
use super::bucket::burst;
use super::*;
use crate::store::{Grant, Reserve, Reserved, SlotAnswer, SlotRequest};
use ledger::books::QueueRecord;
use ledger::{AccountId, Admission, Queue, QueueId, SlotRef};
use proptest::prelude::*;
use std::collections::HashMap;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);

#[derive(Debug, Clone)]
enum Move {
    Wait(i64),
    Join {
        count: u64,
        straight: bool,
    },
    /// Proposes; the commit may be lost, and then nothing is published.
    Step {
        committed: bool,
    },
    Claim {
        number: u64,
        account: u8,
        settle: Option<ClaimOutcome>,
    },
    WalkIn {
        account: u8,
        settle: Option<ClaimOutcome>,
    },
    /// The fate of a commit that nobody knew yet becomes known.
    Learn {
        nth: usize,
        committed: bool,
    },
    End(u64),
    Leave(u64),
    Rate(u32),
    Capacity(u32),
    State(QueueState),
    Lose,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let commit = || {
        prop_oneof![
            6 => Just(Some(ClaimOutcome::Committed)),
            1 => Just(Some(ClaimOutcome::Failed)),
            2 => Just(None),
        ]
    };
    let one = prop_oneof![
        6 => (0i64..3_000).prop_map(Move::Wait),
        6 => (0u64..20, any::<bool>()).prop_map(|(count, straight)| Move::Join { count, straight }),
        6 => prop::bool::weighted(0.9).prop_map(|committed| Move::Step { committed }),
        12 => (0u64..50, 0u8..40, commit())
            .prop_map(|(number, account, settle)| Move::Claim { number, account, settle }),
        4 => (0u8..40, commit()).prop_map(|(account, settle)| Move::WalkIn { account, settle }),
        3 => (0usize..9, any::<bool>())
            .prop_map(|(nth, committed)| Move::Learn { nth, committed }),
        4 => (0u64..50).prop_map(Move::End),
        2 => (0u64..120).prop_map(Move::Leave),
        1 => prop_oneof![Just(0u32), Just(60), Just(600), Just(6_000)].prop_map(Move::Rate),
        1 => (0u32..200).prop_map(Move::Capacity),
        1 => prop_oneof![
            6 => Just(QueueState::Open),
            1 => Just(QueueState::Paused),
            1 => Just(QueueState::PreQueue),
            1 => Just(QueueState::Closed),
        ]
        .prop_map(Move::State),
        1 => Just(Move::Lose),
    ];
    prop::collection::vec(one, 1..150)
}

/// A line with the record that `Books` would keep, and what clients saw.
struct World {
    line: Line,
    books: QueueLoad,
    now: Timestamp,
    /// The greatest number that any join was given.
    given: u64,
    served: u64,
    /// The rate from each moment on.
    rates: Vec<(Timestamp, u32)>,
    /// Slots whose commit nobody knows yet.
    unsettled: Vec<Grant>,
    /// Every slot ever given: when, to whom, and when it was over.
    slots: HashMap<u64, (Timestamp, AccountId, Timestamp)>,
}

impl World {
    fn new(rate_per_minute: u32, capacity: u32) -> Self {
        let settings = QueueSettings {
            state: QueueState::Open,
            rate_per_minute,
            capacity,
            claim_window_seconds: 5,
            return_seconds: 5,
            session_seconds: 20,
        };
        let record = QueueRecord {
            generation: 1,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        };
        let queue = Queue { id: QueueId::parse("q").unwrap(), settings, opens_at: T0, revision: 1 };
        let books = QueueLoad { queue, record, steps: vec![], admissions: vec![] };
        Self {
            line: Line::load(&books, T0),
            books,
            now: T0,
            given: 0,
            served: 0,
            rates: vec![(T0, rate_per_minute)],
            unsettled: vec![],
            slots: HashMap::new(),
        }
    }

    fn apply(&mut self, one: &Move) -> Result<(), TestCaseError> {
        match one {
            Move::Wait(millis) => self.now = self.now.plus_millis(*millis),
            Move::Join { count, straight } => self.join(*count, *straight)?,
            Move::Step { committed } => {
                if let Some(step) = self.line.propose(self.now)
                    && *committed
                {
                    self.commit_step(step);
                }
            }
            Move::Claim { number, account, settle } => {
                self.take(Some(*number), *account, *settle)?
            }
            Move::WalkIn { account, settle } => self.take(None, *account, *settle)?,
            Move::Learn { nth, committed } => self.learn(*nth, *committed)?,
            Move::End(number) => self.end(*number),
            Move::Leave(number) => self.line.settle(*number, ClaimOutcome::Left, self.now),
            Move::Rate(rate) => {
                self.rates.push((self.now, *rate));
                self.configure(|q| q.rate_per_minute = *rate);
            }
            Move::Capacity(capacity) => self.configure(|q| q.capacity = *capacity),
            Move::State(state) => self.configure(|q| q.state = *state),
            Move::Lose => self.lose(),
        }
        self.check()
    }

    fn join(&mut self, count: u64, straight: bool) -> Result<(), TestCaseError> {
        let mut reserve = Reserve { count, lease: None, straight };
        let mut reserved = self.line.reserve(reserve, self.now);
        if reserved.count < count {
            self.take_numbers(&reserved)?;
            reserve = Reserve { count: count - reserved.count, lease: self.lease(7), straight };
            reserved = self.line.reserve(reserve, self.now);
        }
        self.take_numbers(&reserved)?;
        if let Some(step) = reserved.step {
            self.commit_step(step);
        }
        Ok(())
    }

    fn take_numbers(&mut self, reserved: &Reserved) -> Result<(), TestCaseError> {
        if reserved.count > 0 {
            prop_assert!(reserved.first > self.given, "number {} twice", reserved.first);
            prop_assert!(reserved.first > self.served, "behind now_serving");
            self.given = reserved.first + reserved.count - 1;
            prop_assert!(self.given <= self.books.record.leased_to, "beyond the lease");
        }
        Ok(())
    }

    fn lease(&mut self, count: u64) -> Option<(u64, u64)> {
        let record = &mut self.books.record;
        record.lease_start = record.leased_to + 1;
        record.leased_to += count;
        Some((record.lease_start, record.leased_to))
    }

    fn commit_step(&mut self, step: QueueStep) {
        if step.now_serving > self.books.record.now_serving {
            self.books.record.now_serving = step.now_serving;
            self.books.steps.push(step);
        }
        self.line.publish(step, self.now);
    }

    fn take(
        &mut self,
        number: Option<u64>,
        account: u8,
        settle: Option<ClaimOutcome>,
    ) -> Result<(), TestCaseError> {
        let account = AccountId::parse(&format!("a{account}")).unwrap();
        self.call(&SlotRequest { account, number, fresh: true }, settle)
    }

    fn call(
        &mut self,
        request: &SlotRequest,
        settle: Option<ClaimOutcome>,
    ) -> Result<(), TestCaseError> {
        let active = self.line.slots.active();
        let taken = self.line.take(request, self.now);
        if taken == SlotAnswer::NoNumbers {
            let lease = self.lease(7);
            self.line.reserve(Reserve { count: 0, lease, straight: false }, self.now);
            return Ok(());
        }
        let SlotAnswer::Granted(grant) = taken else { return Ok(()) };
        let again = self.line.take(request, self.now);
        prop_assert!(
            matches!(again, SlotAnswer::Granted(again) if again.at == grant.at
            && again.number == grant.number && again.until == grant.until),
            "a replay differs"
        );
        self.given = self.given.max(grant.number);
        let new = !self.slots.contains_key(&grant.number);
        if new {
            prop_assert!(active < u64::from(self.books.queue.settings.capacity), "I11");
            prop_assert!(self.books.queue.settings.state == QueueState::Open);
            let times = (grant.at, grant.account.clone(), grant.until);
            self.slots.insert(grant.number, times);
        }
        match settle {
            Some(ClaimOutcome::Failed) if !grant.committed => self.fail(&grant),
            Some(_) if !grant.committed => self.commit(&grant),
            None if !grant.committed => self.unsettled.push(grant),
            Some(_) | None => {}
        }
        Ok(())
    }

    fn learn(&mut self, nth: usize, committed: bool) -> Result<(), TestCaseError> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let grant = self.unsettled.swap_remove(nth % self.unsettled.len());
        if committed {
            self.commit(&grant);
            return Ok(());
        }
        self.fail(&grant);
        // Whoever is told that it failed claims again at once.
        let request =
            SlotRequest { account: grant.account, number: Some(grant.number), fresh: true };
        self.call(&request, Some(ClaimOutcome::Committed))
    }

    /// Both of its commits fail. It is there still only if another claim commits it as well.
    fn fail(&mut self, grant: &Grant) {
        self.line.settle(grant.number, ClaimOutcome::Failed, self.now);
        self.line.settle(grant.number, ClaimOutcome::Failed, self.now);
        if self.line.slots.get(grant.number).is_none() {
            self.slots.remove(&grant.number);
        }
    }

    fn commit(&mut self, grant: &Grant) {
        let slot = SlotRef { queue: self.books.queue.id.clone(), number: grant.number };
        if !self.books.admissions.iter().any(|row| row.slot == slot) {
            self.books.record.admitted_max = self.books.record.admitted_max.max(grant.number);
            self.books.admissions.push(Admission {
                slot,
                account: grant.account.clone(),
                at: grant.at,
                until: grant.until,
                ended_at: None,
                source: grant.source,
            });
        }
        self.line.settle(grant.number, ClaimOutcome::Committed, self.now);
        if let Some(step) = grant.step {
            self.commit_step(step);
        }
    }

    fn end(&mut self, number: u64) {
        let now = self.now;
        let row = self.books.admissions.iter_mut().find(|row| row.slot.number == number);
        if let Some(row) = row.filter(|row| row.is_live(now)) {
            row.ended_at = Some(now);
            self.slots.entry(number).and_modify(|slot| slot.2 = now);
            self.line.settle(number, ClaimOutcome::Ended, now);
        }
    }

    fn configure(&mut self, change: impl FnOnce(&mut QueueSettings)) {
        change(&mut self.books.queue.settings);
        self.books.queue.revision += 1;
        let Queue { settings, revision, .. } = self.books.queue;
        self.line.configure(SettingsChange { settings, revision, recorded: true }, self.now);
    }

    /// Everything that is not in `Books` is gone; grants that were never committed never were.
    fn lose(&mut self) {
        self.unsettled.clear();
        self.books.record.generation += 1;
        self.books.admissions.sort_by_key(|row| row.slot.number);
        let admissions = &self.books.admissions;
        self.slots.retain(|number, _| admissions.iter().any(|row| row.slot.number == *number));
        self.line = Line::load(&self.books, self.now);
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let (snapshot, _) = self.line.look(None, self.now);
        prop_assert!(snapshot.now_serving >= self.served, "now_serving went back");
        self.served = snapshot.now_serving;
        prop_assert_eq!(self.line.generation(), self.books.record.generation);
        let live = |slot: &&(Timestamp, AccountId, Timestamp)| slot.2 > self.now;
        let mut accounts: Vec<_> = self.slots.values().filter(live).map(|slot| &slot.1).collect();
        prop_assert_eq!(accounts.len() as u64, snapshot.active, "every slot is counted");
        accounts.sort();
        accounts.dedup();
        prop_assert_eq!(accounts.len() as u64, snapshot.active, "one live slot an account");
        let (called, answered) = self.line.called_in(self.line.now_serving, self.line.proposed);
        prop_assert_eq!(self.line.pending, called - answered);
        Ok(())
    }

    /// I10: in every window, no more than the rate over it and one burst.
    fn check_rate(&self) -> Result<(), TestCaseError> {
        let mut times: Vec<i64> = self.slots.values().map(|slot| slot.0.millis()).collect();
        times.sort_unstable();
        for (i, from) in times.iter().enumerate() {
            for (j, to) in times.iter().enumerate().skip(i) {
                let granted = (j - i + 1) as u64 * TOKEN;
                let allowed = self.allowed(*from, *to);
                prop_assert!(granted <= allowed, "{granted} > {allowed} in {from}..={to}");
            }
        }
        Ok(())
    }

    /// What the rate let through in a window, in units, with the greatest burst in force in it.
    fn allowed(&self, from: i64, to: i64) -> u64 {
        let mut units = 0;
        let mut most = 0;
        for (i, (since, rate)) in self.rates.iter().enumerate() {
            let until = self.rates.get(i + 1).map_or(i64::MAX, |next| next.0.millis());
            let overlap = until.min(to) - since.millis().max(from);
            if overlap >= 0 {
                units += u64::try_from(overlap).unwrap() * u64::from(*rate);
                most = most.max(burst(*rate));
            }
        }
        units + most
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold(
        moves in moves(),
        rate in prop_oneof![Just(60u32), Just(600)],
        capacity in prop_oneof![Just(3u32), Just(10), Just(1_000)],
    ) {
        let mut world = World::new(rate, capacity);
        for one in &moves {
            world.apply(one)?;
        }
        world.check_rate()?;
    }

    /// A crowd that claims as fast as it can gets exactly the rate, not one more or less.
    #[test]
    fn a_crowd_is_let_in_at_the_rate(rate in 60u32..60_000, tick in 1i64..300) {
        let mut world = World::new(600, 10);
        world.configure(|q| {
            q.rate_per_minute = rate;
            q.capacity = u32::MAX;
            q.session_seconds = 3_600;
        });
        let lease = Some((1, 100_000));
        world.line.reserve(Reserve { count: 100_000, lease, straight: false }, T0);
        let (mut admitted, mut next) = (0u64, 1);
        let mut now = T0;
        for _ in 0..50 {
            now = now.plus_millis(tick);
            if let Some(step) = world.line.propose(now) {
                world.line.publish(step, now);
            }
            while next <= world.line.now_serving {
                let account = AccountId::parse(&format!("a{next}")).unwrap();
                match world.line.take(&SlotRequest { account, number: Some(next), fresh: true }, now) {
                    SlotAnswer::Granted(_) => (admitted, next) = (admitted + 1, next + 1),
                    SlotAnswer::NotYet { .. } => break,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        // The bucket started full under the first rate and was cut or kept by the second.
        let start = burst(600).min(burst(rate));
        let full = (start + u64::from(rate) * u64::try_from(tick).unwrap() * 50) / TOKEN;
        prop_assert!(admitted <= full, "{admitted} > {full}");
        let tick_capped = tick <= 1_000;
        prop_assert!(!tick_capped || admitted + 2 + full / 50 >= full, "{admitted} << {full}");
    }
}
