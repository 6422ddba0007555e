//! Parties that do not fit side by side: what is left for them, and which seats apart they get.
use crate::grid::SeatState;
use ledger::{Layout, Seating, SectionId};
use std::ops::Range;

/// What is free where a party found no places side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub free: u32,
    /// The most places side by side; of a section without seats, all its free places.
    pub largest_group: u32,
}

/// Free places that one party can take together.
enum Group {
    Seats(Range<u32>),
    /// Of a section without seats any will do.
    General(Vec<u32>),
}

impl Group {
    fn len(&self) -> usize {
        match self {
            Self::Seats(seats) => seats.len(),
            Self::General(places) => places.len(),
        }
    }

    fn take(self, count: usize) -> Vec<u32> {
        match self {
            Self::Seats(seats) => seats.take(count).collect(),
            Self::General(places) => places.into_iter().take(count).collect(),
        }
    }
}

/// What is free in a section, or everywhere.
pub(crate) fn left(layout: &Layout, letters: &[u8], section: Option<&SectionId>) -> Left {
    let groups = sections(layout, letters, section).into_iter().flatten();
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    groups.fold(Left { free: 0, largest_group: 0 }, |left, group| Left {
        free: left.free.saturating_add(count(group.len())),
        largest_group: left.largest_group.max(count(group.len())),
    })
}

/// `quantity` places in ascending order, in as few groups as can be found: in the first section
/// that has enough, else in several. `None` when fewer are free.
pub(crate) fn find(
    layout: &Layout,
    letters: &[u8],
    quantity: u32,
    section: Option<&SectionId>,
) -> Option<Vec<u32>> {
    let wanted = quantity as usize;
    let mut sections = sections(layout, letters, section);
    let free = |groups: &Vec<Group>| groups.iter().map(Group::len).sum::<usize>();
    if let Some(enough) = sections.iter().position(|groups| free(groups) >= wanted) {
        sections = vec![sections.swap_remove(enough)];
    }
    let mut places = Vec::with_capacity(wanted);
    for mut groups in sections {
        // The largest first; of equal ones the first of the layout.
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        for group in groups {
            places.extend(group.take(wanted - places.len()));
        }
    }
    places.sort_unstable();
    (places.len() == wanted).then_some(places)
}

/// The groups of free places of each section, in layout order.
fn sections(layout: &Layout, letters: &[u8], only: Option<&SectionId>) -> Vec<Vec<Group>> {
    let is_free = |place: &u32| letters.get(*place as usize) == Some(&SeatState::Free.byte());
    let mut found = Vec::new();
    for (at, section) in layout.sections().iter().enumerate() {
        if only.is_some_and(|only| *only != section.id) {
            continue;
        }
        let places = layout.section_places(at);
        found.push(match section.seating {
            Seating::Capacity(_) => vec![Group::General(places.filter(is_free).collect())],
            Seating::Rows(_) => {
                let blocks = layout.blocks().iter();
                let own = blocks.filter(|block| places.contains(&block.start));
                own.flat_map(|block| runs(block.clone(), is_free)).map(Group::Seats).collect()
            }
        });
    }
    found
}

/// The runs of places that are free, between two aisles.
fn runs(block: Range<u32>, is_free: impl Fn(&u32) -> bool) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for place in block.filter(is_free) {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end = place + 1,
            Some(_) | None => runs.push(place..place + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Fixture;
    use ledger::IdSource;

    /// Five rows of ten seats, and a floor of 50; only `free` are.
    fn hall(free: &[u32]) -> (Layout, Vec<u8>) {
        let event = Fixture::event(&IdSource::seeded(1));
        let mut letters = vec![SeatState::Sold.byte(); event.layout.places().len()];
        free.iter().for_each(|place| letters[*place as usize] = SeatState::Free.byte());
        ((*event.layout).clone(), letters)
    }

    #[test]
    fn what_is_left_is_counted_by_rows() {
        let stalls = SectionId::parse("stalls").unwrap();
        for (free, expected) in [
            (&[][..], (0, 0)),
            (&[1, 3, 5], (3, 1)),
            // The end of one row and the start of the next are not side by side.
            (&[8, 9, 10, 20], (4, 2)),
            (&[0, 50, 55], (1, 1)),
        ] {
            let (layout, letters) = hall(free);
            let found = left(&layout, &letters, Some(&stalls));
            assert_eq!((found.free, found.largest_group), expected, "{free:?}");
        }
        let (layout, letters) = hall(&[0, 50, 55]);
        assert_eq!(left(&layout, &letters, None), Left { free: 3, largest_group: 2 });
    }

    #[test]
    fn a_party_is_split_as_little_as_can_be() {
        let table: [(&[u32], u32, Option<&[u32]>); 5] = [
            (&[1, 3, 5], 2, Some(&[1, 3])),
            (&[1, 4, 5, 7], 3, Some(&[1, 4, 5])),
            (&[1, 3], 3, None),
            // Across sections only where no section has enough.
            (&[1, 50, 51], 2, Some(&[50, 51])),
            (&[1, 50, 51], 3, Some(&[1, 50, 51])),
        ];
        for (free, quantity, expected) in table {
            let (layout, letters) = hall(free);
            let found = find(&layout, &letters, quantity, None);
            assert_eq!(found.as_deref(), expected, "{quantity} of {free:?}");
        }
    }
}
