//! The best places that are left: a byte search over the packed string, row by row.
//!
//! Sections are tried in layout order, whole party or nothing in each. Among seats the first row
//! where the party sits side by side wins, never across an aisle; but a choice that would leave a
//! single free seat beside it yields to a later one of the same section that does not. In general
//! admission any free places will do.
use crate::grid::{Grid, Run, SeatState};

/// `quantity` places in ascending order, from `section` (an index into the layout) or from
/// anywhere; `None` when no section can seat the party.
pub(crate) fn find(grid: &Grid, quantity: u32, section: Option<usize>) -> Option<Vec<u32>> {
    if quantity == 0 {
        return None;
    }
    grid.sections()
        .enumerate()
        .filter(|(at, _)| section.is_none_or(|wanted| wanted == *at))
        .find_map(|(_, runs)| in_section(grid, runs, quantity))
}

fn in_section(grid: &Grid, runs: &[Run], quantity: u32) -> Option<Vec<u32>> {
    let mut leaves_orphan = None;
    for run in runs.iter().filter(|run| run.free >= quantity) {
        let free = &grid.bytes()[run.from as usize..run.places.end as usize];
        if run.general {
            return Some(any(free, run.from, quantity));
        }
        match side_by_side(free, quantity as usize) {
            Fit::Clean(at) => return Some(adjacent(run.from, at, quantity)),
            Fit::Orphan(at) if leaves_orphan.is_none() => {
                leaves_orphan = Some(adjacent(run.from, at, quantity));
            }
            Fit::Orphan(_) | Fit::None => {}
        }
    }
    leaves_orphan
}

/// Where a party fits in one row.
enum Fit {
    Clean(usize),
    /// It fits only so that one single seat stays free beside it.
    Orphan(usize),
    None,
}

fn side_by_side(row: &[u8], quantity: usize) -> Fit {
    let free = SeatState::Free.byte();
    let mut orphan = Fit::None;
    let mut at = 0;
    while let Some(skipped) = row[at..].iter().position(|seat| *seat == free) {
        let start = at + skipped;
        // Two seats more than the party needs are as good as any number of them.
        let gap = row[start..].iter().take(quantity + 2).take_while(|seat| **seat == free).count();
        match gap.checked_sub(quantity) {
            // Taken from its start, a gap leaves what is over at its end. With one seat over,
            // every choice in it leaves a single seat.
            Some(1) if matches!(orphan, Fit::None) => orphan = Fit::Orphan(start),
            Some(1) | None => {}
            Some(_) => return Fit::Clean(start),
        }
        at = start + gap;
    }
    orphan
}

fn adjacent(from: u32, at: usize, quantity: u32) -> Vec<u32> {
    (from..).skip(at).take(quantity as usize).collect()
}

fn any(places: &[u8], from: u32, quantity: u32) -> Vec<u32> {
    let free = SeatState::Free.byte();
    let open = (from..).zip(places).filter(|(_, place)| **place == free);
    open.map(|(place, _)| place).take(quantity as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Currency, Layout, Money, Row, Section, SectionId};

    /// Draws a house: sections by `/`, rows by `|`, aisles by `_`; `*` before a section makes it
    /// general admission.
    fn draw(house: &str) -> (Layout, Grid) {
        let mut states = String::new();
        let mut sections = Vec::new();
        for (s, drawn) in house.split('/').enumerate() {
            let seating = match drawn.strip_prefix('*') {
                Some(places) => {
                    states.push_str(places);
                    ledger::Seating::Capacity(u32::try_from(places.len()).unwrap())
                }
                None => {
                    states.extend(drawn.chars().filter(|c| !"|_".contains(*c)));
                    let rows = drawn.split('|').enumerate().map(|(r, row)| Row {
                        name: format!("R{r}"),
                        seats: row
                            .char_indices()
                            .map(|(at, c)| (c != '_').then(|| at.to_string()))
                            .collect(),
                    });
                    ledger::Seating::Rows(rows.collect())
                }
            };
            sections.push(Section {
                id: SectionId::parse(&format!("s{s}")).unwrap(),
                name: format!("S{s}"),
                price: Money::new(100, Currency::EUR),
                seating,
            });
        }
        let layout = Layout::new(sections).unwrap();
        let mut grid = Grid::new(&layout);
        for (place, byte) in (0..).zip(states.bytes()) {
            grid.set(place, SeatState::of_letter(byte));
        }
        (layout, grid)
    }

    impl SeatState {
        fn of_letter(byte: u8) -> Self {
            Self::ALL.into_iter().find(|state| state.byte() == byte).unwrap()
        }
    }

    #[track_caller]
    fn check(house: &str, quantity: u32, section: Option<usize>, expected: &[u32]) {
        let (_, grid) = draw(house);
        let found = find(&grid, quantity, section);
        let expected = (!expected.is_empty()).then(|| expected.to_vec());
        assert_eq!(found, expected, "{quantity} in {house:?} of section {section:?}");
    }

    #[test]
    fn the_best_row_that_fits_the_whole_party_wins() {
        check("....|....", 2, None, &[0, 1]);
        check("..h..|....", 2, None, &[0, 1]);
        check(".h.h.|....", 2, None, &[5, 6]);
        check("hhhh|psx.|....", 4, None, &[8, 9, 10, 11]);
        check("....|....", 5, None, &[]);
        check("....", 0, None, &[]);
        check("hhss", 1, None, &[]);
        check("h", 1, None, &[]);
        check("..|..", 3, None, &[]);
    }

    #[test]
    fn never_across_an_aisle() {
        check(".._..|....", 3, None, &[4, 5, 6]);
        check(".._..", 2, None, &[0, 1]);
        check("h._.h", 2, None, &[]);
    }

    #[test]
    fn no_single_seat_is_left_where_another_choice_exists() {
        // One seat over in the first row, so the second is better.
        check("...|..", 2, None, &[3, 4]);
        // The same inside one row: the first gap would leave a single seat, the second fits.
        check("...h..", 2, None, &[4, 5]);
        check("..h.", 1, None, &[3]);
        // Two or more over is no orphan.
        check("....", 2, None, &[0, 1]);
        check(".....", 2, None, &[0, 1]);
        check("..h....", 1, None, &[3]);
        // No other choice: the first that fits.
        check("...|...", 2, None, &[0, 1]);
        check("..", 1, None, &[0]);
    }

    #[test]
    fn sections_in_layout_order_and_general_admission_takes_any_places() {
        check("h./*....", 2, None, &[2, 3]);
        check("../*....", 2, None, &[0, 1]);
        check("../*....", 2, Some(1), &[2, 3]);
        check("*.h.h./..", 3, None, &[0, 2, 4]);
        check("*.h.h./....", 4, None, &[5, 6, 7, 8]);
        check("*..../....", 3, Some(0), &[0, 1, 2]);
        check("*../....", 3, Some(0), &[]);
        check("..", 1, Some(7), &[]);
        // Keeping an orphan out is no reason to sell a seat of another price.
        check(".../..", 2, None, &[0, 1]);
    }

    #[test]
    fn a_search_begins_where_the_first_free_seat_can_be() {
        let (_, mut grid) = draw("......");
        for place in 0..4 {
            grid.set(place, SeatState::Held);
        }
        assert_eq!(find(&grid, 2, None), Some(vec![4, 5]));
        grid.set(1, SeatState::Free);
        grid.set(2, SeatState::Free);
        assert_eq!(find(&grid, 2, None), Some(vec![1, 2]));
    }
}
