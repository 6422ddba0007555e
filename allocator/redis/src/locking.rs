//! The lock: the arguments of its script, and what its answer means. Both are short, because most
//! of a sale's calls are this one.
use super::args::Args;
use super::reply::{freed, text, unexpected_reply};
use super::wire::{Wire, key_line, key_text, prices_line, slot_line};
use allocator::store::{CopyRef, Lock, Locked};
use allocator::{HoldRecord, HoldState, Wish};
use ledger::{Fenced, HoldId, StoreError, Timestamp};
use redis_client::Value;

/// A lock as the script takes it, kept for its answer.
pub(super) struct Locking<'a> {
    wire: Wire<'a>,
    request: &'a Lock,
    id: HoldId,
    /// Ascending, each once; empty when the script chooses.
    places: Vec<u32>,
    prices: Vec<i64>,
}

impl<'a> Locking<'a> {
    pub(super) fn new(at: &CopyRef, wire: Wire<'a>, request: &'a Lock) -> Self {
        let id = match &request.key {
            Some(key) => HoldId::of_key(&request.account, &at.event.id, &key.key, at.generation),
            None => request.minted.clone(),
        };
        let mut places = match &request.wish {
            Wish::Places(places) => places.clone(),
            Wish::Best { .. } => Vec::new(),
        };
        places.sort_unstable();
        places.dedup();
        let prices = wire.prices(&places);
        Self { wire, request, id, places, prices }
    }

    pub(super) fn args(&self, at: &CopyRef, args: &mut Args) {
        let Lock { account, slot, wish, key, .. } = self.request;
        let terms = &at.event.terms;
        let short = self.wire.short(&self.id);
        args.text(account.as_str());
        match key {
            Some(key) => args.add(format_args!("k{account} {}", key_text(&key.key))),
            None => args.add(format_args!("h{short}")),
        };
        args.text(&short).add(u64::from(terms.hold_ttl_seconds) * 1_000);
        args.add(terms.seats_per_account_max);
        let (key, slot) = (key.as_ref().map(key_line), slot_line(slot.as_ref()));
        match wish {
            Wish::Best { quantity, section } => {
                args.add(quantity).text("b").text(&key.unwrap_or_default()).text(&slot);
                self.sections(*quantity, section.as_ref(), args);
            }
            // A wish for nothing is answered as a search that finds nothing.
            Wish::Places(_) if self.places.is_empty() => {
                args.text("0").text("b").text(&key.unwrap_or_default()).text(&slot).text("0");
            }
            Wish::Places(_) => {
                args.add(self.places.len()).text("p").text(&key.unwrap_or_default()).text(&slot);
                let (from, length) = self.wire.shape.runs(&self.places)[0];
                args.text(&prices_line(&self.prices)).text(&self.wire.segments(&self.places));
                args.add(from).add(length);
            }
        }
    }

    /// The sections to search, in layout order; a party of none sits nowhere.
    fn sections(&self, quantity: u32, wanted: Option<&ledger::SectionId>, args: &mut Args) {
        let named = self.wire.event.layout.sections().iter().zip(&self.wire.shape.sections);
        let fits = |id| quantity > 0 && wanted.is_none_or(|wanted| wanted == id);
        let spans: Vec<_> = named.filter(|(named, _)| fits(&named.id)).collect();
        args.add(spans.len());
        for (_, span) in spans {
            args.add(span.from).add(span.end).add(u8::from(span.general)).add(span.price);
        }
    }

    pub(super) fn answer(self, value: Value) -> Result<Fenced<Locked>, StoreError> {
        let value = match value {
            Value::Array(parts) => {
                let [answer, late] =
                    <[Value; 2]>::try_from(parts).map_err(|_| unexpected_reply())?;
                freed(&text(late)?)?;
                answer
            }
            answer => answer,
        };
        Ok(Fenced::Is(match value {
            Value::Int(-1) => return Ok(Fenced::Lost),
            Value::Int(-2) => Locked::Taken,
            Value::Int(-3) => Locked::SoldOut,
            Value::Int(-4) => Locked::OverCap,
            Value::Int(-5) => Locked::Mismatch,
            Value::Int(-6) => Locked::Expired,
            Value::Int(until) => self.held(until),
            other => self.read_text(&text(other)?)?,
        }))
    }

    /// The best places with the time, or a hold that was there before.
    fn read_text(mut self, answer: &str) -> Result<Locked, StoreError> {
        if let Some(known) = answer.strip_prefix('K') {
            let (id, raw) = known.split_once('\n').ok_or_else(unexpected_reply)?;
            return Ok(Locked::Held(Box::new(self.wire.decode(id, raw)?)));
        }
        let best = answer.strip_prefix('B').and_then(|best| best.split_once('\n'));
        let (until, segments) = best.ok_or_else(unexpected_reply)?;
        self.places = self.wire.places(segments)?;
        self.prices = self.wire.prices(&self.places);
        Ok(self.held(until.parse().map_err(|_| unexpected_reply())?))
    }

    fn held(self, until: i64) -> Locked {
        Locked::Held(Box::new(HoldRecord {
            id: self.id,
            account: self.request.account.clone(),
            slot: self.request.slot.clone(),
            places: self.places,
            prices: self.prices,
            until: Timestamp::from_millis(until),
            attempts: 0,
            lock_keys: self.request.key.iter().cloned().collect(),
            book_keys: Vec::new(),
            state: HoldState::Held,
        }))
    }
}

impl Wire<'_> {
    /// What the places cost by the layout.
    fn prices(&self, places: &[u32]) -> Vec<i64> {
        let price = |place: &u32| self.event.layout.price_of(*place).map_or(0, |price| price.minor);
        places.iter().map(price).collect()
    }
}
