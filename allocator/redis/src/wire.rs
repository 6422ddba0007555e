//! A hold as the scripts keep it: a line a field, so that they can read and change it.
use super::shape::Shape;
use allocator::{HoldPayment, HoldRecord, HoldState, Keyed};
use ledger::{
    AccountId, BookingId, Event, HoldId, PaymentToken, PlaceBooking, QueueId, SlotRef, StoreError,
    Timestamp,
};
use std::borrow::Cow;
use std::fmt::Write;

/// Names and places of one event, in the words of its copy in Redis.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a> {
    pub(super) event: &'a Event,
    pub(super) shape: &'a Shape,
}

impl Wire<'_> {
    /// Ids of this event's holds without what they all begin with.
    pub(super) fn short<'h>(&self, hold: &'h HoldId) -> Cow<'h, str> {
        let rest = hold.as_str().strip_prefix("hld_");
        let rest = rest.and_then(|rest| rest.strip_prefix(self.event.id.as_str()));
        match rest.and_then(|rest| rest.strip_prefix('_')) {
            Some(short) if !short.is_empty() => Cow::Borrowed(short),
            Some(_) | None => Cow::Owned(format!("!{hold}")),
        }
    }

    pub(super) fn full(&self, short: &str) -> Result<HoldId, StoreError> {
        let id = match short.strip_prefix('!') {
            Some(id) => HoldId::parse(id),
            None => HoldId::parse(&format!("hld_{}_{short}", self.event.id)),
        };
        id.map_err(|error| broken(&error))
    }

    pub(super) fn segments(&self, places: &[u32]) -> String {
        let mut text = String::new();
        for (from, length) in self.shape.runs(places) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{from}:{length}");
        }
        text
    }

    pub(super) fn places(&self, segments: &str) -> Result<Vec<u32>, StoreError> {
        let mut places = Vec::new();
        for segment in segments.split(',').filter(|segment| !segment.is_empty()) {
            let (from, length) = segment.split_once(':').ok_or_else(|| broken(&"a run"))?;
            let (from, length): (u32, u32) = (number(from)?, number(length)?);
            for offset in (from..).take(length as usize) {
                let place = self.shape.place(offset);
                places.push(place.ok_or_else(|| broken(&"a place that is not there"))?);
            }
        }
        Ok(places)
    }

    pub(super) fn encode(&self, record: &HoldRecord) -> String {
        let mut state = String::from("h");
        let mut command = String::new();
        match &record.state {
            HoldState::Held => {}
            HoldState::Paying(payment) => {
                let booking = &payment.command.booking_id;
                let (resend, shared) = (payment.resend_at.millis(), u8::from(payment.shared));
                state = format!("p {resend} {shared} {booking}");
                command = serde_json::to_string(&*payment.command)
                    .expect("a command has string keys and whole numbers only");
                command.insert_str(0, "j ");
            }
            HoldState::Over { bought, forget_at } => {
                let bought = bought.as_ref().map_or("", BookingId::as_str);
                state = format!("o {} {bought}", forget_at.millis());
            }
        }
        let locks: Vec<_> = record.lock_keys.iter().map(key_line).collect();
        let book = |(key, attempt): &(Keyed, u32)| format!("{attempt}:{}", key_line(key));
        let books: Vec<_> = record.book_keys.iter().map(book).collect();
        format!(
            "{}\n{}\n{}\n{state}\n{}\n{}\n{}\n{}\n{}\n{command}",
            record.account,
            record.until.millis(),
            record.attempts,
            self.segments(&record.places),
            locks.join(" "),
            books.join(" "),
            prices_line(&record.prices),
            slot_line(record.slot.as_ref()),
        )
    }

    pub(super) fn decode(&self, short: &str, raw: &str) -> Result<HoldRecord, StoreError> {
        let mut lines = raw.splitn(10, '\n');
        let mut line = || lines.next().ok_or_else(|| broken(&"a line is missing"));
        let account = AccountId::parse(line()?).map_err(|error| broken(&error))?;
        let until = time(line()?)?;
        let attempts = number(line()?)?;
        let state = line()?;
        let places = self.places(line()?)?;
        let lock_keys = words(line()?).map(keyed).collect::<Result<_, _>>()?;
        let book_keys = words(line()?).map(booked).collect::<Result<_, _>>()?;
        let prices = line()?.split(',').map(number).collect::<Result<Vec<i64>, _>>()?;
        let slot = slot(line()?)?;
        let command = line()?;
        if prices.len() != places.len() {
            return Err(broken(&"a price is missing"));
        }
        let id = self.full(short)?;
        let held = HoldState::Held;
        let mut record = HoldRecord {
            id,
            account,
            slot,
            places,
            prices,
            until,
            attempts,
            lock_keys,
            book_keys,
            state: held,
        };
        let mut state = state.split(' ');
        match state.next() {
            Some("h") => {}
            Some("p") => {
                let resend_at = time(state.next().unwrap_or_default())?;
                let shared = state.next() == Some("1");
                let command = Box::new(self.command(&mut record, command)?);
                record.state = HoldState::Paying(HoldPayment { command, resend_at, shared });
            }
            Some("o") => {
                let forget_at = time(state.next().unwrap_or_default())?;
                let bought = state.next().filter(|booking| !booking.is_empty());
                let bought = bought.map(BookingId::parse).transpose();
                let bought = bought.map_err(|error| broken(&error))?;
                record.state = HoldState::Over { bought, forget_at };
            }
            Some(_) | None => return Err(broken(&"a state that is none")),
        }
        Ok(record)
    }

    /// The whole command: as it was written, or made again of the hold and of what only the
    /// moment knew: when, until when, the cap and the token.
    fn command(&self, record: &mut HoldRecord, text: &str) -> Result<PlaceBooking, StoreError> {
        if let Some(json) = text.strip_prefix("j ") {
            return serde_json::from_str(json).map_err(|error| broken(&error));
        }
        let mut words = text.strip_prefix("t ").unwrap_or_default().splitn(4, ' ');
        let mut word = || words.next().ok_or_else(|| broken(&"a command is missing"));
        let (placed_at, deadline) = (time(word()?)?, time(word()?)?);
        let seats_per_account_max = number(word()?)?;
        let token = PaymentToken::parse(word()?).ok_or_else(|| broken(&"no token"))?;
        record.attempts = record.attempts.saturating_sub(1);
        record.begin_payment(self.event, token, placed_at);
        let begun = record.payment().map(|payment| (*payment.command).clone());
        let begun = begun.ok_or_else(|| broken(&"no payment"))?;
        Ok(PlaceBooking { deadline, seats_per_account_max, ..begun })
    }
}

/// A key and the hash of its body.
pub(super) fn key_line(key: &Keyed) -> String {
    format!("{}:{}", hash_text(&key.body_hash), key_text(&key.key))
}

pub(super) fn hash_text(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A key without blanks: what is not visible ASCII is written in percent.
pub(super) fn key_text(key: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if key.bytes().all(plain) && !key.is_empty() {
        return Cow::Borrowed(key);
    }
    let mut text = String::from(if key.is_empty() { "%" } else { "" });
    for byte in key.bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
    }
    Cow::Owned(text)
}

pub(super) fn slot_line(slot: Option<&SlotRef>) -> String {
    slot.map(|slot| format!("{} {}", slot.queue, slot.number)).unwrap_or_default()
}

pub(super) fn prices_line(prices: &[i64]) -> String {
    let prices: Vec<_> = prices.iter().map(i64::to_string).collect();
    prices.join(",")
}

fn slot(line: &str) -> Result<Option<SlotRef>, StoreError> {
    if line.is_empty() {
        return Ok(None);
    }
    let (queue, place) = line.split_once(' ').ok_or_else(|| broken(&"a slot that is none"))?;
    let queue = QueueId::parse(queue).map_err(|error| broken(&error))?;
    Ok(Some(SlotRef { queue, number: number(place)? }))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').filter(|word| !word.is_empty())
}

fn booked(word: &str) -> Result<(Keyed, u32), StoreError> {
    let (attempt, rest) = word.split_once(':').ok_or_else(|| broken(&"a key that is none"))?;
    Ok((keyed(rest)?, number(attempt)?))
}

fn keyed(word: &str) -> Result<Keyed, StoreError> {
    let parts = word.split_once(':').filter(|(hash, _)| hash.len() == 64 && hash.is_ascii());
    let (hash, key) = parts.ok_or_else(|| broken(&"a key that is none"))?;
    let mut body_hash = [0; 32];
    for (byte, digits) in body_hash.iter_mut().zip(hash.as_bytes().chunks(2)) {
        *byte = hex(digits)?;
    }
    Ok(Keyed { key: key_of(key)?, body_hash })
}

pub(super) fn key_of(text: &str) -> Result<String, StoreError> {
    if text == "%" {
        return Ok(String::new());
    }
    let (mut key, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or_else(|| broken(&"half a byte"))?;
            key.push(hex(digits)?);
            rest = after;
        } else {
            key.push(*first);
        }
    }
    String::from_utf8(key).map_err(|error| broken(&error))
}

fn hex(digits: &[u8]) -> Result<u8, StoreError> {
    let digits = std::str::from_utf8(digits).map_err(|error| broken(&error))?;
    u8::from_str_radix(digits, 16).map_err(|error| broken(&error))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| broken(&"a number that is none"))
}

fn time(text: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(number(text)?))
}

pub(super) fn broken(why: &dyn std::fmt::Display) -> StoreError {
    StoreError::broken("reading a hold in Redis", why)
}
