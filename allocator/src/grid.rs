//! The seats of one event as a packed string: one byte a place, in layout order.
use ledger::{Layout, Seating};
use std::collections::HashMap;
use std::ops::Range;

/// What a place is just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SeatState {
    Free,
    Held,
    Paying,
    Sold,
    /// Not on offer.
    Blocked,
}

impl SeatState {
    pub const ALL: [Self; 5] = [Self::Free, Self::Held, Self::Paying, Self::Sold, Self::Blocked];

    /// Its letter in the seat map.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Free => b'.',
            Self::Held => b'h',
            Self::Paying => b'p',
            Self::Sold => b's',
            Self::Blocked => b'x',
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Held => "held",
            Self::Paying => "paying",
            Self::Sold => "sold",
            Self::Blocked => "blocked",
        }
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.byte() == byte)
    }
}

/// How many places are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; SeatState::ALL.len()]);

impl Counts {
    pub fn of(&self, state: SeatState) -> u64 {
        self.0[state as usize]
    }

    fn set(&mut self, state: SeatState, count: u64) {
        self.0[state as usize] = count;
    }

    /// Counts letters, one a place.
    pub fn over(places: &[u8]) -> Self {
        let mut counts = Self::default();
        for state in SeatState::ALL {
            let of = places.iter().filter(|letter| **letter == state.byte()).count();
            counts.set(state, of as u64);
        }
        counts
    }

    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
        self
    }
}

/// Places that a party may take side by side: seats between two aisles, or all of a general
/// admission section.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) places: Range<u32>,
    pub(crate) general: bool,
    pub(crate) free: u32,
    /// No place before this one is free: where a search begins.
    pub(crate) from: u32,
}

/// The packed string with what makes searching it fast.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    letters: Letters,
    counts: Counts,
    /// In layout order.
    runs: Vec<Run>,
    run_of: Vec<u32>,
    /// The runs of each section.
    sections: Vec<Range<usize>>,
}

/// The letter of each place.
#[derive(Debug, Clone)]
enum Letters {
    Whole(Vec<u8>),
    /// Of so many places those that are not free; nothing is counted and nothing is searched.
    Part(u32, HashMap<u32, u8>),
}

impl Letters {
    fn get(&self, place: u32) -> Option<u8> {
        match self {
            Self::Whole(letters) => letters.get(place as usize).copied(),
            Self::Part(total, _) if place >= *total => None,
            Self::Part(_, letters) => {
                Some(letters.get(&place).copied().unwrap_or(SeatState::Free.byte()))
            }
        }
    }
}

impl Grid {
    /// Every place free, of a part of a copy.
    pub(crate) fn part(total: u32) -> Self {
        let (counts, runs, run_of, sections) = Default::default();
        Self { letters: Letters::Part(total, HashMap::new()), counts, runs, run_of, sections }
    }

    /// Every place free.
    pub(crate) fn new(layout: &Layout) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut sections = Vec::with_capacity(layout.sections().len());
        let mut blocks = layout.blocks().iter().cloned().peekable();
        for (at, section) in layout.sections().iter().enumerate() {
            let first = runs.len();
            let places = layout.section_places(at);
            match section.seating {
                Seating::Capacity(_) => runs.push(Run::free(places, true)),
                Seating::Rows(_) => {
                    while let Some(block) = blocks.next_if(|block| block.end <= places.end) {
                        runs.push(Run::free(block, false));
                    }
                }
            }
            sections.push(first..runs.len());
        }
        let mut run_of = vec![0; layout.places().len()];
        for (number, run) in (0u32..).zip(&runs) {
            run_of[run.places.start as usize..run.places.end as usize].fill(number);
        }
        let mut counts = Counts::default();
        counts.0[SeatState::Free as usize] = run_of.len() as u64;
        let letters = Letters::Whole(vec![SeatState::Free.byte(); run_of.len()]);
        Self { letters, counts, runs, run_of, sections }
    }

    /// Every place's letter in layout order; none of a part.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.letters {
            Letters::Whole(letters) => letters,
            Letters::Part(..) => &[],
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The runs of each section, in layout order.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &[Run]> {
        self.sections.iter().map(|runs| &self.runs[runs.clone()])
    }

    /// `None` for a place that the layout does not have.
    pub(crate) fn state(&self, place: u32) -> Option<SeatState> {
        SeatState::of_byte(self.letters.get(place)?)
    }

    pub(crate) fn is_free(&self, place: u32) -> bool {
        self.letters.get(place) == Some(SeatState::Free.byte())
    }

    /// True when something changed.
    pub(crate) fn set(&mut self, place: u32, new: SeatState) -> bool {
        let Some(old) = self.state(place).filter(|old| *old != new) else { return false };
        match &mut self.letters {
            Letters::Whole(letters) => letters[place as usize] = new.byte(),
            Letters::Part(_, letters) => {
                letters.insert(place, new.byte());
                return true;
            }
        }
        self.counts.0[old as usize] -= 1;
        self.counts.0[new as usize] += 1;
        let run = &mut self.runs[self.run_of[place as usize] as usize];
        if new == SeatState::Free {
            run.free += 1;
            run.from = run.from.min(place);
        } else if old == SeatState::Free {
            run.free -= 1;
            if run.from == place {
                run.from += 1;
            }
        }
        true
    }
}

impl Run {
    fn free(places: Range<u32>, general: bool) -> Self {
        let (free, from) = (places.end - places.start, places.start);
        Self { places, general, free, from }
    }
}
