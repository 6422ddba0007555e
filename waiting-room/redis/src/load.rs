//! A whole queue as arguments of the script that loads it.
use super::scripts::{ACCOUNTS, AHEAD, CALL, CALLS, DOUBTFUL, ENDS, KEPT, LINE, SLOTS};
use waiting_room::backend::{CallImage, Image, SlotImage};

/// Sections of a key's place, how many arguments follow, and those. The pure core made the image;
/// nothing is derived again.
pub(super) fn arguments(image: &Image) -> Vec<String> {
    let mut all = Vec::new();
    let mut section = |key: usize, entries: Vec<String>| {
        if !entries.is_empty() {
            all.push(key.to_string());
            all.push(entries.len().to_string());
            all.extend(entries);
        }
    };
    section(LINE, counters(image));
    slots(image, &mut section);
    let calls = || image.calls.calls.iter().enumerate();
    section(CALLS, calls().flat_map(|(id, call)| pair(call.upto, id)).collect());
    let call = |(id, call): (usize, &CallImage)| {
        [id.to_string(), format!("{} {} {} {}", call.upto, call.at, call.called, call.answered)]
    };
    section(CALL, calls().flat_map(call).collect());
    let doubtful = image.doubtful.iter();
    section(DOUBTFUL, doubtful.flat_map(|(first, last)| pair(last, first)).collect());
    all
}

fn slots(image: &Image, section: &mut impl FnMut(usize, Vec<String>)) {
    let all = || image.slots.iter();
    let live = || all().filter(|slot| slot.live);
    let slot = |slot: &SlotImage| {
        let (at, until) = (slot.at.millis(), slot.until.millis());
        let source = slot.source.as_str();
        [slot.number.to_string(), format!("{at} {until} {source} 1 0 - {}", slot.account)]
    };
    section(SLOTS, all().flat_map(slot).collect());
    section(ENDS, live().flat_map(|slot| pair(slot.until.millis(), slot.number)).collect());
    section(KEPT, all().flat_map(|slot| pair(slot.until.millis(), slot.number)).collect());
    section(ACCOUNTS, live().flat_map(|slot| pair(&slot.account, slot.number)).collect());
    let ahead = all().filter(|slot| slot.number > image.now_serving);
    section(AHEAD, ahead.flat_map(|slot| pair(slot.number, slot.number)).collect());
}

fn pair(one: impl ToString, other: impl ToString) -> [String; 2] {
    [one.to_string(), other.to_string()]
}

/// The counters of a queue, by the names that the scripts use.
fn counters(image: &Image) -> Vec<String> {
    let (settings, calls) = (&image.settings, &image.calls);
    let fields = [
        ("state", settings.state.as_str().to_owned()),
        ("rate_per_minute", settings.rate_per_minute.to_string()),
        ("capacity", settings.capacity.to_string()),
        ("claim_window_seconds", settings.claim_window_seconds.to_string()),
        ("return_seconds", settings.return_seconds.to_string()),
        ("session_seconds", settings.session_seconds.to_string()),
        ("revision", image.revision.to_string()),
        ("given", image.given.to_string()),
        ("leases", String::new()),
        ("now_serving", image.now_serving.to_string()),
        ("proposed", image.now_serving.to_string()),
        ("pending", "0".to_owned()),
        ("rate_units", image.rate_units.to_string()),
        ("budget_units", image.budget_units.to_string()),
        ("early_ends", "0".to_owned()),
        ("slot_millis", "0".to_owned()),
        ("granting_millis", image.granting_millis.to_string()),
        ("call_first", "0".to_owned()),
        ("call_open", calls.open_from.to_string()),
        ("call_next", calls.calls.len().to_string()),
        ("outstanding", calls.outstanding.to_string()),
        ("missed_to", calls.missed_to.to_string()),
        ("seen_called", calls.seen.0.to_string()),
        ("seen_answered", calls.seen.1.to_string()),
    ];
    fields.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}
