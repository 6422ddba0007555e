//! A hold as a row of JSON, as journals and seat stores keep it; apart from the record itself.
use crate::Keyed;
use crate::record::{HoldPayment, HoldRecord, HoldState};
use ledger::{AccountId, BookingId, HoldId, PlaceBooking, SlotRef, StoreError, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
struct RowV1<'a> {
    v: u32,
    id: Cow<'a, HoldId>,
    account: Cow<'a, AccountId>,
    slot: Option<Cow<'a, SlotRef>>,
    places: Cow<'a, [u32]>,
    prices: Cow<'a, [i64]>,
    until: Timestamp,
    attempts: u32,
    keys: Vec<KeyV1<'a>>,
    books: Vec<(KeyV1<'a>, u32)>,
    state: StateV1<'a>,
}

/// The hash as four numbers: half as long as thirty-two of them.
#[derive(Serialize, Deserialize)]
struct KeyV1<'a>(Cow<'a, str>, [u64; 4]);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateV1<'a> {
    Held,
    Paying { command: Cow<'a, PlaceBooking>, resend_at: Timestamp, shared: bool },
    Over { bought: Option<Cow<'a, BookingId>>, forget_at: Timestamp },
}

const VERSION: u32 = 1;

impl HoldRecord {
    pub fn to_row(&self) -> String {
        let row = RowV1 {
            v: VERSION,
            id: Cow::Borrowed(&self.id),
            account: Cow::Borrowed(&self.account),
            slot: self.slot.as_ref().map(Cow::Borrowed),
            places: Cow::Borrowed(&self.places),
            prices: Cow::Borrowed(&self.prices),
            until: self.until,
            attempts: self.attempts,
            keys: self.lock_keys.iter().map(KeyV1::of).collect(),
            books: self.book_keys.iter().map(|(key, made)| (KeyV1::of(key), *made)).collect(),
            state: match &self.state {
                HoldState::Held => StateV1::Held,
                HoldState::Paying(payment) => StateV1::Paying {
                    command: Cow::Borrowed(&*payment.command),
                    resend_at: payment.resend_at,
                    shared: payment.shared,
                },
                HoldState::Over { bought, forget_at } => StateV1::Over {
                    bought: bought.as_ref().map(Cow::Borrowed),
                    forget_at: *forget_at,
                },
            },
        };
        serde_json::to_string(&row).expect("a row has string keys and whole numbers only")
    }

    pub fn from_row(row: &str) -> Result<Self, StoreError> {
        let broken = |why: &dyn std::fmt::Display| StoreError::broken("reading a hold", why);
        let row: RowV1<'_> = serde_json::from_str(row).map_err(|error| broken(&error))?;
        if row.v != VERSION {
            return Err(broken(&format_args!("row version {} is not known", row.v)));
        }
        if row.places.len() != row.prices.len() {
            return Err(broken(&"a price is missing"));
        }
        Ok(Self {
            id: row.id.into_owned(),
            account: row.account.into_owned(),
            slot: row.slot.map(Cow::into_owned),
            places: row.places.into_owned(),
            prices: row.prices.into_owned(),
            until: row.until,
            attempts: row.attempts,
            lock_keys: row.keys.into_iter().map(KeyV1::into_keyed).collect(),
            book_keys: row.books.into_iter().map(|(key, at)| (key.into_keyed(), at)).collect(),
            state: match row.state {
                StateV1::Held => HoldState::Held,
                StateV1::Paying { command, resend_at, shared } => HoldState::Paying(HoldPayment {
                    command: Box::new(command.into_owned()),
                    resend_at,
                    shared,
                }),
                StateV1::Over { bought, forget_at } => {
                    HoldState::Over { bought: bought.map(Cow::into_owned), forget_at }
                }
            },
        })
    }
}

impl<'a> KeyV1<'a> {
    fn of(keyed: &'a Keyed) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(keyed.body_hash.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self(Cow::Borrowed(&keyed.key), words)
    }

    fn into_keyed(self) -> Keyed {
        let mut body_hash = [0; 32];
        for (bytes, word) in body_hash.as_chunks_mut().0.iter_mut().zip(self.1) {
            *bytes = word.to_be_bytes();
        }
        Keyed { key: self.0.into_owned(), body_hash }
    }
}
