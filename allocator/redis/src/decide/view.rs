//! The part of a copy that a decision reads, as the script `view` answers it.
use crate::args::Args;
use crate::reply::{Reply, unexpected_reply};
use crate::wire::{Wire, broken, key_of};
use allocator::backend::{CopyPart, Owner, Reads};
use ledger::{AccountId, BookingId, HoldId, StoreError, Timestamp};

/// What was there, and when.
pub(super) struct View {
    pub(super) now: Timestamp,
    /// Names with values; a field that is not there is empty.
    pub(super) fields: Vec<(String, String)>,
}

/// Adds what is to be read.
pub(super) fn add_reads(reads: &Reads, wire: Wire<'_>, args: &mut Args) {
    let mut words = String::new();
    let mut list = |all: &mut dyn Iterator<Item = String>| {
        words.clear();
        for word in all {
            words.push_str(&word);
            words.push(' ');
        }
        args.text(&words);
    };
    list(&mut reads.holds.iter().map(|hold| wire.short(hold).into_owned()));
    let offsets = reads.places.iter().filter_map(|place| wire.shape.offset(*place));
    list(&mut offsets.map(|offset| offset.to_string()));
    list(&mut reads.accounts.iter().map(|account| account.as_str().to_owned()));
}

impl View {
    pub(super) fn of(reply: &mut Reply) -> Result<Self, StoreError> {
        Ok(Self { now: Timestamp::from_millis(reply.whole()?), fields: reply.pairs()? })
    }

    /// The fields as the core knows them.
    pub(super) fn part(&self, wire: Wire<'_>) -> Result<CopyPart, StoreError> {
        let mut part = CopyPart::default();
        for (name, value) in self.fields.iter().filter(|(_, value)| !value.is_empty()) {
            let (kind, name) = name.split_at_checked(1).ok_or_else(unexpected_reply)?;
            match kind {
                "h" => part.holds.push(wire.decode(name, value)?),
                "o" => part.owners.push((place(name, wire)?, owner(value, wire)?)),
                "a" => part.accounts.push(account(name, value, wire)?),
                "k" => part.lock_keys.push(keyed(name, value, wire)?),
                "b" => part.book_keys.push(keyed(name, value, wire)?),
                _ => return Err(unexpected_reply()),
            }
        }
        Ok(part)
    }
}

fn place(offset: &str, wire: Wire<'_>) -> Result<u32, StoreError> {
    let offset = offset.parse().map_err(|error| broken(&error))?;
    wire.shape.place(offset).ok_or_else(|| broken(&"a place that is not there"))
}

fn owner(value: &str, wire: Wire<'_>) -> Result<Owner, StoreError> {
    let Some(sold) = value.strip_prefix('$') else { return Ok(Owner::Hold(wire.full(value)?)) };
    let (booking, account) = sold.split_once(' ').ok_or_else(|| broken(&"a sale to nobody"))?;
    let booking = BookingId::parse(booking).map_err(|error| broken(&error))?;
    Ok(Owner::Sold(booking, account_id(account)?))
}

fn account(
    name: &str,
    entry: &str,
    wire: Wire<'_>,
) -> Result<(AccountId, u32, Vec<HoldId>), StoreError> {
    let mut words = entry.split(' ');
    let seats = words.next().unwrap_or_default().parse().map_err(|error| broken(&error))?;
    let holds = words.map(|hold| wire.full(hold)).collect::<Result<_, _>>()?;
    Ok((account_id(name)?, seats, holds))
}

fn keyed(
    name: &str,
    hold: &str,
    wire: Wire<'_>,
) -> Result<(AccountId, String, HoldId), StoreError> {
    let (account, key) = name.split_once(' ').ok_or_else(|| broken(&"a key of nobody"))?;
    Ok((account_id(account)?, key_of(key)?, wire.full(hold)?))
}

fn account_id(text: &str) -> Result<AccountId, StoreError> {
    AccountId::parse(text).map_err(|error| broken(&error))
}
