//! What a reader owns, what it has given out, and which offsets a commit of it means.
use ledger::Topic;
use std::collections::{HashMap, VecDeque};

/// A partition of one of the log's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    pub(super) topic: Topic,
    pub(super) number: i32,
}

/// Where a record stands, and under which ownership it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: Partition,
    pub(super) offset: i64,
    turn: u64,
}

/// The partitions that are this reader's now. One that goes and comes back is owned anew: what
/// was read before is read again, here or elsewhere, so the old reading no longer counts.
#[derive(Debug, Default)]
pub(super) struct Owned {
    turns: HashMap<Partition, u64>,
    last_turn: u64,
}

/// By partition, the first offset that need not come again.
pub(super) type Offsets = HashMap<Partition, i64>;

/// What was given out and is not committed, in the order in which it was given out.
#[derive(Debug, Default)]
pub(super) struct Positions {
    given: VecDeque<Given>,
}

#[derive(Debug)]
enum Given {
    /// A message that the caller counts.
    Message(Place),
    /// A record on the dead-letter topic, which the caller has not seen.
    Dead(Place),
}

/// What a commit of the front is made of.
pub(super) struct Front {
    pub(super) offsets: Offsets,
    entries: usize,
}

impl Owned {
    pub(super) fn gain(&mut self, partition: Partition) {
        self.last_turn = self.last_turn.saturating_add(1);
        self.turns.insert(partition, self.last_turn);
    }

    pub(super) fn lose(&mut self, partition: Partition) {
        self.turns.remove(&partition);
    }

    pub(super) fn lose_all(&mut self) {
        self.turns.clear();
    }

    /// The place of a record that was just read; `None` if its partition is not owned any more.
    pub(super) fn place(&self, partition: Partition, offset: i64) -> Option<Place> {
        let turn = *self.turns.get(&partition)?;
        Some(Place { partition, offset, turn })
    }

    pub(super) fn holds(&self, place: &Place) -> bool {
        self.turns.get(&place.partition) == Some(&place.turn)
    }
}

impl Positions {
    pub(super) fn give(&mut self, place: Place) {
        self.given.push_back(Given::Message(place));
    }

    pub(super) fn bury(&mut self, place: Place) {
        self.given.push_back(Given::Dead(place));
    }

    /// Everything given out.
    pub(super) fn all(&self, owned: &Owned) -> Front {
        self.front(self.given.len(), owned)
    }

    /// The first `messages`, and the dead records before and right behind them.
    pub(super) fn first(&self, messages: usize, owned: &Owned) -> Front {
        let behind = self
            .given
            .iter()
            .enumerate()
            .filter(|(_, given)| matches!(given, Given::Message(_)))
            .nth(messages);
        let entries = behind.map_or(self.given.len(), |(index, _)| index);
        self.front(if messages == 0 { 0 } else { entries }, owned)
    }

    fn front(&self, entries: usize, owned: &Owned) -> Front {
        let mut offsets = Offsets::new();
        for given in self.given.iter().take(entries) {
            let (Given::Message(place) | Given::Dead(place)) = given;
            // What is no longer owned is counted, for the caller counts it, but not committed.
            if owned.holds(place) {
                let next = place.offset.saturating_add(1);
                let offset = offsets.entry(place.partition).or_insert(next);
                *offset = next.max(*offset);
            }
        }
        Front { offsets, entries }
    }

    /// The front was committed.
    pub(super) fn settle(&mut self, front: &Front) {
        self.given.drain(..front.entries.min(self.given.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> Partition {
        Partition { topic: Topic::Bookings, number }
    }

    /// Owns partitions 0 and 1 and has given out: 0@5, 1@8, dead 0@6, 0@7, dead 1@9.
    fn sample() -> (Owned, Positions) {
        let (mut owned, mut positions) = (Owned::default(), Positions::default());
        [0, 1].into_iter().for_each(|number| owned.gain(partition(number)));
        for (number, offset, dead) in
            [(0, 5, false), (1, 8, false), (0, 6, true), (0, 7, false), (1, 9, true)]
        {
            let place = owned.place(partition(number), offset).unwrap();
            if dead { positions.bury(place) } else { positions.give(place) }
        }
        (owned, positions)
    }

    fn offsets(front: &Front) -> [Option<i64>; 2] {
        [0, 1].map(|number| front.offsets.get(&partition(number)).copied())
    }

    #[test]
    fn the_front_is_counted_in_messages() {
        for (messages, expected) in [
            (0, [None, None]),
            (1, [Some(6), None]),
            (2, [Some(7), Some(9)]),
            (3, [Some(8), Some(10)]),
            (9, [Some(8), Some(10)]),
        ] {
            let (owned, positions) = sample();
            assert_eq!(offsets(&positions.first(messages, &owned)), expected, "{messages}");
        }
    }

    #[test]
    fn counting_goes_on_behind_what_was_committed() {
        let (owned, mut positions) = sample();
        for expected in [[Some(6), None], [Some(7), Some(9)], [Some(8), Some(10)], [None, None]] {
            let front = positions.first(1, &owned);
            positions.settle(&front);
            assert_eq!(offsets(&front), expected);
        }
        assert_eq!(offsets(&positions.all(&owned)), [None, None]);
    }

    #[test]
    fn what_was_revoked_is_counted_but_not_committed() {
        let (mut owned, mut positions) = sample();
        owned.lose(partition(0));
        assert_eq!(offsets(&positions.all(&owned)), [None, Some(10)]);
        let front = positions.first(1, &owned);
        assert_eq!(offsets(&front), [None, None], "the first was of the lost partition");
        positions.settle(&front);
        assert_eq!(offsets(&positions.first(1, &owned)), [None, Some(9)]);
        assert!(owned.place(partition(0), 6).is_none());
    }

    #[test]
    fn a_partition_that_comes_back_is_read_anew() {
        let (mut owned, mut positions) = sample();
        owned.lose(partition(0));
        owned.gain(partition(0));
        assert_eq!(offsets(&positions.all(&owned)), [None, Some(10)]);
        positions.give(owned.place(partition(0), 5).unwrap());
        assert_eq!(offsets(&positions.all(&owned)), [Some(6), Some(10)]);
        owned.lose_all();
        assert_eq!(offsets(&positions.all(&owned)), [None, None]);
    }
}
