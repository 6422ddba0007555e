//! What a script answered, taken apart.
use super::wire::Wire;
use allocator::{HoldRecord, metrics};
use ledger::{Fenced, StoreError};
use redis_client::Value;

/// What a script says when the copy bears another generation.
const LOST: i64 = -1;

/// Reads what a script answered.
pub(super) fn read<T>(
    value: Value,
    how: impl FnOnce(&mut Reply) -> Result<T, StoreError>,
) -> Result<Fenced<T>, StoreError> {
    match Reply::of(value)? {
        Fenced::Is(mut reply) => Ok(Fenced::Is(how(&mut reply)?)),
        Fenced::Lost => Ok(Fenced::Lost),
    }
}

/// The parts of an answer, first to last.
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    /// Counts what the script freed on the way, which comes last.
    fn of(value: Value) -> Result<Fenced<Self>, StoreError> {
        match value {
            Value::Int(LOST) => Ok(Fenced::Lost),
            Value::Array(mut parts) => {
                let late = parts.pop().ok_or_else(unexpected_reply)?;
                freed(&text(late)?)?;
                Ok(Fenced::Is(Self(parts.into_iter())))
            }
            _ => Err(unexpected_reply()),
        }
    }

    pub(super) fn whole(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            Some(_) | None => Err(unexpected_reply()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        text(self.0.next().ok_or_else(unexpected_reply)?)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        bytes(self.0.next().ok_or_else(unexpected_reply)?)
    }

    /// A list of names and values.
    pub(super) fn pairs(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let Some(Value::Array(parts)) = self.0.next() else { return Err(unexpected_reply()) };
        let mut parts = Self(parts.into_iter());
        let mut pairs = Vec::with_capacity(parts.0.len() / 2);
        while parts.0.len() > 0 {
            pairs.push((parts.text()?, parts.text()?));
        }
        Ok(pairs)
    }

    /// A hold's short id, and its record.
    pub(super) fn record(&mut self, wire: Wire<'_>) -> Result<HoldRecord, StoreError> {
        let (id, raw) = (self.text()?, self.text()?);
        wire.decode(&id, &raw)
    }

    /// A list of the same.
    pub(super) fn records(&mut self, wire: Wire<'_>) -> Result<Vec<HoldRecord>, StoreError> {
        let Some(Value::Array(parts)) = self.0.next() else { return Err(unexpected_reply()) };
        let mut parts = Self(parts.into_iter());
        let mut records = Vec::with_capacity(parts.0.len() / 2);
        while parts.0.len() > 0 {
            records.push(parts.record(wire)?);
        }
        Ok(records)
    }
}

/// Milliseconds by which each hold was freed too late.
pub(super) fn freed(late: &str) -> Result<(), StoreError> {
    let late: Result<Vec<i64>, _> = late.split_ascii_whitespace().map(str::parse).collect();
    metrics::expired(&late.map_err(|_| unexpected_reply())?);
    Ok(())
}

pub(super) fn text(value: Value) -> Result<String, StoreError> {
    String::from_utf8(bytes(value)?).map_err(|_| unexpected_reply())
}

fn bytes(value: Value) -> Result<Vec<u8>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(unexpected_reply()),
    }
}

pub(super) fn unexpected_reply() -> StoreError {
    StoreError::broken("asking the seats in Redis", "an answer that none of the scripts gives")
}
