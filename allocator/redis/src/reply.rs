//! What a script answered, taken apart.
use super::wire::Wire;
use allocator::store::Marked;
use allocator::{HoldRecord, metrics};
use ledger::StoreError;
use redis_client::Value;

/// What a script says when the copy does not bear the mark.
const LOST: i64 = -1;

/// The parts of an answer, first to last.
pub(super) struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    /// Counts what the script freed on the way, which comes last.
    pub(super) fn of(value: Value) -> Result<Marked<Self>, StoreError> {
        match value {
            Value::Int(LOST) => Ok(Marked::Lost),
            Value::Array(mut parts) => {
                let late = parts.pop().ok_or_else(strange)?;
                freed(&text(late)?)?;
                Ok(Marked::Here(Self(parts.into_iter())))
            }
            _ => Err(strange()),
        }
    }

    pub(super) fn whole(&mut self) -> Result<i64, StoreError> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            Some(_) | None => Err(strange()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        text(self.0.next().ok_or_else(strange)?)
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        bytes(self.0.next().ok_or_else(strange)?)
    }

    /// A hold's short id, and its record.
    pub(super) fn record(&mut self, wire: Wire<'_>) -> Result<HoldRecord, StoreError> {
        let (id, raw) = (self.text()?, self.text()?);
        wire.decode(&id, &raw)
    }

    /// A list of the same.
    pub(super) fn records(&mut self, wire: Wire<'_>) -> Result<Vec<HoldRecord>, StoreError> {
        let Some(Value::Array(parts)) = self.0.next() else { return Err(strange()) };
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
    metrics::expired(&late.map_err(|_| strange())?);
    Ok(())
}

pub(super) fn text(value: Value) -> Result<String, StoreError> {
    String::from_utf8(bytes(value)?).map_err(|_| strange())
}

fn bytes(value: Value) -> Result<Vec<u8>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(strange()),
    }
}

pub(super) fn strange() -> StoreError {
    StoreError::broken("asking the seats in Redis", "an answer that none of the scripts gives")
}
