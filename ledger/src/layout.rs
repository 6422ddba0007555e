//! The seat map of an event: sections, rows, aisles, and every place's permanent id.
use crate::ids::{PlaceId, SectionId, is_id};
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;

/// The most places one event may have.
pub const PLACES_MAX: u32 = 200_000;

/// A row of seats; `None` is an aisle, which breaks adjacency and has no number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub seats: Vec<Option<String>>,
}

/// How a section seats people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seating {
    /// Numbered seats, best row first.
    Rows(Vec<Row>),
    /// General admission: so many places, none of them numbered to the outside.
    Capacity(u32),
}

/// A part of the venue with one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub id: SectionId,
    pub name: String,
    pub price: Money,
    pub seating: Seating,
}

/// One place: a seat, or one of a general-admission section's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub id: PlaceId,
    /// Which of [`Layout::sections`] it is in.
    pub section: usize,
    /// "A-12" for a seat; the section's name for general admission.
    pub label: String,
    /// True for general admission: outside, its `seat` is null.
    pub general: bool,
}

/// Why a layout is refused; `field` points into the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct LayoutError {
    pub field: String,
    pub message: String,
}

/// The sections of an event with an index over every place, in layout order.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    sections: Vec<Section>,
    places: Vec<Place>,
    /// Places by id, and by "A-12" where only one section has it.
    by_name: HashMap<String, u32>,
    /// For each section, the places it covers.
    section_places: Vec<Range<u32>>,
    /// Seats that stand side by side, best first; never across an aisle or a row's end.
    blocks: Vec<Range<u32>>,
}

impl Layout {
    /// Checks the sections and numbers their places.
    pub fn new(sections: Vec<Section>) -> Result<Self, LayoutError> {
        Builder::default().build(sections)
    }

    /// One section of `total` numbered seats at one price, as the oldest clients ask for it.
    pub fn plain(total: u32, price: Money) -> Result<Self, LayoutError> {
        let seats = (1..=total).map(|n| Some(n.to_string())).collect();
        let section = Section {
            id: SectionId::parse("main").expect("a valid id"),
            name: "Main".into(),
            price,
            seating: Seating::Rows(vec![Row { name: "A".into(), seats }]),
        };
        Self::new(vec![section])
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }

    pub fn total(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    pub fn currency(&self) -> Currency {
        self.sections.first().map_or(Currency::EUR, |s| s.price.currency)
    }

    /// The place that has this id, or is the only one with this label.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The place at a 1-based number in layout order.
    pub fn numbered(&self, number: u64) -> Option<u32> {
        let index = u32::try_from(number.checked_sub(1)?).ok()?;
        (index < self.total()).then_some(index)
    }

    pub fn place(&self, index: u32) -> Option<&Place> {
        self.places.get(index as usize)
    }

    /// The places of the section at `section` in [`Layout::sections`].
    pub fn section_places(&self, section: usize) -> Range<u32> {
        self.section_places.get(section).cloned().unwrap_or(0..0)
    }

    /// Runs of adjacent seats in layout order.
    pub fn blocks(&self) -> &[Range<u32>] {
        &self.blocks
    }

    pub fn price_of(&self, index: u32) -> Option<Money> {
        self.sections.get(self.place(index)?.section).map(|s| s.price)
    }

    /// The cheapest and the dearest price.
    pub fn price_range(&self) -> Option<(Money, Money)> {
        let by_price = |s: &&Section| s.price.minor;
        let low = self.sections.iter().min_by_key(by_price)?.price;
        let high = self.sections.iter().max_by_key(by_price)?.price;
        Some((low, high))
    }
}

impl Serialize for Layout {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.sections.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[derive(Default)]
struct Builder {
    places: Vec<Place>,
    by_name: HashMap<String, u32>,
    ambiguous: Vec<String>,
    blocks: Vec<Range<u32>>,
}

impl Builder {
    fn build(mut self, sections: Vec<Section>) -> Result<Layout, LayoutError> {
        let Some(currency) = sections.first().map(|s| s.price.currency) else {
            return Err(refuse("sections", "must not be empty"));
        };
        let mut section_places = Vec::with_capacity(sections.len());
        for (at, section) in sections.iter().enumerate() {
            let path = format!("sections[{at}]");
            if sections.iter().take(at).any(|other| other.id == section.id) {
                return Err(refuse(&format!("{path}.id"), "is used twice"));
            }
            if section.price.currency != currency {
                return Err(refuse(&format!("{path}.price"), "an event has one currency"));
            }
            if section.price.minor < 0 {
                return Err(refuse(&format!("{path}.price"), "must not be negative"));
            }
            let first = self.next_index();
            match &section.seating {
                Seating::Rows(rows) => self.add_rows(&path, at, section, rows)?,
                Seating::Capacity(count) => self.add_general(&path, at, section, *count)?,
            }
            section_places.push(first..self.next_index());
        }
        for name in &self.ambiguous {
            self.by_name.remove(name);
        }
        let Self { places, by_name, blocks, .. } = self;
        Ok(Layout { sections, places, by_name, section_places, blocks })
    }

    fn next_index(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    fn add_rows(
        &mut self,
        path: &str,
        at: usize,
        section: &Section,
        rows: &[Row],
    ) -> Result<(), LayoutError> {
        for (r, row) in rows.iter().enumerate() {
            let path = format!("{path}.rows[{r}]");
            if !is_id(&row.name) {
                return Err(refuse(&format!("{path}.name"), "must be 1 to 64 letters or digits"));
            }
            let mut block = self.next_index();
            for (s, seat) in row.seats.iter().enumerate() {
                match seat {
                    Some(seat) => {
                        let label = format!("{}-{seat}", row.name);
                        let id = format!("{}-{label}", section.id);
                        self.add(&format!("{path}.seats[{s}]"), at, id, label, false)?;
                    }
                    None => block = self.close_block(block),
                }
            }
            self.close_block(block);
        }
        if rows.iter().all(|row| row.seats.iter().all(Option::is_none)) {
            return Err(refuse(&format!("{path}.rows"), "must have at least one seat"));
        }
        Ok(())
    }

    fn close_block(&mut self, start: u32) -> u32 {
        let end = self.next_index();
        if end > start {
            self.blocks.push(start..end);
        }
        end
    }

    fn add_general(
        &mut self,
        path: &str,
        at: usize,
        section: &Section,
        count: u32,
    ) -> Result<(), LayoutError> {
        let path = format!("{path}.capacity");
        if count == 0 {
            return Err(refuse(&path, "must be at least 1"));
        }
        if count > PLACES_MAX {
            return Err(refuse(&path, &format!("must be at most {PLACES_MAX}")));
        }
        for n in 1..=count {
            self.add(&path, at, format!("{}-{n}", section.id), section.name.clone(), true)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: &str,
        section: usize,
        id: String,
        label: String,
        general: bool,
    ) -> Result<(), LayoutError> {
        let index = self.next_index();
        if index >= PLACES_MAX {
            return Err(refuse(path, &format!("an event has at most {PLACES_MAX} seats")));
        }
        let place_id = PlaceId::parse(&id)
            .map_err(|e| refuse(path, &format!("makes the seat id {id:?}, which {e}")))?;
        if self
            .places
            .get(self.by_name.get(&id).map_or(usize::MAX, |i| *i as usize))
            .is_some_and(|other| other.id == place_id)
        {
            return Err(refuse(path, &format!("makes the seat id {id:?} a second time")));
        }
        // An id always wins over another seat's short label.
        self.by_name.insert(id, index);
        if !general {
            match self.by_name.get(&label) {
                None => {
                    self.by_name.insert(label.clone(), index);
                }
                Some(other)
                    if self.places.get(*other as usize).is_some_and(|p| p.id.as_str() == label) => {
                }
                Some(_) => self.ambiguous.push(label.clone()),
            }
        }
        self.places.push(Place { id: place_id, section, label, general });
        Ok(())
    }
}

fn refuse(field: &str, message: &str) -> LayoutError {
    LayoutError { field: field.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: &str, seating: Seating) -> Section {
        Section {
            id: SectionId::parse(id).unwrap(),
            name: id.to_uppercase(),
            price: Money::new(4_500, Currency::EUR),
            seating,
        }
    }

    fn row(name: &str, seats: &[Option<&str>]) -> Row {
        Row { name: name.into(), seats: seats.iter().map(|s| s.map(Into::into)).collect() }
    }

    #[test]
    fn places_are_numbered_in_layout_order_and_aisles_break_blocks() {
        let rows = vec![
            row("A", &[Some("1"), Some("2"), None, Some("3")]),
            row("B", &[Some("1"), Some("2")]),
        ];
        let layout = Layout::new(vec![
            section("stalls", Seating::Rows(rows)),
            section("floor", Seating::Capacity(3)),
        ])
        .unwrap();
        assert_eq!(layout.total(), 8);
        assert_eq!(layout.blocks(), [0..2, 2..3, 3..5]);
        assert_eq!(layout.find("stalls-A-3"), Some(2));
        assert_eq!(layout.find("A-3"), Some(2));
        assert_eq!(layout.numbered(4), Some(3));
        assert_eq!(layout.numbered(0), None);
        assert_eq!(layout.numbered(9), None);
        assert_eq!(layout.section_places(1), 5..8);
        assert!(layout.place(6).unwrap().general);
    }

    #[test]
    fn a_short_label_counts_only_where_one_seat_has_it() {
        let rows = || Seating::Rows(vec![row("A", &[Some("1")])]);
        let layout = Layout::new(vec![section("left", rows()), section("right", rows())]).unwrap();
        assert_eq!(layout.find("A-1"), None);
        assert_eq!(layout.find("right-A-1"), Some(1));
    }

    #[test]
    fn bad_layouts_name_the_field() {
        let rows = |seats: &[Option<&str>]| Seating::Rows(vec![row("A", seats)]);
        let table = [
            (vec![], "sections"),
            (vec![section("a", Seating::Capacity(0))], "sections[0].capacity"),
            (vec![section("a", rows(&[None]))], "sections[0].rows"),
            (vec![section("a", rows(&[Some("1"), Some("1")]))], "sections[0].rows[0].seats[1]"),
            (vec![section("a", rows(&[Some("1 2")]))], "sections[0].rows[0].seats[0]"),
            (
                vec![section("a", rows(&[Some("1")])), section("a", rows(&[Some("2")]))],
                "sections[1].id",
            ),
            (vec![section("a", Seating::Capacity(PLACES_MAX + 1))], "sections[0].capacity"),
        ];
        for (sections, field) in table {
            assert_eq!(Layout::new(sections).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_plain_layout_is_numbered_from_one() {
        let layout = Layout::plain(3, Money::new(1, Currency::EUR)).unwrap();
        assert_eq!(layout.place(layout.numbered(3).unwrap()).unwrap().id.as_str(), "main-A-3");
        let copy: Layout = serde_json::from_str(&serde_json::to_string(&layout).unwrap()).unwrap();
        assert_eq!(copy, layout);
    }
}
