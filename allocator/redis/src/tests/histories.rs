//! Random histories on the scripts and on the pure core: the same answers, and after every step
//! the very same copy, field by field.
use super::super::known::KnownEvent;
use super::super::staged::Staged;
use super::store_at;
use crate::RedisSeatStore;
use allocator::backend::{EventSeats, Owner};
use allocator::conformance::{Fixture, NOW};
use allocator::store::{
    CopyRef, Find, Limits, LoadOutcome, Lock, Pay, SeatCopies, SeatHolds, SeatUpkeep, SeatsCopy,
    Truth,
};
use allocator::{BookTarget, HoldRecord, HoldState, Keyed, Wish};
use ledger::{
    AccountId, Booking, BookingId, BookingOutcome, BookingStatus, Currency, Fenced, HoldId,
    IdSource, Layout, Money, PaymentToken, PlaceBooking, Row, Seating, Section, SectionId, SlotRef,
    Timestamp,
};
use proptest::prelude::*;
use redis_client::testing::{cluster, single};
use redis_client::{Value, cmd};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::runtime::Runtime;

const ACCOUNTS: usize = 3;
/// Rows of 5, 3 and 2, an aisle between the last two, and a floor for 6; one more is not there.
const PLACES: u32 = 17;

#[derive(Debug, Clone)]
enum Step {
    Lock { who: usize, wish: Wished, key: Option<(u8, u8)>, slot: bool },
    Release { who: usize, hold: usize },
    Pay { who: usize, target: Target, key: Option<(u8, u8)>, joins: Option<usize> },
    Unpay { command: usize },
    Outcome { command: usize, status: BookingStatus },
    Reload(Vec<(u32, usize, usize)>),
    Find { who: usize, hold: usize, key: u8 },
    Wait { millis: i64 },
    Sweep,
    Load,
}

#[derive(Debug, Clone)]
enum Wished {
    Places(Vec<u32>),
    Best(u32, Option<usize>),
}

#[derive(Debug, Clone)]
enum Target {
    Hold(usize),
    Place(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, index) = (0..ACCOUNTS, 0..8usize);
    let places = prop_oneof![
        3 => (0..PLACES, 1..4u32).prop_map(|(from, many)| (from..from + many).collect()),
        1 => proptest::collection::vec(0..PLACES, 0..5),
    ];
    let best = (0..4u32, proptest::option::of(0..3usize));
    let wish = prop_oneof![
        places.prop_map(Wished::Places),
        best.prop_map(|(quantity, section)| Wished::Best(quantity, section)),
    ];
    let key = proptest::option::weighted(0.4, (0..3u8, 0..2u8));
    let target =
        prop_oneof![index.clone().prop_map(Target::Hold), (0..PLACES).prop_map(Target::Place)];
    let joins = proptest::option::weighted(0.2, index.clone());
    let statuses = proptest::sample::select(BookingStatus::ALL.to_vec());
    let truths = proptest::collection::vec((0..PLACES, 0..3usize, index.clone()), 1..4);
    let step = prop_oneof![
        8 => (who.clone(), wish, key.clone(), any::<bool>())
            .prop_map(|(who, wish, key, slot)| Step::Lock { who, wish, key, slot }),
        2 => (who.clone(), index.clone()).prop_map(|(who, hold)| Step::Release { who, hold }),
        7 => (who.clone(), target, key, joins)
            .prop_map(|(who, target, key, joins)| Step::Pay { who, target, key, joins }),
        2 => index.clone().prop_map(|command| Step::Unpay { command }),
        6 => (index.clone(), statuses)
            .prop_map(|(command, status)| Step::Outcome { command, status }),
        2 => truths.prop_map(Step::Reload),
        1 => (who, index, 0..3u8).prop_map(|(who, hold, key)| Step::Find { who, hold, key }),
        3 => prop_oneof![Just(1), Just(60_000), Just(300_000), 0..400_000i64, 0..8_000_000i64]
            .prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Sweep),
        1 => Just(Step::Load),
    ];
    proptest::collection::vec(step, 1..50)
}

/// The core and Redis, side by side.
struct Run {
    at: CopyRef,
    core: EventSeats,
    store: Arc<RedisSeatStore>,
    known: Arc<KnownEvent>,
    ids: IdSource,
    accounts: Vec<AccountId>,
    /// Every hold and command there ever was.
    holds: Vec<HoldId>,
    commands: Vec<PlaceBooking>,
}

fn layout() -> Layout {
    let seat = |n: i32| (n != 0).then(|| n.to_string());
    let row = |name: &str, seats: &[i32]| Row {
        name: name.into(),
        seats: seats.iter().copied().map(seat).collect(),
    };
    let rows = vec![row("A", &[1, 2, 3, 4, 5]), row("B", &[1, 2, 3, 0, 4, 5])];
    let section = |id: &str, minor, seating| Section {
        id: SectionId::parse(id).unwrap(),
        name: id.into(),
        price: Money::new(minor, Currency::EUR),
        seating,
    };
    let floor = section("floor", 900, Seating::Capacity(6));
    Layout::new(vec![section("stalls", 4_500, Seating::Rows(rows)), floor]).unwrap()
}

impl Run {
    async fn new(store: Arc<RedisSeatStore>) -> Result<Self, TestCaseError> {
        let ids = IdSource::system();
        let mut event = Fixture::event(&ids);
        event.layout = Arc::new(layout());
        let limits = Limits { key_seconds: 7_200, declined_hold_seconds: 120 };
        let at = CopyRef { event: Arc::new(event), generation: 1, now: NOW, limits };
        let core = EventSeats::new(&at.event, 1);
        let accounts = (0..ACCOUNTS).map(|_| ids.account(NOW)).collect();
        let known = store.known(&at.event);
        let (holds, commands) = Default::default();
        let mut run = Self { at, core, store, known, ids, accounts, holds, commands };
        run.load(SeatsCopy::default()).await?;
        Ok(run)
    }

    async fn load(&mut self, copy: SeatsCopy) -> Result<(), TestCaseError> {
        self.core = EventSeats::of_copy(&self.at, copy.clone());
        let loaded = self.store.load(&self.at, copy).await.unwrap();
        prop_assert_eq!(loaded, LoadOutcome::Swapped);
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Lock { who, wish, key, slot } => self.lock(*who, wish, *key, *slot).await?,
            Step::Release { who, hold } => {
                let (at, id, who) = (&self.at, self.hold(*hold), &self.accounts[*who]);
                let answer = self.store.release(at, &id, who).await.unwrap();
                prop_assert_eq!(answer, Fenced::Is(self.core.release(at, &id, who)));
            }
            Step::Pay { who, target, key, joins } => self.pay(*who, target, *key, *joins).await?,
            Step::Unpay { command } => {
                let Some(command) = self.command(*command) else { return Ok(()) };
                let answer = self.store.unpay(&self.at, &command.booking_id).await.unwrap();
                let expected = self.core.unpay(&self.at, &command.booking_id);
                prop_assert_eq!(answer, Fenced::Is(expected));
            }
            Step::Outcome { command, status } => {
                let Some(command) = self.command(*command) else { return Ok(()) };
                let booking = Booking { status: *status, ..Booking::placed(&command) };
                let outcome = BookingOutcome { booking, slot: None };
                let answer = self.store.apply(&self.at, &outcome).await.unwrap();
                prop_assert_eq!(answer, Fenced::Is(self.core.apply(&self.at, &outcome)));
            }
            Step::Reload(places) => {
                let truth = |(place, kind, command): &(u32, usize, usize)| {
                    let command = self.command(*command)?;
                    let truth = match kind {
                        0 => Truth::Sold(command.booking_id.clone(), command.account_id.clone()),
                        1 => Truth::Unclaimed(command.booking_id.clone()),
                        _ => Truth::Paying(Box::new(command)),
                    };
                    Some((*place % (PLACES - 1), truth))
                };
                let places: Vec<_> = places.iter().filter_map(truth).collect();
                let answer = self.store.reload(&self.at, &places).await.unwrap();
                self.core.reload(&self.at, &places);
                prop_assert_eq!(answer, Fenced::Is(()));
            }
            Step::Find { who, hold, key } => {
                let account = self.accounts[*who].clone();
                let by_key = Find::Key { account: account.clone(), key: name_of(*key) };
                for which in [Find::Hold(self.hold(*hold)), Find::Account(account), by_key] {
                    let answer = self.store.find(&self.at, &which).await.unwrap();
                    let Fenced::Is(mut found) = answer else {
                        return Err(TestCaseError::fail("lost"));
                    };
                    let mut expected = self.core.find(&self.at, &which);
                    for holds in [&mut found, &mut expected] {
                        holds.sort_unstable_by(|one, other| one.id.cmp(&other.id));
                    }
                    prop_assert_eq!(found, expected);
                }
            }
            Step::Wait { millis } => {
                self.at.now = self.at.now.plus_millis(*millis);
                self.sweep().await?;
            }
            Step::Sweep => self.sweep().await?,
            Step::Load => {
                self.at.generation += 1;
                self.load(self.copied()).await?;
            }
        }
        self.agree().await
    }

    async fn sweep(&mut self) -> Result<(), TestCaseError> {
        let answer = self.store.sweep(&self.at, 1_000).await.unwrap();
        prop_assert_eq!(answer, Fenced::Is(self.core.sweep_all(&self.at, 1_000)));
        Ok(())
    }

    async fn lock(
        &mut self,
        who: usize,
        wish: &Wished,
        key: Option<(u8, u8)>,
        slot: bool,
    ) -> Result<(), TestCaseError> {
        let wish = match wish {
            Wished::Places(places) => Wish::Places(places.clone()),
            Wished::Best(quantity, section) => {
                let section = section.map(|at| ["stalls", "floor", "nowhere"][at]);
                let section = section.map(|id| SectionId::parse(id).unwrap());
                Wish::Best { quantity: *quantity, section }
            }
        };
        let queue = self.at.event.queue_id.clone();
        let request = Lock {
            account: self.accounts[who].clone(),
            slot: slot.then_some(SlotRef { queue, number: 7 }),
            wish,
            key: key.map(keyed),
            minted: self.ids.hold(&self.at.event.id, self.at.now),
        };
        let answer = self.store.lock(&self.at, &request).await.unwrap();
        let expected = self.core.lock(&self.at, &request);
        prop_assert_eq!(&answer, &Fenced::Is(expected));
        if let Fenced::Is(allocator::store::Locked::Held(hold)) = answer {
            self.holds.push(hold.id.clone());
        }
        Ok(())
    }

    async fn pay(
        &mut self,
        who: usize,
        target: &Target,
        key: Option<(u8, u8)>,
        joins: Option<usize>,
    ) -> Result<(), TestCaseError> {
        let request = Pay {
            account: self.accounts[who].clone(),
            target: match target {
                Target::Hold(hold) => BookTarget::Hold(self.hold(*hold)),
                Target::Place(place) => BookTarget::Place(*place),
            },
            payment_token: PaymentToken::parse("tok_good").unwrap(),
            key: key.map(keyed),
            joins: joins.and_then(|at| self.command(at)).map(|command| command.booking_id),
        };
        let answer = self.store.pay(&self.at, &request).await.unwrap();
        let expected = self.core.pay(&self.at, &request);
        prop_assert_eq!(&answer, &Fenced::Is(expected));
        if let Fenced::Is(allocator::store::Paid::Begun(command)) = answer {
            self.commands.push(*command);
        }
        Ok(())
    }

    /// Counted from the newest, which is where things happen.
    fn hold(&self, index: usize) -> HoldId {
        let hold = self.holds.iter().rev().nth(index).cloned();
        hold.unwrap_or_else(|| self.ids.hold(&self.at.event.id, NOW))
    }

    fn command(&self, index: usize) -> Option<PlaceBooking> {
        self.commands.iter().rev().nth(index).cloned()
    }

    /// What a recovery would load: all that is there.
    fn copied(&self) -> SeatsCopy {
        let sold = self.core.owners().filter_map(|(place, owner)| match owner {
            Owner::Sold(booking, account) => Some((place, booking.clone(), account.clone())),
            Owner::Hold(_) => None,
        });
        let mut holds: Vec<HoldRecord> = self.core.records().cloned().collect();
        holds.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        SeatsCopy { sold: sold.collect(), holds }
    }

    /// The copy in Redis is the core, but for what only speeds searches up, which must not lie.
    async fn agree(&mut self) -> Result<(), TestCaseError> {
        let snapshot = self.store.snapshot(&self.at).await.unwrap();
        let Fenced::Is(snapshot) = snapshot else { return Err(TestCaseError::fail("lost")) };
        self.core.begin(&self.at);
        prop_assert_eq!(&snapshot.places, &self.core.snapshot().places);
        prop_assert_eq!(snapshot.counts, self.core.counts());
        let wire = self.known.wire(&self.at.event);
        let expected = Staged::of(&self.core, wire);
        let mut found = self.fields().await;
        let mut wanted: HashMap<String, String> = expected.fields.iter().cloned().collect();
        for name in ["n", "c", "g"] {
            found.remove(name);
            wanted.remove(name);
        }
        let owned = wanted.remove("x").is_none();
        prop_assert!(found.remove("x").is_some() || owned, "a hold lost places, unmarked");
        self.searches_do_not_lie(found.remove("q").unwrap_or_default(), &snapshot.places)?;
        wanted.remove("d");
        let due: i64 = found.remove("d").unwrap().parse().unwrap();
        for set in &expected.waiting[..2] {
            prop_assert!(set.iter().all(|(at, _)| *at >= due), "due {} of {:?}", due, set);
        }
        let over = self.waiting(&self.known.keys[3]).await;
        for (name, value) in &wanted {
            let there = found.remove(name);
            match name.strip_prefix('h') {
                Some(id) => {
                    let mut there = there.map(|raw| wire.decode(id, &raw).unwrap());
                    // What ended the plain way is over by where it waits, not by what it says.
                    if let Some(record) = &mut there
                        && let (HoldState::Held, Some(at)) = (&record.state, over.get(id))
                    {
                        let forget_at = Timestamp::from_millis(*at);
                        record.state = HoldState::Over { bought: None, forget_at };
                    }
                    prop_assert_eq!(there, Some(wire.decode(id, value).unwrap()));
                }
                None if name.starts_with('a') => {
                    prop_assert_eq!(there.as_deref().map(sorted), Some(sorted(value)));
                }
                None => prop_assert_eq!(there.as_ref(), Some(value), "{}", name),
            }
        }
        prop_assert!(found.is_empty(), "too much: {:?}", found);
        for (set, key) in expected.waiting.iter().zip(&self.known.keys[2..]) {
            let wanted: BTreeMap<String, i64> =
                set.iter().map(|(at, id)| (id.clone(), *at)).collect();
            prop_assert_eq!(self.waiting(key).await, wanted, "{}", key);
        }
        Ok(())
    }

    fn searches_do_not_lie(&self, hints: String, places: &[u8]) -> Result<(), TestCaseError> {
        for word in hints.split_whitespace() {
            let (first, from) = word.split_once('=').unwrap();
            let (first, from): (u32, u32) = (first.parse().unwrap(), from.parse().unwrap());
            let wire = self.known.wire(&self.at.event);
            let skipped = (first..from).filter_map(|offset| wire.shape.place(offset));
            for place in skipped {
                prop_assert_ne!(places[place as usize], b'.', "skipped by {}", word);
            }
        }
        Ok(())
    }

    async fn fields(&self) -> HashMap<String, String> {
        let mut command = cmd("HGETALL");
        command.arg(&self.known.keys[0]);
        pairs(self.store.redis.call("testing", &command).await.unwrap()).into_iter().collect()
    }

    async fn waiting(&self, key: &str) -> BTreeMap<String, i64> {
        let mut command = cmd("ZRANGE");
        command.arg(key).arg(0).arg(-1).arg("WITHSCORES");
        let pairs = pairs(self.store.redis.call("testing", &command).await.unwrap());
        pairs.into_iter().map(|(id, at)| (id, at.parse::<f64>().unwrap() as i64)).collect()
    }
}

/// The count and the holds of an account, whose order says nothing.
fn sorted(entry: &str) -> Vec<&str> {
    let mut words: Vec<_> = entry.split(' ').collect();
    words[1..].sort_unstable();
    words
}

/// Pairs, however this version of the protocol groups them.
fn pairs(value: Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::Double(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    match value {
        Value::Map(pairs) => pairs.iter().map(|(one, two)| (text(one), text(two))).collect(),
        Value::Array(all) => match all.first() {
            Some(Value::Array(_)) => all.into_iter().flat_map(pairs).collect(),
            Some(_) | None => {
                all.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
            }
        },
        other => panic!("{other:?}"),
    }
}

/// Some keys are awkward to write.
fn name_of(key: u8) -> String {
    ["plain:1", "%41 b\n", ""][usize::from(key)].to_owned()
}

fn keyed((key, body): (u8, u8)) -> Keyed {
    Keyed { key: name_of(key), body_hash: [body; 32] }
}

fn check(url: &str, cases: u32) {
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(store_at(url));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let history = |steps: Vec<Step>| {
        runtime.block_on(async {
            let mut run = Run::new(store.clone()).await?;
            for step in &steps {
                run.step(step).await?;
            }
            super::forget_all(&store).await;
            Ok(())
        })
    };
    proptest::test_runner::TestRunner::new(config).run(&steps(), history).unwrap();
}

#[test]
fn the_scripts_agree_with_the_core() {
    check(&single(), 200);
}

#[test]
fn the_scripts_agree_with_the_core_on_a_cluster() {
    check(&cluster(), 30);
}

/// A booking's id and its hold's are told apart and joined alike on both sides.
#[test]
fn an_odd_hold_is_named_in_full() {
    let ids = IdSource::seeded(1);
    let event = Fixture::event(&ids);
    let known = KnownEvent::of(&event);
    let wire = known.wire(&event);
    let hold = ids.hold(&event.id, NOW);
    assert_eq!(wire.full(&wire.short(&hold)).unwrap(), hold);
    let odd = HoldId::parse("hld_elsewhere").unwrap();
    assert_eq!(wire.short(&odd), "!hld_elsewhere");
    assert_eq!(wire.full("!hld_elsewhere").unwrap(), odd);
    assert_eq!(BookingId::of_attempt(&odd, 1).hold(), Some(odd));
}
