//! Where each place lies in the packed string that Redis keeps: rows side by side, set apart by a
//! byte that is no seat, so that a search for free seats never runs from one row into the next.
use allocator::SeatState;
use ledger::{Layout, Seating};

/// Between two rows, and wherever else a party must not sit side by side.
const APART: u8 = b'|';
/// Where a place that the layout does not have would lie: beyond every string.
const NOWHERE: u64 = 1 << 40;

/// The layout of one event as offsets into its packed string.
#[derive(Debug)]
pub(super) struct Shape {
    /// Of each place.
    offsets: Vec<u32>,
    /// What lies at each offset.
    places: Vec<Option<u32>>,
    pub(super) sections: Vec<Span>,
}

/// A section's part of the string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: u32,
    pub(super) end: u32,
    pub(super) general: bool,
    pub(super) price: i64,
}

impl Shape {
    pub(super) fn of(layout: &Layout) -> Self {
        let (offsets, places) = (Vec::with_capacity(layout.places().len()), Vec::new());
        let mut shape = Self { offsets, places, sections: Vec::new() };
        let mut blocks = layout.blocks().iter().cloned().peekable();
        for (at, section) in layout.sections().iter().enumerate() {
            let places = layout.section_places(at);
            let general = matches!(section.seating, Seating::Capacity(_));
            shape.set_apart();
            let from = shape.end();
            if general {
                shape.add(places.clone());
            } else {
                while let Some(block) = blocks.next_if(|block| block.end <= places.end) {
                    shape.set_apart();
                    shape.add(block);
                }
            }
            let (end, price) = (shape.end(), section.price.minor);
            shape.sections.push(Span { from, end, general, price });
        }
        shape
    }

    fn set_apart(&mut self) {
        if self.places.last().is_some_and(Option::is_some) {
            self.places.push(None);
        }
    }

    fn add(&mut self, places: std::ops::Range<u32>) {
        for place in places {
            self.offsets.push(self.end());
            self.places.push(Some(place));
        }
    }

    fn end(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn offset(&self, place: u32) -> Option<u32> {
        self.offsets.get(place as usize).copied()
    }

    pub(super) fn place(&self, offset: u32) -> Option<u32> {
        self.places.get(offset as usize).copied().flatten()
    }

    /// The letters of all places as the string that Redis keeps.
    pub(super) fn packed(&self, letters: &[u8]) -> Vec<u8> {
        let letter = |place: &Option<u32>| match place {
            Some(place) => letters.get(*place as usize).copied().unwrap_or(APART),
            None => APART,
        };
        self.places.iter().map(letter).collect()
    }

    /// The letters of all places from that string; `None` when it is not of this layout.
    pub(super) fn unpacked(&self, string: &[u8]) -> Option<Vec<u8>> {
        if string.len() != self.places.len() {
            return None;
        }
        let known = |letter: u8| SeatState::ALL.iter().any(|state| state.byte() == letter);
        let letters: Vec<u8> = self.offsets.iter().map(|offset| string[*offset as usize]).collect();
        letters.iter().all(|letter| known(*letter)).then_some(letters)
    }

    /// Places, ascending, as runs of offsets side by side: first and length.
    pub(super) fn runs(&self, places: &[u32]) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::with_capacity(1);
        for place in places {
            let offset = self.offset(*place).map_or(NOWHERE + u64::from(*place), u64::from);
            match runs.last_mut() {
                Some((from, length)) if *from + *length == offset => *length += 1,
                Some(_) | None => runs.push((offset, 1)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator::conformance::Fixture;
    use ledger::IdSource;

    #[test]
    fn rows_lie_apart_and_every_place_is_found_again() {
        let layout = Fixture::event(&IdSource::seeded(1)).layout;
        let shape = Shape::of(&layout);
        assert_eq!(
            (shape.offset(0), shape.offset(9), shape.offset(10)),
            (Some(0), Some(9), Some(11))
        );
        assert_eq!(shape.offset(Fixture::FLOOR), Some(55));
        assert_eq!(shape.offset(100), None);
        for place in 0..layout.total() {
            assert_eq!(shape.place(shape.offset(place).unwrap()), Some(place));
        }
        assert_eq!(shape.place(10), None);
        let letters: Vec<u8> = (0..100).map(|at| b".hpsx"[at % 5]).collect();
        assert_eq!(shape.unpacked(&shape.packed(&letters)), Some(letters));
        assert_eq!(shape.unpacked(b"..."), None);
        let spans: Vec<_> = shape.sections.iter().map(|s| (s.from, s.end, s.general)).collect();
        assert_eq!(spans, [(0, 54, false), (55, 105, true)]);
    }

    #[test]
    fn places_side_by_side_are_one_run() {
        let shape = Shape::of(&Fixture::event(&IdSource::seeded(1)).layout);
        assert_eq!(shape.runs(&[0, 1, 2]), [(0, 3)]);
        assert_eq!(shape.runs(&[8, 9, 10]), [(8, 2), (11, 1)]);
        assert_eq!(shape.runs(&[99, 100]), [(104, 1), (NOWHERE + 100, 1)]);
    }
}
