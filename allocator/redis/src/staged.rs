//! A whole copy, made by the pure core, as the fields and sets that the scripts work on. It is
//! written beside the event's copy and then swapped in.
use super::wire::{Wire, key_text};
use allocator::backend::{EventSeats, Owner};
use allocator::{HoldRecord, HoldState};
use ledger::{AccountId, HoldId};
use redis_client::{Cmd, cmd};
use std::collections::HashMap;

/// Later than everything: when nothing ends.
pub(super) const NEVER_MS: i64 = 9_000_000_000_000;
/// Fields and members that one command writes.
const BATCH: usize = 500;
/// How long what was built, and never swapped in, lies about.
const LEFT_MS: u32 = 300_000;

/// The five keys' contents.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) fields: Vec<(String, String)>,
    letters: Vec<u8>,
    /// Ends of what is held, ends of what is over, deadlines of what is being paid.
    pub(super) waiting: [Vec<(i64, String)>; 3],
}

impl Staged {
    pub(super) fn of(seats: &EventSeats, wire: Wire<'_>) -> Self {
        let letters = wire.shape.packed(seats.letters());
        let mut staged = Self { letters, ..Self::default() };
        staged.add_records(seats, wire);
        for (place, owner) in seats.owners() {
            if let (Some(offset), Owner::Sold(booking, account)) = (wire.shape.offset(place), owner)
            {
                staged.fields.push((format!("o{offset}"), format!("${booking} {account}")));
            }
        }
        if !owns_all(seats) {
            staged.fields.push(("x".into(), "1".into()));
        }
        let due = staged.waiting[..2].iter().flatten().map(|(at, _)| *at).min();
        let numbers = [("n", seats.now().millis()), ("d", due.unwrap_or(NEVER_MS)), ("c", 0)];
        let numbers = numbers.map(|(name, value)| (name.to_owned(), value.to_string()));
        staged.fields.extend(numbers);
        staged.fields.push(("g".into(), seats.generation().to_string()));
        staged
    }

    /// Records in the order in which they end, each with all that is about it: what is ended
    /// together then lies together in Redis's memory, as after so many locks.
    fn add_records(&mut self, seats: &EventSeats, wire: Wire<'_>) {
        let accounts = seats.accounts().map(|(account, count, holds)| (account, (count, holds)));
        let mut accounts: HashMap<_, _> = accounts.collect();
        let mut records: Vec<_> = seats.records().collect();
        records.sort_unstable_by(|one, other| (one.until, &one.id).cmp(&(other.until, &other.id)));
        for record in records {
            self.add_record(record, wire);
            let id = wire.short(&record.id);
            for place in &record.places {
                let own = matches!(seats.owner(*place), Some(Owner::Hold(id)) if *id == record.id);
                if let (true, Some(offset)) = (own, wire.shape.offset(*place)) {
                    self.fields.push((format!("o{offset}"), id.clone().into_owned()));
                }
            }
            if let Some((count, holds)) = accounts.remove(&record.account) {
                self.add_account(&record.account, count, holds, wire);
            }
        }
        for (account, (count, holds)) in accounts {
            self.add_account(account, count, holds, wire);
        }
    }

    fn add_account(&mut self, account: &AccountId, count: u32, holds: &[HoldId], wire: Wire<'_>) {
        self.fields.push((format!("a{account}"), account_entry(count, holds, wire)));
    }

    fn add_record(&mut self, record: &HoldRecord, wire: Wire<'_>) {
        let id = wire.short(&record.id).into_owned();
        if let Some((set, at)) = wait_of(record) {
            self.waiting[set].push((at, id.clone()));
        }
        let account = &record.account;
        for key in &record.lock_keys {
            self.fields.push((format!("k{account} {}", key_text(&key.key)), id.clone()));
        }
        for (key, _) in &record.book_keys {
            self.fields.push((format!("b{account} {}", key_text(&key.key)), id.clone()));
        }
        self.fields.push((format!("h{id}"), wire.encode(record)));
    }

    /// How many of the five keys there will be.
    pub(super) fn count(&self) -> usize {
        2 + self.waiting.iter().filter(|set| !set.is_empty()).count()
    }

    /// What writes them, in any number of steps.
    pub(super) fn commands(&self, keys: &[String; 5]) -> Vec<Cmd> {
        let mut commands = Vec::new();
        let mut write = |key: &String, begun: bool, command: Cmd| {
            commands.push(command);
            // From the first on: what a killed process leaves half built goes away by itself.
            if begun {
                let mut left = cmd("PEXPIRE");
                left.arg(key).arg(LEFT_MS);
                commands.push(left);
            }
        };
        for (at, fields) in self.fields.chunks(BATCH).enumerate() {
            let mut command = cmd("HSET");
            command.arg(&keys[0]);
            for (name, value) in fields {
                command.arg(name).arg(value);
            }
            write(&keys[0], at == 0, command);
        }
        let mut command = cmd("SET");
        command.arg(&keys[1]).arg(&self.letters[..]);
        write(&keys[1], true, command);
        for (set, key) in self.waiting.iter().zip(&keys[2..]) {
            for (at, members) in set.chunks(BATCH).enumerate() {
                let mut command = cmd("ZADD");
                command.arg(key);
                for (score, id) in members {
                    command.arg(score).arg(id);
                }
                write(key, at == 0, command);
            }
        }
        commands
    }
}

/// In which of the three sets a hold waits, and for when, if it does.
pub(super) fn wait_of(record: &HoldRecord) -> Option<(usize, i64)> {
    match &record.state {
        HoldState::Held => Some((0, record.until.millis())),
        HoldState::Over { forget_at, .. } => {
            record.ends_by_itself().then_some((1, forget_at.millis()))
        }
        HoldState::Paying(payment) => Some((2, payment.resend_at.millis())),
    }
}

/// How many seats an account has, and its live holds.
pub(super) fn account_entry(seats: u32, holds: &[HoldId], wire: Wire<'_>) -> String {
    let mut entry = seats.to_string();
    for id in holds {
        entry.push(' ');
        entry.push_str(&wire.short(id));
    }
    entry
}

pub(super) fn owner_entry(owner: &Owner, wire: Wire<'_>) -> String {
    match owner {
        Owner::Hold(id) => wire.short(id).into_owned(),
        Owner::Sold(booking, account) => format!("${booking} {account}"),
    }
}

/// True when everything that is held is owned by its hold.
pub(super) fn owns_all(seats: &EventSeats) -> bool {
    let held = seats.records().filter(|record| matches!(record.state, HoldState::Held));
    held.flat_map(|record| record.places.iter().map(move |place| (record, *place))).all(
        |(record, place)| matches!(seats.owner(place), Some(Owner::Hold(id)) if *id == record.id),
    )
}
