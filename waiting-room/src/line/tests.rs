//! The line by example: every answer in its order of precedence, and what a loss leaves.
use super::bounds::TOKEN;
use super::*;
use crate::store::{NotYet, Reserve, Reserved, SlotAnswer, SlotRequest};
use ledger::books::QueueRecord;
use ledger::{AccountId, Admission, AdmissionSource, Queue, QueueId, SlotRef};

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn account(name: &str) -> AccountId {
    AccountId::parse(name).unwrap()
}

fn settings() -> QueueSettings {
    QueueSettings {
        state: QueueState::Open,
        rate_per_minute: 600,
        capacity: 100,
        claim_window_seconds: 10,
        return_seconds: 20,
        session_seconds: 60,
    }
}

fn loaded(settings: QueueSettings) -> QueueLoad {
    let id = QueueId::parse("q").unwrap();
    QueueLoad {
        queue: Queue { id, settings, opens_at: T0, revision: 1 },
        record: QueueRecord {
            generation: 1,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        },
        steps: vec![],
        admissions: vec![],
    }
}

/// A line at second `t`, with the moves of a test.
struct Sim {
    line: Line,
    now: Timestamp,
}

impl Sim {
    fn new(settings: QueueSettings) -> Self {
        Self::of(&loaded(settings))
    }

    fn of(loaded: &QueueLoad) -> Self {
        Self { line: Line::load(loaded, T0), now: T0 }
    }

    fn wait(&mut self, millis: i64) {
        self.now = self.now.plus_millis(millis);
    }

    fn join(&mut self, count: u64, straight: bool) -> Reserved {
        let given = self.line.numbers.given();
        let lease = Some((given + 1, given + count));
        self.line.reserve(Reserve { count, lease, straight }, self.now)
    }

    fn step(&mut self) -> u64 {
        if let Some(step) = self.line.propose(self.now) {
            self.line.publish(step, self.now);
        }
        self.line.now_serving
    }

    fn claim(&mut self, number: u64, name: &str) -> SlotAnswer {
        let request = SlotRequest { account: account(name), number: Some(number), fresh: true };
        let taken = self.line.take(&request, self.now);
        if let SlotAnswer::Granted(grant) = &taken
            && !grant.committed
        {
            self.line.settle(grant.number, ClaimOutcome::Committed, self.now);
        }
        taken
    }

    fn walk_in(&mut self, name: &str) -> SlotAnswer {
        self.line.take(&SlotRequest { account: account(name), number: None, fresh: true }, self.now)
    }

    fn set(&mut self, change: impl FnOnce(&mut QueueSettings)) {
        let mut settings = self.line.settings;
        change(&mut settings);
        let change = SettingsChange { settings, revision: self.line.revision + 1, recorded: true };
        self.line.configure(change, self.now);
    }

    fn place(&mut self, number: u64) -> PlaceStatus {
        self.line.look(Some(number), self.now).1.unwrap()
    }
}

fn granted(taken: &SlotAnswer) -> u64 {
    match taken {
        SlotAnswer::Granted(grant) => grant.number,
        other => panic!("not granted: {other:?}"),
    }
}

/// Sixteen in line, eight called, number 1 admitted as `a`, number 2 over.
fn busy() -> Sim {
    let mut sim = Sim::new(settings());
    sim.join(16, false);
    sim.line.budget.drain(2 * TOKEN);
    assert_eq!(sim.step(), 8);
    granted(&sim.claim(1, "a"));
    granted(&sim.claim(2, "b"));
    sim.line.settle(2, ClaimOutcome::Ended, sim.now);
    sim
}

fn nothing(_: &mut Sim) {}

fn turn(state: QueueState) -> impl Fn(&mut Sim) {
    move |sim| sim.set(|q| q.state = state)
}

#[test]
fn claims_are_refused_in_this_order() {
    use QueueState::{Closed, Paused, PreQueue};
    let waiting = SlotAnswer::from(NotYet::Waiting);
    let paused = SlotAnswer::from(NotYet::Paused);
    check("another's slot", turn(Closed), 1, "z", &SlotAnswer::TokenUsed);
    check("another's past slot", nothing, 2, "z", &SlotAnswer::TokenUsed);
    check("one's own past slot", turn(Closed), 2, "b", &SlotAnswer::Over);
    let missed = |sim: &mut Sim| sim.wait(31_000);
    let after = |first: fn(&mut Sim), state| {
        move |sim: &mut Sim| {
            first(sim);
            turn(state)(sim);
        }
    };
    check("closed before missed", after(missed, Closed), 3, "c", &SlotAnswer::Closed);
    check("closed before waiting", turn(Closed), 9, "c", &SlotAnswer::Closed);
    let left = |sim: &mut Sim| sim.line.settle(3, ClaimOutcome::Left, sim.now);
    check("given up", left, 3, "c", &SlotAnswer::Over);
    check("given up, paused", after(left, Paused), 3, "c", &SlotAnswer::Over);
    check("not called", nothing, 9, "c", &waiting);
    check("never given", nothing, 1_000, "c", &waiting);
    check("not called, paused", turn(Paused), 9, "c", &paused);
    check("missed", missed, 3, "c", &SlotAnswer::Over);
    check("missed, paused", after(missed, Paused), 3, "c", &SlotAnswer::Over);
    check("paused", turn(Paused), 3, "c", &paused);
    check("not open yet", turn(PreQueue), 3, "c", &paused);
    let full = |sim: &mut Sim| {
        sim.set(|q| q.capacity = 1);
        sim.line.rate.drain(u64::MAX);
    };
    check("full before rate", full, 3, "c", &SlotAnswer::from(NotYet::Full));
    check("rate", |sim| sim.line.rate.drain(u64::MAX), 3, "c", &SlotAnswer::from(NotYet::Rate));
    let late = |sim: &mut Sim| {
        sim.wait(11_000);
        sim.step();
        sim.set(|q| q.capacity = 8);
    };
    check("late, and room is kept", late, 3, "c", &SlotAnswer::from(NotYet::Full));
}

fn check(what: &str, twist: impl Fn(&mut Sim), number: u64, name: &str, expected: &SlotAnswer) {
    let mut sim = busy();
    twist(&mut sim);
    let taken = sim.claim(number, name);
    match taken {
        SlotAnswer::NotYet { why, .. } => assert_eq!(SlotAnswer::from(why), *expected, "{what}"),
        taken => assert_eq!(taken, *expected, "{what}"),
    }
}

#[test]
fn a_claim_repeats_and_an_account_has_one_slot() {
    let mut sim = busy();
    let first = sim.claim(1, "a");
    sim.wait(1_500);
    assert_eq!(sim.claim(1, "a"), first, "the same slot while it lives");
    assert_eq!(sim.claim(3, "a"), first, "another number of the same account");
    assert_eq!(sim.walk_in("a"), first);
    sim.set(|q| q.state = QueueState::Closed);
    assert_eq!(sim.claim(1, "a"), first, "those admitted go on");
    let SlotAnswer::Granted(grant) = first else { panic!("granted") };
    assert_eq!(grant.until.millis() % 1_000, 0);
    sim.set(|q| q.state = QueueState::Open);
    sim.now = grant.until;
    assert_eq!(sim.claim(1, "a"), SlotAnswer::Over);
}

#[test]
fn a_failed_commit_gives_the_slot_back_unless_another_claim_commits_it() {
    let mut sim = busy();
    let request = SlotRequest { account: account("c"), number: Some(3), fresh: true };
    let before = sim.line.slots.active();
    sim.line.take(&request, sim.now);
    sim.line.take(&request, sim.now);
    sim.line.settle(3, ClaimOutcome::Ended, sim.now);
    assert_eq!(sim.line.slots.active(), before + 1, "nothing ends before it is committed");
    sim.line.settle(3, ClaimOutcome::Failed, sim.now);
    assert_eq!(sim.line.slots.active(), before + 1);
    sim.line.settle(3, ClaimOutcome::Failed, sim.now);
    assert_eq!(sim.line.slots.active(), before);
    assert!(matches!(sim.place(3), PlaceStatus::Ready { .. }));

    sim.line.take(&request, sim.now);
    sim.line.take(&request, sim.now);
    sim.line.settle(3, ClaimOutcome::Committed, sim.now);
    sim.line.settle(3, ClaimOutcome::Failed, sim.now);
    assert!(matches!(sim.place(3), PlaceStatus::Admitted { committed: true, .. }));
}

#[test]
fn a_token_whose_claim_failed_is_not_given_again() {
    let mut sim = Sim::new(QueueSettings { rate_per_minute: 60, ..settings() });
    sim.join(3, false);
    assert_eq!(sim.step(), 1);
    let request = SlotRequest { account: account("a"), number: Some(1), fresh: true };
    assert!(matches!(sim.line.take(&request, sim.now), SlotAnswer::Granted(_)));
    sim.wait(1_000);
    assert_eq!(sim.step(), 2);
    granted(&sim.claim(2, "b"));
    sim.line.settle(1, ClaimOutcome::Failed, sim.now);
    let SlotAnswer::NotYet { why, ask_after_millis: Some(after) } = sim.claim(1, "a") else {
        panic!("two in one moment are too many")
    };
    assert_eq!((why, after), (NotYet::Rate, 1_000), "when the next token comes");
    sim.wait(after);
    granted(&sim.claim(1, "a"));
}

#[test]
fn windows_run_on_the_time_in_which_claims_could_be_granted() {
    let mut sim = busy();
    sim.wait(9_000);
    assert_eq!(sim.place(3), PlaceStatus::Ready { left_millis: 1_000 });
    sim.set(|q| q.state = QueueState::Paused);
    sim.wait(1_000_000);
    assert_eq!(sim.place(3), PlaceStatus::Ready { left_millis: 1_000 });
    sim.set(|q| q.state = QueueState::Open);
    sim.wait(999);
    assert_eq!(sim.place(3), PlaceStatus::Ready { left_millis: 1 });
    sim.wait(1);
    assert_eq!(sim.place(3), PlaceStatus::Returning { left_millis: Some(20_000) });
    sim.wait(20_000);
    assert_eq!(sim.place(3), PlaceStatus::Missed);
    assert_eq!(sim.place(2), PlaceStatus::Done);
}

#[test]
fn the_clock_stands_while_the_shop_is_full_and_runs_again_when_a_slot_ends() {
    let mut sim = Sim::new(QueueSettings { capacity: 2, ..settings() });
    sim.join(3, false);
    assert_eq!(sim.step(), 2);
    granted(&sim.claim(1, "a"));
    sim.wait(4_000);
    let second = sim.claim(2, "b");
    sim.wait(1_000_000);
    let SlotAnswer::Granted(second) = second else { panic!("granted") };
    // `a` ended at 60 s; from then on there was room.
    sim.line.look(None, sim.now);
    let room_since = T0.plus_seconds(60);
    assert_eq!(sim.line.granting_millis, 4_000 + sim.now.millis_since(room_since));
    assert!(second.until > room_since);
}

#[test]
fn the_pacer_calls_as_many_as_rate_room_and_no_shows_allow() {
    let mut sim = Sim::new(QueueSettings { capacity: 12, ..settings() });
    sim.join(1_000, false);
    assert_eq!(sim.step(), 10, "a burst is one second of the rate");
    assert_eq!(sim.step(), 10);
    sim.wait(100);
    assert_eq!(sim.step(), 11);
    sim.wait(1_000);
    assert_eq!(sim.step(), 12, "room is kept for all who were called");
    sim.wait(5_000);
    assert_eq!(sim.step(), 12);
    granted(&sim.claim(1, "a"));
    sim.line.settle(1, ClaimOutcome::Ended, sim.now);
    assert_eq!(sim.step(), 13, "a slot that ends is used at once");
    sim.line.settle(5, ClaimOutcome::Left, sim.now);
    assert_eq!(sim.step(), 14, "so is room that was given up");
    sim.wait(10_000);
    assert!(sim.step() > 14 + 12);
    // Of fourteen called in the closed windows two answered, of twenty assumed all.
    assert_eq!(sim.line.calls.showing_permille(), 22_000 / 34);
}

#[test]
fn nobody_is_called_unless_the_queue_is_open() {
    for state in [QueueState::PreQueue, QueueState::Paused, QueueState::Closed] {
        let mut sim = Sim::new(QueueSettings { state, ..settings() });
        assert_eq!(sim.join(5, true).step, None);
        sim.wait(60_000);
        assert_eq!(sim.step(), 0, "{state:?}");
        sim.set(|q| q.state = QueueState::Open);
        assert_eq!(sim.step(), 5);
    }
    let mut sim = Sim::new(QueueSettings { rate_per_minute: 0, ..settings() });
    sim.join(5, true);
    assert_eq!(sim.step(), 0);
}

#[test]
fn joins_go_straight_through_while_there_is_room_and_nobody_waits() {
    let mut sim = Sim::new(QueueSettings { capacity: 6, ..settings() });
    let first = sim.join(4, true);
    assert_eq!(first.step.map(|s| s.now_serving), Some(4));
    let second = sim.join(4, true);
    assert_eq!(second.step.map(|s| s.now_serving), Some(6), "even before the first is published");
    assert_eq!(sim.join(1, true).step, None, "others wait");
    sim.line.publish(second.step.unwrap(), sim.now);
    sim.line.publish(first.step.unwrap(), sim.now);
    assert_eq!(sim.line.now_serving, 6, "never back");
    assert!(matches!(sim.place(6), PlaceStatus::Ready { .. }));
}

#[test]
fn a_walk_in_takes_number_step_and_slot_at_once() {
    let mut sim = Sim::new(QueueSettings { capacity: 2, ..settings() });
    assert_eq!(sim.walk_in("a"), SlotAnswer::NoNumbers);
    sim.line.reserve(Reserve { count: 0, lease: Some((1, 10)), straight: false }, sim.now);
    let SlotAnswer::Granted(first) = sim.walk_in("a") else { panic!("granted") };
    assert_eq!((first.number, first.step.unwrap().now_serving), (1, 1));
    assert_eq!(first.source, AdmissionSource::StraightThrough);
    assert_eq!(granted(&sim.walk_in("a")), 1, "a replay");
    assert_eq!(granted(&sim.walk_in("b")), 2, "walk-ins do not wait for each other's steps");
    assert_eq!(sim.walk_in("c"), SlotAnswer::from(NotYet::Full));
    sim.line.settle(2, ClaimOutcome::Failed, sim.now);
    assert_eq!(sim.place(2), PlaceStatus::Done, "its number has no holder any more");
    sim.set(|q| q.state = QueueState::Paused);
    assert_eq!(sim.walk_in("c"), SlotAnswer::from(NotYet::Paused));
    sim.set(|q| q.state = QueueState::Open);
    sim.line.reserve(Reserve { count: 1, lease: None, straight: false }, sim.now);
    assert_eq!(sim.walk_in("c"), SlotAnswer::from(NotYet::Waiting));
    sim.set(|q| q.state = QueueState::Closed);
    assert_eq!(sim.walk_in("c"), SlotAnswer::Closed);
}

#[test]
fn a_walk_in_takes_no_room_that_is_kept() {
    let mut sim = Sim::new(QueueSettings { capacity: 1, ..settings() });
    assert!(sim.join(1, true).step.is_some());
    sim.step();
    sim.line.reserve(Reserve { count: 0, lease: Some((2, 9)), straight: false }, sim.now);
    assert_eq!(sim.walk_in("a"), SlotAnswer::from(NotYet::Waiting));
    sim.wait(10_000);
    assert_eq!(granted(&sim.walk_in("a")), 2, "the window passed");
}

#[test]
fn the_next_room_is_for_who_came_late_and_asked() {
    let mut sim = Sim::new(QueueSettings { capacity: 1, ..settings() });
    sim.join(5, false);
    assert_eq!(sim.step(), 1);
    sim.wait(10_000);
    assert_eq!(sim.step(), 2);
    let SlotAnswer::NotYet { why: NotYet::Full, ask_after_millis: Some(after) } =
        sim.claim(1, "late")
    else {
        panic!("room is kept for number 2")
    };
    granted(&sim.claim(2, "b"));
    sim.line.settle(2, ClaimOutcome::Ended, sim.now);
    assert_eq!(sim.step(), 2, "room is left for number 1");
    // Told when to come again, and a little late.
    sim.wait(after + after / 4 + 1_000);
    assert_eq!(sim.step(), 2, "still");
    assert_eq!(granted(&sim.claim(1, "late")), 1);
}

#[test]
fn after_a_loss_doubtful_numbers_are_passed_at_once_and_never_missed() {
    let mut books = loaded(QueueSettings { capacity: 3, ..settings() });
    books.record = QueueRecord {
        generation: 2,
        leased_to: 50,
        lease_start: 11,
        now_serving: 8,
        admitted_max: 7,
    };
    let step = QueueStep { now_serving: 8, at: T0, granting_millis: 5_000 };
    books.steps = vec![step];
    let slot = |number| SlotRef { queue: books.queue.id.clone(), number };
    let row = |number, name, ended_at| Admission {
        slot: slot(number),
        account: account(name),
        at: T0.plus_millis(-1_000),
        until: T0.plus_seconds(59),
        ended_at,
        source: AdmissionSource::Line,
    };
    books.admissions = vec![row(6, "gone", Some(T0)), row(7, "here", None)];
    let mut sim = Sim::of(&books);
    assert_eq!((sim.line.slots.active(), sim.line.rate.units()), (1, 0));
    assert_eq!(granted(&sim.claim(7, "here")), 7, "live slots come back");
    assert_eq!(sim.claim(6, "gone"), SlotAnswer::Over);
    assert_eq!(sim.join(4, false).first, 51, "no number is given twice");
    assert!(matches!(sim.place(8), PlaceStatus::Ready { .. }));

    sim.set(|q| q.capacity = 20);
    sim.wait(1_000);
    // Numbers 9 to 11 surely exist; those up to 50 are passed in the same step, then 51 to 54.
    assert_eq!(sim.step(), 54);
    assert_eq!(sim.line.calls.outstanding(), 8 - 2 + 3 + 4);
    assert!(matches!(sim.place(30), PlaceStatus::Ready { .. }));
    sim.wait(11_000);
    assert_eq!(sim.place(30), PlaceStatus::Returning { left_millis: None });
    sim.wait(1_000_000);
    assert_eq!(sim.place(11), PlaceStatus::Missed);
    assert_eq!(sim.place(30), PlaceStatus::Returning { left_millis: None });
    assert_eq!(granted(&sim.claim(30, "late")), 30);
}

#[test]
fn settings_apply_in_the_order_of_their_revisions() {
    let mut sim = Sim::new(settings());
    let newer = QueueSettings { capacity: 7, ..settings() };
    sim.line.configure(SettingsChange { settings: newer, revision: 5, recorded: true }, sim.now);
    sim.line
        .configure(SettingsChange { settings: settings(), revision: 4, recorded: true }, sim.now);
    let (snapshot, _) = sim.line.look(None, sim.now);
    assert_eq!((snapshot.settings, snapshot.revision), (newer, 5));
}

#[test]
fn what_is_kept_is_bounded_by_windows_not_by_the_crowd() {
    let mut sim = Sim::new(QueueSettings { rate_per_minute: 600_000, capacity: 5, ..settings() });
    sim.join(1_000_000, false);
    for _ in 0..2_000 {
        sim.wait(50);
        sim.step();
        for number in 0..20 {
            let number = sim.line.now_serving.saturating_sub(number);
            sim.line.settle(number, ClaimOutcome::Left, sim.now);
        }
    }
    let kept = std::mem::size_of_val(&sim.line);
    assert!(kept < 1_000, "{kept}");
    assert!(sim.line.calls.len() <= 301, "{}", sim.line.calls.len());
    assert!(sim.line.left.len() < 50_000, "{}", sim.line.left.len());
}
