//! Reading the answers of scripts: whole numbers and words, in order.
use ledger::books::QueueStep;
use ledger::{Fenced, StoreError, Timestamp};
use redis_client::Value;

/// An answer, read from front to back.
pub(super) struct Reply {
    doing: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    /// Reads the rest of an answer by `read`, unless it says that the copy is lost.
    pub(super) fn read<T>(
        doing: &'static str,
        answer: Value,
        read: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<Fenced<T>, StoreError> {
        let values = match answer {
            Value::Array(values) => values,
            other => {
                return Err(StoreError::broken(doing, format!("the script answered {other:?}")));
            }
        };
        let mut reply = Self { doing, values: values.into_iter() };
        if !reply.yes()? {
            return Ok(Fenced::Lost);
        }
        Ok(Fenced::Is(read(&mut reply)?))
    }

    pub(super) fn whole(&mut self) -> Result<i64, StoreError> {
        match self.values.next() {
            Some(Value::Int(number)) => Ok(number),
            other => Err(self.unexpected(&other)),
        }
    }

    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        let number = self.whole()?;
        u64::try_from(number).map_err(|_| self.unexpected(&number))
    }

    pub(super) fn small(&mut self) -> Result<u32, StoreError> {
        let number = self.whole()?;
        u32::try_from(number).map_err(|_| self.unexpected(&number))
    }

    pub(super) fn yes(&mut self) -> Result<bool, StoreError> {
        Ok(self.whole()? == 1)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.whole().map(Timestamp::from_millis)
    }

    /// A word, by `parse`.
    pub(super) fn word<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let value = self.values.next();
        let word = match &value {
            Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).ok(),
            Some(Value::SimpleString(text)) => Some(text.as_str()),
            _ => None,
        };
        word.and_then(parse).ok_or_else(|| self.unexpected(&value))
    }

    /// A step; one to 0 is none.
    pub(super) fn step(&mut self) -> Result<Option<QueueStep>, StoreError> {
        let step = QueueStep {
            now_serving: self.count()?,
            at: self.time()?,
            granting_millis: self.whole()?,
        };
        Ok((step.now_serving > 0).then_some(step))
    }

    pub(super) fn unexpected(&self, what: &impl std::fmt::Debug) -> StoreError {
        StoreError::broken(self.doing, format!("the script answered {what:?}"))
    }
}
