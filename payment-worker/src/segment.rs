//! A batch of commands cut so that each booking's commands keep their order. Pure.
use ledger::{BookingCommand, BookingId, CancelBooking, PlaceBooking};
use std::collections::HashSet;

/// Commands that may be handled together: all places in one transaction, then all cancels.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) places: Vec<PlaceBooking>,
    pub(crate) cancels: Vec<CancelBooking>,
}

/// Cuts where a place follows a cancel of the same booking. A command that only repeats one of its
/// segment is dropped: both together have the effect of one.
pub(crate) fn segments(commands: Vec<BookingCommand>) -> Vec<Segment> {
    let mut done = Vec::new();
    let mut current = Segment::default();
    let mut placed: HashSet<BookingId> = HashSet::new();
    let mut cancelled: HashSet<BookingId> = HashSet::new();
    for command in commands {
        match command {
            BookingCommand::Place(place) => {
                if cancelled.contains(&place.booking_id) {
                    done.push(std::mem::take(&mut current));
                    placed.clear();
                    cancelled.clear();
                }
                if placed.insert(place.booking_id.clone()) {
                    current.places.push(place);
                }
            }
            BookingCommand::Cancel(cancel) => {
                if cancelled.insert(cancel.booking_id.clone()) {
                    current.cancels.push(cancel);
                }
            }
        }
    }
    done.push(current);
    done.retain(|segment| !segment.places.is_empty() || !segment.cancels.is_empty());
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::conformance::sample::{cancel_of, named};
    use proptest::prelude::*;

    /// `+a` places booking a, `-a` cancels it.
    fn commands(text: &str) -> Vec<BookingCommand> {
        let read = |word: &str| {
            let place = named(&format!("hld_{}", &word[1..]));
            match &word[..1] {
                "+" => BookingCommand::Place(place),
                _ => BookingCommand::Cancel(cancel_of(&place)),
            }
        };
        text.split_whitespace().map(read).collect()
    }

    fn name(id: &BookingId) -> String {
        let hold = id.hold().expect("a sample's id names its hold");
        hold.as_str().trim_start_matches("hld_").to_owned()
    }

    fn shown(segments: &[Segment]) -> String {
        let show = |segment: &Segment| {
            let places = segment.places.iter().map(|p| format!("+{}", name(&p.booking_id)));
            let cancels = segment.cancels.iter().map(|c| format!("-{}", name(&c.booking_id)));
            places.chain(cancels).collect::<Vec<_>>().join(" ")
        };
        segments.iter().map(show).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn batches_are_cut_only_where_a_booking_needs_it() {
        let check = |input: &str, expected: &str| {
            assert_eq!(shown(&segments(commands(input))), expected, "{input}");
        };
        check("", "");
        check("+a", "+a");
        check("-a", "-a");
        check("+a -a +b", "+a +b -a");
        check("+a +a", "+a");
        check("-a -a", "-a");
        check("-a +a", "-a | +a");
        check("+a -a +a -a", "+a -a | +a -a");
        check("-a +b +a -b", "+b -a | +a -b");
    }

    proptest! {
        #[test]
        fn every_booking_keeps_its_order(words in prop::collection::vec("[+-][abc]", 0..24)) {
            let input = words.join(" ");
            let output = shown(&segments(commands(&input))).replace("| ", "");
            for booking in ["a", "b", "c"] {
                // Repeats next to each other are one command.
                let of = |text: &str| {
                    let mut own: Vec<String> = text
                        .split_whitespace()
                        .filter(|word| word.ends_with(booking))
                        .map(str::to_owned)
                        .collect();
                    own.dedup();
                    own
                };
                let (before, after) = (of(&input), of(&output));
                // A place after its own place and cancel may be answered by the earlier ones, but
                // the last word of a booking stays the last.
                prop_assert_eq!(before.last(), after.last());
                prop_assert_eq!(before.first(), after.first());
                prop_assert_eq!(before, after);
            }
        }
    }
}
