//! What a decision changed, as the script `commit` writes it.
use super::view::View;
use crate::args::Args;
use crate::staged::{NEVER_MS, account_entry, owner_entry, owns_all, wait_of};
use crate::wire::{Wire, key_text};
use allocator::backend::EventSeats;
use allocator::{HoldRecord, SeatState};
use ledger::HoldId;
use std::collections::{BTreeMap, HashMap};

/// A part of a copy before the decision.
pub(super) struct Before {
    records: HashMap<HoldId, HoldRecord>,
    states: BTreeMap<u32, SeatState>,
}

impl Before {
    pub(super) fn of(seats: &EventSeats) -> Self {
        let record = |record: &HoldRecord| (record.id.clone(), record.clone());
        Self { records: seats.records().map(record).collect(), states: seats.states().collect() }
    }
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Change {
    set: Vec<(String, String)>,
    removed: Vec<String>,
    /// By where they lie, each run of them at once.
    letters: Vec<(u32, String)>,
    /// Of each of the three sets who waits for when, and who no longer waits.
    waits: [Vec<(i64, String)>; 3],
    waits_no_more: [Vec<String>; 3],
}

impl Change {
    pub(super) fn of(view: &View, before: &Before, after: &EventSeats, wire: Wire<'_>) -> Self {
        let mut change = Self::default();
        change.add_records(before, after, wire);
        change.add_fields(view, after, wire);
        change.add_letters(before, after, wire);
        change
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    fn add_records(&mut self, before: &Before, after: &EventSeats, wire: Wire<'_>) {
        for record in after.records() {
            let known = before.records.get(&record.id);
            if known == Some(record) {
                continue;
            }
            let short = wire.short(&record.id).into_owned();
            self.set.push((format!("h{short}"), wire.encode(record)));
            self.add_wait(&short, known.and_then(wait_of), wait_of(record));
        }
        for (id, record) in &before.records {
            if after.record(id).is_none() {
                let short = wire.short(id).into_owned();
                self.removed.push(format!("h{short}"));
                self.add_wait(&short, wait_of(record), None);
            }
        }
        if !self.set.is_empty() && !owns_all(after) {
            self.set.push(("x".into(), "1".into()));
        }
    }

    fn add_wait(&mut self, short: &str, was: Option<(usize, i64)>, is: Option<(usize, i64)>) {
        if let Some((set, _)) = was
            && is.is_none_or(|(now, _)| now != set)
        {
            self.waits_no_more[set].push(short.to_owned());
        }
        if let Some((set, at)) = is
            && was != is
        {
            self.waits[set].push((at, short.to_owned()));
        }
    }

    /// Owners, accounts and keys.
    fn add_fields(&mut self, view: &View, after: &EventSeats, wire: Wire<'_>) {
        let named = |(name, value): &(String, String)| (name.clone(), value.clone());
        let others =
            view.fields.iter().filter(|(name, value)| !name.starts_with('h') && !value.is_empty());
        let mut known: HashMap<String, String> = others.map(named).collect();
        let mut put = |name: String, value: String| {
            if known.remove(&name).as_ref() != Some(&value) {
                self.set.push((name, value));
            }
        };
        for (place, owner) in after.owners() {
            if let Some(offset) = wire.shape.offset(place) {
                put(format!("o{offset}"), owner_entry(owner, wire));
            }
        }
        for (account, seats, holds) in after.accounts() {
            put(format!("a{account}"), account_entry(seats, holds, wire));
        }
        for (account, key, hold) in after.lock_keys() {
            put(format!("k{account} {}", key_text(key)), wire.short(hold).into_owned());
        }
        for (account, key, hold) in after.book_keys() {
            put(format!("b{account} {}", key_text(key)), wire.short(hold).into_owned());
        }
        self.removed.extend(known.into_keys());
    }

    fn add_letters(&mut self, before: &Before, after: &EventSeats, wire: Wire<'_>) {
        let states: BTreeMap<u32, SeatState> = after.states().collect();
        let free = |place: &&u32| !states.contains_key(place);
        let freed = before.states.keys().filter(free).map(|place| (*place, SeatState::Free));
        let changed =
            states.iter().filter(|(place, state)| before.states.get(place) != Some(state));
        let mut letters: Vec<_> = changed.map(|(place, state)| (*place, *state)).collect();
        letters.extend(freed);
        if letters.iter().any(|(_, state)| *state == SeatState::Free) {
            // Searches begin where nothing was free before.
            self.removed.push("q".into());
        }
        letters.sort_unstable_by_key(|(place, _)| *place);
        for (place, state) in letters {
            let Some(offset) = wire.shape.offset(place) else { continue };
            let letter = char::from(state.byte());
            match self.letters.last_mut() {
                Some((from, run)) if *from as usize + run.len() == offset as usize => {
                    run.push(letter);
                }
                Some(_) | None => self.letters.push((offset, letter.to_string())),
            }
        }
    }

    pub(super) fn args(&self, view: &View, args: &mut Args) {
        let letters: usize = self.letters.iter().map(|(_, run)| run.len()).sum();
        let ends = self.waits[..2].iter().flatten().map(|(at, _)| *at);
        args.add(letters).add(ends.min().unwrap_or(NEVER_MS));
        let mut pairs = |pairs: &[(String, String)]| {
            args.add(pairs.len());
            for (name, value) in pairs {
                args.text(name).text(value);
            }
        };
        pairs(&view.fields);
        pairs(&self.set);
        words(&self.removed, args);
        args.add(self.letters.len());
        for (from, run) in &self.letters {
            args.add(from).text(run);
        }
        for (waits, no_more) in self.waits.iter().zip(&self.waits_no_more) {
            args.add(waits.len());
            for (at, hold) in waits {
                args.add(at).text(hold);
            }
            words(no_more, args);
        }
    }
}

fn words(words: &[String], args: &mut Args) {
    args.add(words.len());
    for word in words {
        args.text(word);
    }
}
