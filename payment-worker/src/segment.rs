//! A batch of commands cut so that each booking's commands keep their order. Pure.
use ledger::{
    BookingCommand, BookingId, CancelBooking, DeadLetter, Delivery, LogPosition, Message,
    PlaceBooking, Timestamp,
};
use std::collections::HashMap;

/// Where a command stands on the log, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) position: LogPosition,
    pub(crate) appended_at: Timestamp,
}

/// By booking, where its command stands, and the commands that only repeat it.
pub(crate) type Origins = HashMap<BookingId, Vec<Origin>>;

/// Commands that may be handled together: all places in one transaction, then all cancels.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) places: Vec<PlaceBooking>,
    pub(crate) cancels: Vec<CancelBooking>,
    pub(crate) placed: Origins,
    pub(crate) cancelled: Origins,
}

/// Cuts where a place follows a cancel of the same booking. A command that only repeats one of its
/// segment is dropped: both together have the effect of one.
pub(crate) fn segments(commands: Vec<(Origin, BookingCommand)>) -> Vec<Segment> {
    let mut done = Vec::new();
    let mut current = Segment::default();
    for (origin, command) in commands {
        match command {
            BookingCommand::Place(place) => {
                if current.cancelled.contains_key(&place.booking_id) {
                    done.push(std::mem::take(&mut current));
                }
                let origins = current.placed.entry(place.booking_id.clone()).or_default();
                if origins.is_empty() {
                    current.places.push(place);
                }
                origins.push(origin);
            }
            BookingCommand::Cancel(cancel) => {
                let origins = current.cancelled.entry(cancel.booking_id.clone()).or_default();
                if origins.is_empty() {
                    current.cancels.push(cancel);
                }
                origins.push(origin);
            }
        }
    }
    done.push(current);
    done.retain(|segment| !segment.places.is_empty() || !segment.cancels.is_empty());
    done
}

/// The items that one call is about.
pub(crate) fn part<T>(items: &[T], range: std::ops::Range<usize>) -> &[T] {
    items.get(range).unwrap_or_default()
}

/// A command that can never be carried out, as many times as it is on the log.
pub(crate) fn dead_letters(
    command: &BookingCommand,
    origins: &[Origin],
    reason: &str,
) -> Vec<DeadLetter> {
    let letter = |origin: &Origin| {
        let Origin { position, appended_at } = *origin;
        let message = Message::Command(command.clone());
        let delivery = Delivery { message, position, appended_at };
        DeadLetter { delivery, reason: reason.to_owned() }
    };
    origins.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::conformance::sample::{cancel_of, named};
    use proptest::prelude::*;

    /// `+a` places booking a, `-a` cancels it.
    fn commands(text: &str) -> Vec<(Origin, BookingCommand)> {
        let read = |word: &str| {
            let place = named(&format!("hld_{}", &word[1..]));
            match &word[..1] {
                "+" => BookingCommand::Place(place),
                _ => BookingCommand::Cancel(cancel_of(&place)),
            }
        };
        let origins = (0..).map(|offset| Origin {
            position: LogPosition { partition: 0, offset },
            appended_at: Timestamp::default(),
        });
        origins.zip(text.split_whitespace().map(read)).collect()
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

    #[test]
    fn a_segment_knows_where_each_command_and_its_repeats_stand() {
        let all = segments(commands("+a +b -a +a -b +a"));
        let offsets = |origins: &Origins, hold: &str| {
            let id = named(hold).booking_id;
            origins.get(&id).map(|origins| {
                origins.iter().map(|origin| origin.position.offset).collect::<Vec<_>>()
            })
        };
        let [first, second] = &all[..] else { panic!("two segments, not {}", all.len()) };
        assert_eq!(offsets(&first.placed, "hld_a"), Some(vec![0]));
        assert_eq!(offsets(&first.cancelled, "hld_a"), Some(vec![2]));
        assert_eq!(offsets(&second.placed, "hld_a"), Some(vec![3, 5]));
        assert_eq!(offsets(&second.cancelled, "hld_b"), Some(vec![4]));
        let letters =
            dead_letters(&commands("+a")[0].1, &second.placed[&named("hld_a").booking_id], "odd");
        let stand: Vec<_> = letters.iter().map(|l| l.delivery.position.offset).collect();
        assert_eq!(stand, [3, 5]);
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
