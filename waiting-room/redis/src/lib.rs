//! The distributed backend: a queue's copy on Redis, or on a cluster of them.
//!
//! Each method is one Lua script, which is the pure core over again on the server's clock. The
//! copy's mark is its generation and the server's run id: a server that was restarted, wiped or
//! promoted has lost it, whatever data it has.
mod load;
mod reply;
mod scripts;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use ledger::books::QueueStep;
use ledger::{
    AccountId, AdmissionSource, IdSource, QueueId, QueueSettings, QueueState, StoreError, Timestamp,
};
use redis_client::{Redis, RedisBounds, RedisFailure, Value};
use reply::Reply;
use scripts::{Task, Tasks};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use waiting_room::backend::Image;
use waiting_room::{
    Ask, Change, Grant, Kept, Loaded, Mark, NotYet, Place, QueueStore, Reserve, Reserved,
    Settlement, Snapshot, Taken,
};

/// [`QueueStore`] on Redis. Clones share one connection.
#[derive(Clone)]
pub struct RedisQueueStore(Arc<Inner>);

struct Inner {
    redis: Redis,
    tasks: Tasks,
    /// A call that failed sooner than this was cut off; one that took longer was kept waiting.
    cut_off_within: Duration,
    /// This opening of the store, and how much it has asked: together they name what is asked
    /// again because its answer was lost.
    node: String,
    asked: AtomicU64,
    clock: ScriptClock,
}

/// Where a script gets the time from.
enum ScriptClock {
    Server,
    /// From the caller's mark, for comparing the scripts with the pure core.
    #[cfg(test)]
    Caller,
}

impl RedisQueueStore {
    /// Connects to `redis://[user:password@]host:port[/db]`, or to
    /// `redis-cluster://[user:password@]host:port,host:port`. A server that may evict keys is
    /// refused.
    pub async fn open(
        url: &str,
        bounds: RedisBounds,
        ids: &IdSource,
    ) -> Result<Self, RedisFailure> {
        Self::on(url, bounds, ids, ScriptClock::Server).await
    }

    /// What the scripts count, as the local store has it.
    #[cfg(test)]
    async fn counters(&self, queue: &QueueId) -> Vec<i64> {
        let script = "local l = cmsgpack.unpack(redis.call('GET', KEYS[1]))
            return {l.now, l.given, l.proposed, l.pending, l.rate_units, l.budget_units,
                l.granting_millis, l.outstanding, l.missed_to, l.seen_called, l.seen_answered}";
        let key = &scripts::keys(queue)[0];
        let script = redis_client::Script::new(script);
        let answer = self.0.redis.run("counting", &script, &[key.as_bytes()], &[]).await.unwrap();
        let Value::Array(values) = answer else { panic!("an array was sent") };
        let count = |value| if let Value::Int(n) = value { n } else { panic!("not a number") };
        values.into_iter().map(count).collect()
    }

    /// Forgets a queue, as a wiped store would.
    #[cfg(test)]
    pub(crate) async fn forget(&self, queue: &QueueId) {
        let mut wipe = redis_client::cmd("UNLINK");
        wipe.arg(scripts::keys(queue));
        self.0.redis.ask("wiping a queue", &wipe).await.unwrap();
    }

    async fn on(
        url: &str,
        bounds: RedisBounds,
        ids: &IdSource,
        clock: ScriptClock,
    ) -> Result<Self, RedisFailure> {
        Ok(Self(Arc::new(Inner {
            redis: Redis::open(url, bounds).await?,
            tasks: Tasks::new(),
            cut_off_within: Duration::from_millis(bounds.response_timeout_ms / 2),
            node: format!("{:016x}", ids.random()),
            asked: AtomicU64::new(0),
            clock,
        })))
    }
}

impl Inner {
    fn next_asked(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    /// The time that a script is given; an empty one is the server's.
    fn time(&self, now: Timestamp) -> String {
        match self.clock {
            ScriptClock::Server => {
                let _the_callers = now;
                String::new()
            }
            #[cfg(test)]
            ScriptClock::Caller => now.millis().to_string(),
        }
    }

    async fn ask<T>(
        &self,
        task: &Task,
        mark: Mark<'_>,
        args: impl IntoIterator<Item = String>,
        read: impl FnOnce(&mut Reply) -> Result<T, StoreError>,
    ) -> Result<Kept<T>, StoreError> {
        let mut all = vec![mark.generation.to_string(), self.time(mark.now)];
        all.extend(args);
        Reply::read(task.doing, self.run(task, mark.queue, &all).await?, read)
    }

    /// Runs a script. An answer that was lost with its connection is asked for once more, with
    /// the same arguments: every script may be repeated. A server that keeps us waiting is not
    /// waited for twice.
    async fn run(
        &self,
        task: &Task,
        queue: &QueueId,
        args: &[String],
    ) -> Result<Value, StoreError> {
        let keys = scripts::keys(queue);
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let began = Instant::now();
        let first = self.redis.run(task.doing, &task.script, &keys, &args).await;
        let lost = first.as_ref().is_err_and(StoreError::is_unknown);
        if !lost || began.elapsed() >= self.cut_off_within {
            return first;
        }
        let again = self.redis.run(task.doing, &task.script, &keys, &args).await;
        // Whatever is wrong with the second try, the first may have had its effect.
        again.map_err(|error| StoreError::unknown(task.doing, error))
    }
}

#[async_trait]
impl QueueStore for RedisQueueStore {
    async fn reserve(&self, mark: Mark<'_>, ask: Reserve) -> Result<Kept<Reserved>, StoreError> {
        let (first, last) = ask.lease.unwrap_or((0, 0));
        let args = [ask.count, first, last, u64::from(ask.straight)].map(|n| n.to_string());
        let who = [self.0.node.clone(), self.0.next_asked().to_string()];
        let task = &self.0.tasks.reserve;
        let args = args.into_iter().chain(who);
        self.0.ask(task, mark, args, reserved).await
    }

    async fn propose(&self, mark: Mark<'_>) -> Result<Kept<Option<QueueStep>>, StoreError> {
        let task = &self.0.tasks.propose;
        self.0.ask(task, mark, [], Reply::step).await
    }

    async fn publish(&self, mark: Mark<'_>, step: QueueStep) -> Result<Kept<()>, StoreError> {
        let args = [step.now_serving.to_string()];
        self.0.ask(&self.0.tasks.publish, mark, args, |_| Ok(())).await
    }

    async fn take(&self, mark: Mark<'_>, ask: Ask) -> Result<Kept<Taken>, StoreError> {
        let number = ask.number.map_or_else(String::new, |number| number.to_string());
        let asking = format!("{}:{}", self.0.node, self.0.next_asked());
        let fresh = u8::from(ask.fresh).to_string();
        let args = [ask.account.as_str().to_owned(), number, fresh, asking];
        self.0.ask(&self.0.tasks.take, mark, args, taken).await
    }

    async fn settle(
        &self,
        mark: Mark<'_>,
        number: u64,
        settlement: Settlement,
    ) -> Result<Kept<()>, StoreError> {
        let what = match settlement {
            Settlement::Committed => "committed",
            Settlement::Failed => "failed",
            Settlement::Ended => "ended",
            Settlement::Left => "left",
        };
        let telling = format!("{}:{}", self.0.node, self.0.next_asked());
        let args = [number.to_string(), what.to_owned(), telling];
        self.0.ask(&self.0.tasks.settle, mark, args, |_| Ok(())).await
    }

    async fn look(
        &self,
        mark: Mark<'_>,
        number: Option<u64>,
    ) -> Result<Kept<(Snapshot, Option<Place>)>, StoreError> {
        let args = [number.map_or_else(String::new, |number| number.to_string())];
        let read = |reply: &mut Reply| {
            let snapshot = snapshot(reply)?;
            Ok((snapshot, number.map(|_| place(reply)).transpose()?))
        };
        self.0.ask(&self.0.tasks.look, mark, args, read).await
    }

    async fn configure(
        &self,
        mark: Mark<'_>,
        change: Change,
    ) -> Result<Kept<Timestamp>, StoreError> {
        let Change { settings, revision, recorded } = change;
        let args = [
            revision.to_string(),
            u8::from(recorded).to_string(),
            settings.state.as_str().to_owned(),
            settings.rate_per_minute.to_string(),
            settings.capacity.to_string(),
            settings.claim_window_seconds.to_string(),
            settings.return_seconds.to_string(),
            settings.session_seconds.to_string(),
        ];
        self.0.ask(&self.0.tasks.configure, mark, args, Reply::time).await
    }

    async fn swap_in(&self, loaded: Loaded, now: Timestamp) -> Result<(), StoreError> {
        let image = Image::load(&loaded);
        let mut args = vec![image.generation.to_string(), self.0.time(now)];
        args.extend(load::arguments(&image));
        let task = &self.0.tasks.swap_in;
        let answer = self.0.run(task, &loaded.queue.id, &args).await?;
        Reply::read(task.doing, answer, |_| Ok(())).map(drop)
    }
}

fn reserved(reply: &mut Reply) -> Result<Reserved, StoreError> {
    Ok(Reserved {
        first: reply.count()?,
        count: reply.count()?,
        left: reply.count()?,
        now_serving: reply.count()?,
        step: reply.step()?,
    })
}

fn taken(reply: &mut Reply) -> Result<Taken, StoreError> {
    let refusal = reply.word(|word| match word {
        "granted" => Some(None),
        "waiting" => Some(Some(Taken::NotYet(NotYet::Waiting))),
        "paused" => Some(Some(Taken::NotYet(NotYet::Paused))),
        "full" => Some(Some(Taken::NotYet(NotYet::Full))),
        "rate" => Some(Some(Taken::NotYet(NotYet::Rate))),
        "token_used" => Some(Some(Taken::TokenUsed)),
        "over" => Some(Some(Taken::Over)),
        "closed" => Some(Some(Taken::Closed)),
        "no_numbers" => Some(Some(Taken::NoNumbers)),
        _ => None,
    })?;
    if let Some(refusal) = refusal {
        return Ok(refusal);
    }
    Ok(Taken::Granted(Grant {
        number: reply.count()?,
        account: reply.word(|word| AccountId::parse(word).ok())?,
        at: reply.time()?,
        until: reply.time()?,
        source: reply.word(AdmissionSource::parse)?,
        committed: reply.yes()?,
        step: reply.step()?,
    }))
}

fn snapshot(reply: &mut Reply) -> Result<Snapshot, StoreError> {
    let settings = QueueSettings {
        state: reply.word(QueueState::parse)?,
        rate_per_minute: reply.small()?,
        capacity: reply.small()?,
        claim_window_seconds: reply.small()?,
        return_seconds: reply.small()?,
        session_seconds: reply.small()?,
    };
    Ok(Snapshot {
        settings,
        revision: reply.count()?,
        joined: reply.count()?,
        now_serving: reply.count()?,
        active: reply.count()?,
        left_waiting: reply.yes()?,
        head_age_millis: reply.whole()?,
    })
}

fn place(reply: &mut Reply) -> Result<Place, StoreError> {
    let stands = reply.word(|word| Some(word.to_owned()))?;
    let left_millis = reply.whole()?;
    Ok(match stands.as_str() {
        "waiting" => Place::Waiting,
        "ready" => Place::Ready { left_millis },
        "returning" => Place::Returning { left_millis: (left_millis >= 0).then_some(left_millis) },
        "missed" => Place::Missed,
        "admitted" => Place::Admitted {
            account: reply.word(|word| AccountId::parse(word).ok())?,
            at: reply.time()?,
            until: reply.time()?,
            committed: reply.yes()?,
        },
        "done" => Place::Done,
        _ => return Err(reply.unexpected(&stands)),
    })
}
