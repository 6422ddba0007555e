//! The batches that were read and are not committed yet, in order. Pure.
use std::collections::VecDeque;

/// Offsets are committed in order, so a batch waits for all before it. What bounds the window are
/// its messages: batches are often small, and many of them may wait behind one slow charge.
#[derive(Debug)]
pub(crate) struct Window {
    messages_max: usize,
    /// Messages of all open batches.
    messages: usize,
    /// The number of the oldest open batch.
    first: u64,
    open: VecDeque<Batch>,
}

#[derive(Debug)]
struct Batch {
    messages: usize,
    /// Pieces of work whose effect is not recorded and published yet.
    left: usize,
}

/// The batches at the front that have had their whole effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) batches: usize,
    pub(crate) messages: usize,
    /// No batch behind them is open.
    pub(crate) all: bool,
}

impl Window {
    pub(crate) fn new(messages_max: usize) -> Self {
        Self { messages_max, messages: 0, first: 0, open: VecDeque::new() }
    }

    /// So many messages more may be read.
    pub(crate) fn room(&self) -> usize {
        self.messages_max.saturating_sub(self.messages)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a batch of so many messages that make so many pieces of work; its number.
    pub(crate) fn start(&mut self, messages: usize, pieces: usize) -> u64 {
        let number = self.first + self.open.len() as u64;
        self.open.push_back(Batch { messages, left: pieces });
        self.messages += messages;
        number
    }

    /// One piece of this batch is done.
    pub(crate) fn finish(&mut self, number: u64) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let batch = index.and_then(|index| self.open.get_mut(index));
        let batch = batch.expect("a batch stays open until all its pieces are done");
        batch.left = batch.left.checked_sub(1).expect("a piece is done once");
    }

    pub(crate) fn finished(&self) -> Option<Finished> {
        let done = self.open.iter().take_while(|batch| batch.left == 0);
        let (batches, messages) =
            done.fold((0, 0), |(batches, messages), b| (batches + 1, messages + b.messages));
        let all = batches == self.open.len();
        (batches > 0).then_some(Finished { batches, messages, all })
    }

    /// The finished batches were committed.
    pub(crate) fn forget(&mut self, finished: Finished) {
        self.open.drain(..finished.batches);
        self.messages -= finished.messages;
        self.first += finished.batches as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_committed_in_order() {
        let mut window = Window::new(6);
        let first = window.start(3, 2);
        let second = window.start(1, 1);
        assert_eq!(window.room(), 2);
        let third = window.start(2, 2);
        assert_eq!(window.room(), 0);
        window.finish(second);
        assert_eq!(window.finished(), None, "the first batch is still open");
        window.finish(first);
        window.finish(first);
        let finished = window.finished().unwrap();
        assert_eq!(finished, Finished { batches: 2, messages: 4, all: false });
        assert_eq!(window.room(), 0, "finished is not committed");
        window.forget(finished);
        assert_eq!((window.len(), window.room(), window.finished()), (1, 4, None));
        window.finish(third);
        window.finish(third);
        assert_eq!(window.finished(), Some(Finished { batches: 1, messages: 2, all: true }));
    }

    #[test]
    fn many_small_batches_fit_where_a_few_large_ones_do() {
        let mut window = Window::new(8);
        let slow = window.start(1, 1);
        for left in (0..7).rev() {
            let number = window.start(1, 1);
            window.finish(number);
            assert_eq!((window.room(), window.finished()), (left, None));
        }
        window.finish(slow);
        let finished = window.finished().unwrap();
        assert_eq!(finished, Finished { batches: 8, messages: 8, all: true });
        window.forget(finished);
        assert_eq!(window.room(), 8);
    }

    #[test]
    fn a_batch_without_work_is_finished_at_once() {
        let mut window = Window::new(3);
        window.start(0, 0);
        let finished = window.finished().unwrap();
        assert_eq!(finished, Finished { batches: 1, messages: 0, all: true });
        window.forget(finished);
        assert!(window.is_empty());
    }
}
