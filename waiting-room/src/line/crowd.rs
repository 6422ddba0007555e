//! A crowd that knows only what it is told, in front of a line: how often it asks, and whether
//! those called hear of it in time.
use super::*;
use crate::outlook::{Pace, poll_table, row_millis};
use crate::store::{Reserve, SlotAnswer, SlotRequest};
use ledger::books::QueueRecord;
use ledger::{AccountId, Queue, QueueId, people_ahead};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const T0: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const POLL: [(Option<u64>, u64); 3] = [(Some(50), 2_000), (Some(2_000), 10_000), (None, 60_000)];
const PACER_MILLIS: i64 = 100;
const CROWD: u64 = 4_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Pace,
    Look(u64),
    Claim(u64),
    End(u64),
}

#[derive(Debug, Default)]
struct Counted {
    claims: u64,
    admitted: u64,
    late: u64,
}

struct Crowd {
    line: Line,
    acts: BinaryHeap<Reverse<(i64, Act)>>,
    counted: Counted,
    stay_millis: i64,
    no_shows: u64,
}

impl Crowd {
    fn new(settings: QueueSettings, stay_millis: i64, no_shows: u64) -> Self {
        let record = QueueRecord {
            generation: 1,
            leased_to: 0,
            lease_start: 0,
            now_serving: 0,
            admitted_max: 0,
        };
        let queue = Queue { id: QueueId::parse("q").unwrap(), settings, opens_at: T0, revision: 1 };
        let load = QueueLoad { queue, record, steps: vec![], admissions: vec![] };
        let (line, acts) = (Line::load(&load, T0), BinaryHeap::new());
        Self { line, acts, counted: Counted::default(), stay_millis, no_shows }
    }

    /// Lives until the line is empty or `millis` have passed.
    fn live(mut self, millis: i64) -> Counted {
        let lease = Some((1, CROWD));
        self.line.reserve(Reserve { count: CROWD, lease, straight: false }, T0);
        self.acts.push(Reverse((0, Act::Pace)));
        for number in 1..=CROWD {
            self.look(0, number);
        }
        while let Some(Reverse((at, act))) = self.acts.pop()
            && at < millis
        {
            match act {
                Act::Pace => {
                    if let Some(step) = self.line.propose(T0.plus_millis(at)) {
                        self.line.publish(step, T0.plus_millis(at));
                    }
                    self.acts.push(Reverse((at + PACER_MILLIS, Act::Pace)));
                }
                Act::Look(number) => self.look(at, number),
                Act::Claim(number) => self.claim(at, number),
                Act::End(number) => {
                    self.line.settle(number, ClaimOutcome::Ended, T0.plus_millis(at));
                }
            }
        }
        self.counted
    }

    /// Everybody spreads by a fifth, as clients should.
    fn later(at: i64, number: u64, millis: u64) -> i64 {
        let share = 80 + i64::try_from((number * 2_654_435_761 + at.unsigned_abs()) % 41).unwrap();
        at + i64::try_from(millis).unwrap() * share / 100
    }

    fn look(&mut self, at: i64, number: u64) {
        if number % 100 < self.no_shows {
            return;
        }
        let now = T0.plus_millis(at);
        if number <= self.line.now_serving {
            return self.claim(at, number);
        }
        let (snapshot, _) = self.line.look(Some(number), now);
        let window = u64::from(snapshot.settings.claim_window_seconds) * 1_000;
        let pace = Pace::of(&snapshot, T0, now);
        let table = poll_table(&POLL, pace.as_ref(), window);
        let wait = row_millis(&table, people_ahead(number, snapshot.now_serving));
        self.acts.push(Reverse((Self::later(at, number, wait), Act::Look(number))));
    }

    fn claim(&mut self, at: i64, number: u64) {
        let now = T0.plus_millis(at);
        self.counted.claims += 1;
        let late = !matches!(self.line.look(Some(number), now).1, Some(PlaceStatus::Ready { .. }));
        let account = AccountId::parse(&format!("a{number}")).unwrap();
        let request = SlotRequest { account, number: Some(number), fresh: true };
        match self.line.take(&request, now) {
            SlotAnswer::Granted(_) => {
                self.line.settle(number, ClaimOutcome::Committed, now);
                self.counted.admitted += 1;
                self.counted.late += u64::from(late);
                self.acts.push(Reverse((at + self.stay_millis, Act::End(number))));
            }
            SlotAnswer::NotYet { ask_after_millis: Some(after), .. } => {
                let at = Self::later(at, number, after.unsigned_abs());
                self.acts.push(Reverse((at, Act::Claim(number))));
            }
            other => panic!("number {number} at {at}: {other:?}"),
        }
    }
}

fn settings(capacity: u32) -> QueueSettings {
    QueueSettings {
        state: QueueState::Open,
        rate_per_minute: 6_000,
        capacity,
        claim_window_seconds: 20,
        return_seconds: 600,
        session_seconds: 120,
    }
}

#[test]
fn a_claim_is_asked_for_when_it_can_be_granted() {
    for (case, capacity, no_shows, admitted_min) in [
        ("the rate holds people up", 10_000, 0, 3_900),
        ("and a third do not come", 10_000, 33, 2_600),
        ("room holds people up", 400, 0, 1_800),
        ("room, and a third do not come", 400, 33, 800),
    ] {
        let counted = Crowd::new(settings(capacity), 8_000, no_shows).live(45_000);
        let admitted = counted.admitted;
        assert!(admitted >= admitted_min, "{case}: {counted:?}");
        assert!(counted.claims <= 2 * admitted, "{case}: {counted:?}");
        assert!(counted.late * 100 <= admitted, "nearly all hear in time, {case}: {counted:?}");
    }
}
