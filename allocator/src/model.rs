//! Random histories against a naive model of the rules: the core must agree at every moment.
use crate::conformance::{Fixture, NOW};
use crate::event_seats::EventSeats;
use crate::grid::SeatState;
use crate::record::HoldRecord;
use crate::store::{Applied, CopyRef, Lock, Locked, Paid, Pay};
use crate::{BookTarget, HoldState, Keyed, ReleaseAnswer, Wish};
use ledger::{
    ATTEMPTS_MAX, AccountId, Booking, BookingOutcome, BookingStatus, HoldId, IdSource,
    PaymentToken, PlaceBooking, Timestamp,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const ACCOUNTS: usize = 3;
/// Few places, so that histories meet.
const PLACES: u32 = 12;
const CAP: usize = 4;
const DECLINED_SECONDS: u32 = 120;

#[derive(Debug, Clone)]
enum Step {
    Lock {
        who: usize,
        places: Vec<u32>,
        key: Option<u8>,
    },
    Best {
        who: usize,
        quantity: u32,
    },
    Release {
        who: usize,
        hold: usize,
    },
    Pay {
        who: usize,
        hold: usize,
    },
    Unpay {
        command: usize,
    },
    /// Also an old one, again.
    Outcome {
        command: usize,
        status: BookingStatus,
    },
    Wait {
        millis: i64,
    },
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, index) = (0..ACCOUNTS, 0..8usize);
    let statuses = proptest::sample::select(BookingStatus::ALL.to_vec());
    let places = proptest::collection::vec(0..PLACES, 1..4);
    let step = prop_oneof![
        4 => (who.clone(), places, proptest::option::of(0..3u8))
            .prop_map(|(who, places, key)| Step::Lock { who, places, key }),
        2 => (who.clone(), 1..4u32).prop_map(|(who, quantity)| Step::Best { who, quantity }),
        2 => (who.clone(), index.clone()).prop_map(|(who, hold)| Step::Release { who, hold }),
        4 => (who, index.clone()).prop_map(|(who, hold)| Step::Pay { who, hold }),
        1 => index.clone().prop_map(|command| Step::Unpay { command }),
        5 => (index, statuses).prop_map(|(command, status)| Step::Outcome { command, status }),
        2 => prop_oneof![Just(1), Just(60_000), Just(300_000), 0..400_000i64]
            .prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A hold as the rules describe it.
#[derive(Debug, Clone, PartialEq)]
struct Hold {
    who: usize,
    places: Vec<u32>,
    until: Timestamp,
    attempts: u32,
    paying: Option<PlaceBooking>,
    shared: bool,
}

/// The rules, computed in the simplest way.
#[derive(Default)]
struct Model {
    live: BTreeMap<String, Hold>,
    /// Places bought, by the booking that bought them.
    sold: BTreeMap<u32, (String, usize)>,
    /// The last attempt of holds that are over.
    over: BTreeMap<String, u32>,
    keys: BTreeMap<(usize, u8), (Vec<u32>, String)>,
}

impl Model {
    fn expire(&mut self, now: Timestamp) {
        let (over, live) = std::mem::take(&mut self.live)
            .into_iter()
            .partition(|(_, hold): &(String, Hold)| hold.paying.is_none() && hold.until <= now);
        self.live = live;
        let over: BTreeMap<String, Hold> = over;
        self.over.extend(over.into_iter().map(|(id, hold)| (id, hold.attempts)));
    }

    fn state(&self, place: u32) -> SeatState {
        let holder = self.live.values().find(|hold| hold.places.contains(&place));
        match holder {
            Some(hold) if hold.paying.is_some() => SeatState::Paying,
            Some(_) => SeatState::Held,
            None if self.sold.contains_key(&place) => SeatState::Sold,
            None => SeatState::Free,
        }
    }

    fn seats_of(&self, who: usize) -> usize {
        let live = self.live.values().filter(|hold| hold.who == who);
        let sold = self.sold.values().filter(|(_, by)| *by == who);
        live.map(|hold| hold.places.len()).sum::<usize>() + sold.count()
    }

    /// What a lock of these places must answer: the hold it finds, a new one, or a refusal.
    fn lock(&self, who: usize, places: &[u32], key: Option<u8>) -> Expected {
        if let Some((wish, hold)) = key.and_then(|key| self.keys.get(&(who, key))) {
            return match self.live.contains_key(hold) {
                _ if wish != places => Expected::Refused(Locked::Mismatch),
                true => Expected::Known(hold.clone()),
                false => Expected::Refused(Locked::Expired),
            };
        }
        let mine = |(_, hold): &(&String, &Hold)| {
            hold.who == who && places.iter().all(|place| hold.places.contains(place))
        };
        if let Some((id, _)) = self.live.iter().find(mine) {
            return Expected::Known(id.clone());
        }
        if places.iter().any(|place| self.state(*place) != SeatState::Free) {
            return Expected::Refused(Locked::Taken);
        }
        if self.seats_of(who) + places.len() > CAP {
            return Expected::Refused(Locked::OverCap);
        }
        Expected::New(places.to_vec())
    }

    /// Every choice in the only row, and of them the first that leaves no single seat.
    fn best(&self, who: usize, quantity: u32) -> Expected {
        if self.seats_of(who) + quantity as usize > CAP {
            return Expected::Refused(Locked::OverCap);
        }
        let free = |place: u32| place < PLACES && self.state(place) == SeatState::Free;
        let choices: Vec<u32> =
            (0..PLACES).filter(|start| (*start..start + quantity).all(free)).collect();
        let single_left = |start: u32| {
            start.checked_sub(1).is_some_and(|p| free(p) && !p.checked_sub(1).is_some_and(free))
        };
        let single_right = |end: u32| free(end) && !free(end + 1);
        let clean = |start: &&u32| !single_left(**start) && !single_right(**start + quantity);
        match choices.iter().find(clean).or(choices.first()) {
            Some(start) => Expected::New((*start..start + quantity).collect()),
            None => Expected::Refused(Locked::SoldOut),
        }
    }

    fn outcome(
        &mut self,
        command: &PlaceBooking,
        status: BookingStatus,
        now: Timestamp,
    ) -> Applied {
        let id = command.hold_id.as_str().to_owned();
        let booking = command.booking_id.as_str().to_owned();
        let is_it = |hold: &Hold| hold.paying.as_ref().is_some_and(|paying| paying == command);
        let paying = self.live.get(&id).is_some_and(is_it);
        let sold: Vec<u32> = self
            .sold
            .iter()
            .filter(|(_, (by, _))| *by == booking)
            .map(|(place, _)| *place)
            .collect();
        match status {
            BookingStatus::Processing => Applied::Already,
            BookingStatus::Confirmed if paying => {
                let hold = self.live.remove(&id).unwrap();
                for place in hold.places {
                    self.sold.insert(place, (booking.clone(), hold.who));
                }
                self.over.insert(id, hold.attempts);
                Applied::Done
            }
            BookingStatus::Confirmed if sold.is_empty() => Applied::Unexpected,
            BookingStatus::Confirmed => Applied::Already,
            BookingStatus::Declined if command.attempt < ATTEMPTS_MAX => {
                if paying {
                    let hold = self.live.get_mut(&id).unwrap();
                    hold.paying = None;
                    hold.until = hold.until.max(now.plus_seconds(DECLINED_SECONDS));
                    return Applied::Done;
                }
                let attempts = self.live.get(&id).map(|hold| hold.attempts);
                let attempts = attempts.or(self.over.get(&id).copied()).unwrap_or(0);
                let seen = attempts >= command.attempt && sold.is_empty();
                if seen { Applied::Already } else { Applied::Unexpected }
            }
            BookingStatus::Declined
            | BookingStatus::SeatLost
            | BookingStatus::OverCap
            | BookingStatus::Expired
            | BookingStatus::Cancelled
            | BookingStatus::RefundPending
            | BookingStatus::Refunded => {
                if paying {
                    let hold = self.live.remove(&id).unwrap();
                    self.over.insert(id, hold.attempts);
                }
                self.sold.retain(|_, (by, _)| *by != booking);
                if paying || !sold.is_empty() { Applied::Done } else { Applied::Already }
            }
        }
    }
}

enum Expected {
    Known(String),
    New(Vec<u32>),
    Refused(Locked),
}

/// The core and the model, side by side.
struct Run {
    at: CopyRef,
    core: EventSeats,
    model: Model,
    ids: IdSource,
    accounts: Vec<AccountId>,
    /// Every hold and command there ever was.
    holds: Vec<HoldId>,
    commands: Vec<PlaceBooking>,
}

impl Run {
    fn new() -> Self {
        let ids = IdSource::seeded(1);
        let mut event = Fixture::event(&ids);
        let price = event.layout.price_of(0).unwrap();
        event.layout = Arc::new(ledger::Layout::plain(PLACES, price).unwrap());
        let limits = crate::store::Limits {
            // Longer than any history: keys are forgotten in the suite, not here.
            key_seconds: 86_400 * 365,
            declined_hold_seconds: DECLINED_SECONDS,
        };
        let at = CopyRef { event: Arc::new(event), generation: 1, now: NOW, limits };
        let core = EventSeats::new(&at.event, 1);
        let accounts = (0..ACCOUNTS).map(|_| ids.account(NOW)).collect();
        let (holds, commands) = Default::default();
        Self { at, core, model: Model::default(), ids, accounts, holds, commands }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let before = self.letters();
        if let Step::Wait { millis } = step {
            self.at.now = self.at.now.plus_millis(*millis);
        }
        self.model.expire(self.at.now);
        match step {
            Step::Lock { who, places, key } => {
                let mut places = places.clone();
                places.sort_unstable();
                places.dedup();
                let expected = self.model.lock(*who, &places, *key);
                let (hash, wish) = (hash_of(&places), Wish::Places(places.clone()));
                let keyed = key.map(|key| Keyed { key: key.to_string(), body_hash: hash });
                let made = self.locked(*who, wish, keyed, &expected)?;
                if let (Some(key), Some(id)) = (key, made) {
                    self.model.keys.entry((*who, *key)).or_insert((places, id));
                }
            }
            Step::Best { who, quantity } => {
                let expected = self.model.best(*who, *quantity);
                let wish = Wish::Best { quantity: *quantity, section: None };
                self.locked(*who, wish, None, &expected)?;
            }
            Step::Release { who, hold } => self.release(*who, *hold)?,
            Step::Pay { who, hold } => self.pay(*who, *hold)?,
            Step::Unpay { command } => self.unpay(*command)?,
            Step::Outcome { command, status } => {
                let Some(command) = pick(&self.commands, *command).cloned() else { return Ok(()) };
                let expected = self.model.outcome(&command, *status, self.at.now);
                let booking = Booking { status: *status, ..Booking::placed(&command) };
                let outcome = BookingOutcome { booking, slot: None };
                prop_assert_eq!(self.core.apply(&self.at, &outcome), expected);
            }
            Step::Wait { .. } | Step::Sweep => {
                self.core.sweep_all(&self.at, usize::MAX);
            }
        }
        self.agree(&before)
    }

    fn locked(
        &mut self,
        who: usize,
        wish: Wish,
        key: Option<Keyed>,
        expected: &Expected,
    ) -> Result<Option<String>, TestCaseError> {
        let minted = self.ids.hold(&self.at.event.id, self.at.now);
        let request = Lock { account: self.accounts[who].clone(), slot: None, wish, key, minted };
        match (self.core.lock(&self.at, &request), expected) {
            (Locked::Held(hold), Expected::Known(id)) => {
                prop_assert_eq!(hold.id.as_str(), id);
                Ok(Some(id.clone()))
            }
            (Locked::Held(hold), Expected::New(places)) => {
                prop_assert_eq!(&hold.places, places);
                let id = hold.id.as_str().to_owned();
                prop_assert!(!self.model.live.contains_key(&id));
                prop_assert!(!self.model.over.contains_key(&id));
                let until = self.at.now.plus_seconds(self.at.event.terms.hold_ttl_seconds);
                let (attempts, paying, shared) = (0, None, false);
                let places = places.clone();
                let new = Hold { who, places, until, attempts, paying, shared };
                self.model.live.insert(id.clone(), new);
                self.holds.push(hold.id);
                Ok(Some(id))
            }
            (answer, Expected::Refused(refusal)) => {
                prop_assert_eq!(&answer, refusal);
                Ok(None)
            }
            (answer, Expected::Known(_) | Expected::New(_)) => {
                Err(TestCaseError::fail(format!("a hold was due, not {answer:?}")))
            }
        }
    }

    fn release(&mut self, who: usize, hold: usize) -> Result<(), TestCaseError> {
        let Some(id) = pick(&self.holds, hold).cloned() else { return Ok(()) };
        let expected = match self.model.live.get(id.as_str()) {
            None => ReleaseAnswer::NotFound,
            Some(hold) if hold.who != who => ReleaseAnswer::NotHolder,
            Some(hold) if hold.paying.is_some() => ReleaseAnswer::Paying,
            Some(hold) => {
                self.model.over.insert(id.as_str().to_owned(), hold.attempts);
                ReleaseAnswer::Released
            }
        };
        if expected == ReleaseAnswer::Released {
            self.model.live.remove(id.as_str());
        }
        let account = &self.accounts[who];
        prop_assert_eq!(self.core.release(&self.at, &id, account), expected);
        Ok(())
    }

    fn pay(&mut self, who: usize, hold: usize) -> Result<(), TestCaseError> {
        let Some(id) = pick(&self.holds, hold).cloned() else { return Ok(()) };
        let payment_token = PaymentToken::parse("tok_good").unwrap();
        let account = self.accounts[who].clone();
        let request = Pay {
            account,
            target: BookTarget::Hold(id.clone()),
            payment_token,
            key: None,
            joins: None,
        };
        let answer = self.core.pay(&self.at, &request);
        let Some(model) = self.model.live.get_mut(id.as_str()) else {
            let settled = matches!(
                answer,
                Paid::Expired | Paid::NotFound | Paid::NotHolder | Paid::Before(_)
            );
            prop_assert!(settled, "nothing is begun on a hold that is over: {:?}", answer);
            return Ok(());
        };
        match answer {
            Paid::NotHolder => prop_assert_ne!(model.who, who),
            Paid::Begun(command) => {
                prop_assert!(model.paying.is_none() && model.who == who);
                model.attempts += 1;
                prop_assert_eq!(command.attempt, model.attempts);
                prop_assert_eq!(command.items.len(), model.places.len());
                model.shared = false;
                model.paying = Some((*command).clone());
                self.commands.push(*command);
            }
            Paid::Live { command, .. } => {
                prop_assert_eq!(model.paying.as_ref(), Some(&*command));
                model.shared = true;
            }
            other => prop_assert!(false, "{:?} of a live hold", other),
        }
        Ok(())
    }

    fn unpay(&mut self, command: usize) -> Result<(), TestCaseError> {
        let Some(command) = pick(&self.commands, command).cloned() else { return Ok(()) };
        let model = self.model.live.get_mut(command.hold_id.as_str());
        let model = model.filter(|hold| hold.paying.as_ref() == Some(&command));
        let undone = self.core.unpay(&self.at, &command.booking_id);
        match model {
            // A command that was leased to be sent again is known to others as well.
            Some(hold) if undone => {
                prop_assert!(!hold.shared);
                hold.paying = None;
                hold.attempts -= 1;
                self.commands.retain(|other| *other != command);
                // Its time may have passed while it was being paid.
                self.core.begin(&self.at);
                self.model.expire(self.at.now);
            }
            Some(_) => {}
            None => prop_assert!(!undone),
        }
        Ok(())
    }

    fn letters(&self) -> Vec<SeatState> {
        (0..PLACES).map(|place| self.core.grid.state(place).unwrap()).collect()
    }

    /// The invariants: one state a place, counts that agree, whole holds, the cap, the listed
    /// transitions, and rows that read back as what was written.
    fn agree(&mut self, before: &[SeatState]) -> Result<(), TestCaseError> {
        self.core.begin(&self.at);
        let after = self.letters();
        for (place, (old, new)) in (0..PLACES).zip(before.iter().zip(&after)) {
            prop_assert_eq!(*new, self.model.state(place), "place {}", place);
            prop_assert!(is_listed(*old, *new), "{:?} to {:?}", old, new);
        }
        for state in SeatState::ALL {
            let counted = after.iter().filter(|at| **at == state).count() as u64;
            prop_assert_eq!(self.core.counts().of(state), counted);
        }
        prop_assert_eq!(self.core.live_holds(), self.model.live.len() as u64);
        for (who, account) in self.accounts.iter().enumerate() {
            let seats = self.core.seats_of(account) as usize;
            prop_assert_eq!(seats, self.model.seats_of(who));
            prop_assert!(seats <= CAP);
        }
        for (id, model) in &self.model.live {
            let record = self.core.record(&HoldId::parse(id).unwrap()).unwrap();
            prop_assert!(self.core.owns_all(record), "all or nothing");
            prop_assert_eq!(&record.places, &model.places);
            prop_assert_eq!(record.until, model.until);
            prop_assert_eq!(record.attempts, model.attempts);
            let command = record.payment().map(|payment| &*payment.command);
            prop_assert_eq!(command, model.paying.as_ref());
        }
        for id in self.core.effects().changed {
            if let Some(record) = self.core.record(&id) {
                prop_assert_eq!(&HoldRecord::from_row(&record.to_row()).unwrap(), record);
                let over = matches!(record.state, HoldState::Over { .. });
                prop_assert_ne!(over, self.model.live.contains_key(id.as_str()));
            }
        }
        Ok(())
    }
}

/// The transitions that are allowed; within one step a hold may also expire and its place be taken.
fn is_listed(old: SeatState, new: SeatState) -> bool {
    match (old, new) {
        (SeatState::Blocked, _) | (_, SeatState::Blocked) => false,
        (SeatState::Free, SeatState::Paying | SeatState::Sold) => false,
        (SeatState::Held, SeatState::Sold) => false,
        (SeatState::Sold, SeatState::Held | SeatState::Paying) => false,
        (SeatState::Free, SeatState::Free | SeatState::Held) => true,
        (SeatState::Held, SeatState::Free | SeatState::Held | SeatState::Paying) => true,
        (SeatState::Paying, _) => true,
        (SeatState::Sold, SeatState::Free | SeatState::Sold) => true,
    }
}

fn pick<T>(all: &[T], index: usize) -> Option<&T> {
    // Counted from the newest, which is where things happen.
    all.iter().rev().nth(index)
}

fn hash_of(places: &[u32]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (byte, place) in hash.iter_mut().zip(places) {
        *byte = u8::try_from(*place).unwrap() + 1;
    }
    hash
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_core_agrees_with_the_rules(steps in steps()) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step)?;
        }
    }
}
