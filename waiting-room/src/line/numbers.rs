//! Numbers: which are leased, which were given, and which may have no holder.
use std::collections::VecDeque;

/// Gives numbers upwards from leases; what is skipped or was in doubt after a loss is kept as
/// ranges that nobody has to wait behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The greatest number given or skipped.
    given: u64,
    /// Leased and not given, `first..=last`, ascending.
    leases: VecDeque<(u64, u64)>,
    /// Doubtful numbers, `first..=last`, ascending and apart.
    doubtful: Vec<(u64, u64)>,
}

impl Numbers {
    /// After a loss: all up to `leased_to` are given, those above `certain` perhaps to nobody.
    pub(super) fn load(certain: u64, leased_to: u64) -> Self {
        let mut numbers = Self { given: leased_to, leases: VecDeque::new(), doubtful: Vec::new() };
        if certain < leased_to {
            numbers.doubtful.push((certain + 1, leased_to));
        }
        numbers
    }

    pub(super) fn given(&self) -> u64 {
        self.given
    }

    pub(super) fn left(&self) -> u64 {
        self.leases.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Adds a lease. What was passed by a later lease, or was added before, is dropped: numbers
    /// only grow.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        let first = first.max(self.given + 1);
        if first > last || self.leases.iter().any(|lease| lease.0 <= last && first <= lease.1) {
            return;
        }
        let at = self.leases.partition_point(|lease| lease.0 < first);
        self.leases.insert(at, (first, last));
    }

    /// Gives up to `count` numbers in a row: the first one and how many.
    pub(super) fn give(&mut self, count: u64) -> (u64, u64) {
        let Some(lease) = self.leases.front_mut() else { return (self.given + 1, 0) };
        let first = lease.0;
        let count = count.min(lease.1 - first + 1);
        if count == 0 {
            return (first, 0);
        }
        if first > self.given + 1 {
            self.doubtful.push((self.given + 1, first - 1));
        }
        lease.0 += count;
        self.given = lease.0 - 1;
        if lease.0 > lease.1 {
            self.leases.pop_front();
        }
        (first, count)
    }

    pub(super) fn doubtful(&self) -> &[(u64, u64)] {
        &self.doubtful
    }

    /// The last number of the doubtful range that `number` is in.
    pub(super) fn doubtful_to(&self, number: u64) -> Option<u64> {
        let at = self.doubtful.partition_point(|range| range.1 < number);
        self.doubtful.get(at).filter(|range| range.0 <= number).map(|range| range.1)
    }

    /// How many of `after + 1..=upto` surely have a holder.
    pub(super) fn certain_in(&self, after: u64, upto: u64) -> u64 {
        let overlap =
            |range: &(u64, u64)| (range.1.min(upto) + 1).saturating_sub(range.0.max(after + 1));
        let doubtful: u64 = self.doubtful.iter().map(overlap).sum();
        upto.saturating_sub(after).saturating_sub(doubtful)
    }

    /// Where `now_serving` gets to from `from` by calling `count` holders: doubtful numbers are
    /// passed for free, a whole range in one step.
    pub(super) fn step_from(&self, from: u64, mut count: u64) -> u64 {
        let mut at = from;
        let start = self.doubtful.partition_point(|range| range.1 <= from);
        for (first, last) in &self.doubtful[start..] {
            let before = (first - 1).saturating_sub(at).min(count);
            at += before;
            count -= before;
            if at + 1 < *first {
                return at;
            }
            at = *last;
        }
        (at + count).min(self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_only_grow_whatever_the_order_of_leases() {
        let mut numbers = Numbers::load(0, 0);
        assert_eq!(numbers.give(1), (1, 0));
        numbers.add(11, 20);
        numbers.add(1, 10);
        numbers.add(1, 10);
        assert_eq!(numbers.left(), 20);
        assert_eq!(numbers.give(4), (1, 4));
        assert_eq!(numbers.give(100), (5, 6));
        numbers.add(31, 40);
        assert_eq!(numbers.give(10), (11, 10));
        assert_eq!(numbers.give(1), (31, 1));
        numbers.add(21, 30);
        assert_eq!(numbers.give(100), (32, 9), "a late lease is not gone back to");
        assert_eq!(numbers.doubtful, [(21, 30)]);
    }

    #[test]
    fn a_step_passes_doubtful_numbers_in_one_go() {
        let mut numbers = Numbers::load(3, 10);
        numbers.add(11, 20);
        numbers.give(5);
        for (from, count, to) in [
            (0, 0, 0),
            (0, 2, 2),
            (0, 3, 10),
            (0, 4, 11),
            (3, 0, 10),
            (5, 1, 11),
            (10, 0, 10),
            (10, 3, 13),
            (10, 9, 15),
        ] {
            assert_eq!(numbers.step_from(from, count), to, "{from} + {count}");
        }
        for (after, upto, certain) in [(0, 15, 8), (0, 3, 3), (3, 10, 0), (5, 11, 1), (12, 12, 0)] {
            assert_eq!(numbers.certain_in(after, upto), certain, "{after}..{upto}");
        }
        assert_eq!(numbers.doubtful_to(3), None);
        assert_eq!(numbers.doubtful_to(4), Some(10));
        assert_eq!(numbers.doubtful_to(11), None);
    }
}
