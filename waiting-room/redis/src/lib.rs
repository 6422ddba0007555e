//! The distributed backend: a queue's copy on Redis, or on a cluster of them.
//!
//! Each method is one Lua script, which is the pure core over again on the server's clock. The
//! copy is fenced by its generation and the server's run id: a server that was restarted, wiped or
//! promoted has lost it, whatever data it has.
mod load;
mod reply;
mod scripts;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use ledger::books::QueueStep;
use ledger::{
    AccountId, AdmissionSource, Fenced, IdSource, QueueId, QueueSettings, QueueState, StoreError,
    Timestamp,
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
    ClaimOutcome, CopyRef, ENDS_SHOWN, Grant, NotYet, PlaceStatus, QueueLoad, QueueSnapshot,
    QueueStore, Reserve, Reserved, SettingsChange, SlotAnswer, SlotRequest,
};

/// [`QueueStore`] on Redis. Clones share one connection.
#[derive(Clone)]
pub struct RedisQueueStore(Arc<Inner>);

struct Inner {
    redis: Redis,
    tasks: Tasks,
    /// A call that failed sooner than this was cut off; one that took longer was kept waiting.
    cut_off_within: Duration,
    /// This opening of the store, and how many requests it made: together they name what is asked
    /// again because its answer was lost.
    node: String,
    requests: AtomicU64,
    clock: ScriptClock,
}

/// Where a script gets the time from.
enum ScriptClock {
    Server,
    /// The caller's, for comparing the scripts with the pure core.
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
        self.0.redis.call("wiping a queue", &wipe).await.unwrap();
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
            requests: AtomicU64::new(0),
            clock,
        })))
    }
}

impl Inner {
    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
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

    async fn call<T>(
        &self,
        task: &Task,
        copy: CopyRef<'_>,
        args: impl IntoIterator<Item = String>,
        read: impl FnOnce(&mut Reply) -> Result<T, StoreError>,
    ) -> Result<Fenced<T>, StoreError> {
        let mut all = vec![copy.generation.to_string(), self.time(copy.now)];
        all.extend(args);
        Reply::read(task.doing, self.run(task, copy.queue, &all).await?, read)
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
    async fn reserve(
        &self,
        copy: CopyRef<'_>,
        request: Reserve,
    ) -> Result<Fenced<Reserved>, StoreError> {
        let (first, last) = request.lease.unwrap_or((0, 0));
        let args = [request.count, first, last, u64::from(request.straight)].map(|n| n.to_string());
        let who = [self.0.node.clone(), self.0.next_request().to_string()];
        let task = &self.0.tasks.reserve;
        let args = args.into_iter().chain(who);
        self.0.call(task, copy, args, reserved).await
    }

    async fn propose(&self, copy: CopyRef<'_>) -> Result<Fenced<Option<QueueStep>>, StoreError> {
        let task = &self.0.tasks.propose;
        self.0.call(task, copy, [], Reply::step).await
    }

    async fn publish(&self, copy: CopyRef<'_>, step: QueueStep) -> Result<Fenced<()>, StoreError> {
        let args = [step.now_serving.to_string()];
        self.0.call(&self.0.tasks.publish, copy, args, |_| Ok(())).await
    }

    async fn take(
        &self,
        copy: CopyRef<'_>,
        request: SlotRequest,
    ) -> Result<Fenced<SlotAnswer>, StoreError> {
        let number = request.number.map_or_else(String::new, |number| number.to_string());
        let id = format!("{}:{}", self.0.node, self.0.next_request());
        let fresh = u8::from(request.fresh).to_string();
        let args = [request.account.as_str().to_owned(), number, fresh, id];
        self.0.call(&self.0.tasks.take, copy, args, taken).await
    }

    async fn settle(
        &self,
        copy: CopyRef<'_>,
        number: u64,
        outcome: ClaimOutcome,
    ) -> Result<Fenced<()>, StoreError> {
        let what = match outcome {
            ClaimOutcome::Committed => "committed",
            ClaimOutcome::Failed => "failed",
            ClaimOutcome::Ended => "ended",
            ClaimOutcome::Left => "left",
        };
        let report = format!("{}:{}", self.0.node, self.0.next_request());
        let args = [number.to_string(), what.to_owned(), report];
        self.0.call(&self.0.tasks.settle, copy, args, |_| Ok(())).await
    }

    async fn look(
        &self,
        copy: CopyRef<'_>,
        number: Option<u64>,
    ) -> Result<Fenced<(QueueSnapshot, Option<PlaceStatus>)>, StoreError> {
        let args = [number.map_or_else(String::new, |number| number.to_string())];
        let read = |reply: &mut Reply| {
            let snapshot = snapshot(reply)?;
            Ok((snapshot, number.map(|_| place(reply)).transpose()?))
        };
        self.0.call(&self.0.tasks.look, copy, args, read).await
    }

    async fn configure(
        &self,
        copy: CopyRef<'_>,
        change: SettingsChange,
    ) -> Result<Fenced<Timestamp>, StoreError> {
        let SettingsChange { settings, revision, recorded } = change;
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
        self.0.call(&self.0.tasks.configure, copy, args, Reply::time).await
    }

    async fn swap_in(&self, loaded: QueueLoad, now: Timestamp) -> Result<(), StoreError> {
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

fn taken(reply: &mut Reply) -> Result<SlotAnswer, StoreError> {
    let refusal = reply.word(|word| match word {
        "granted" => Some(None),
        "waiting" => Some(Some(NotYet::Waiting.into())),
        "paused" => Some(Some(NotYet::Paused.into())),
        "full" => Some(Some(NotYet::Full.into())),
        "rate" => Some(Some(NotYet::Rate.into())),
        "token_used" => Some(Some(SlotAnswer::TokenUsed)),
        "over" => Some(Some(SlotAnswer::Over)),
        "closed" => Some(Some(SlotAnswer::Closed)),
        "no_numbers" => Some(Some(SlotAnswer::NoNumbers)),
        _ => None,
    })?;
    match refusal {
        None => {}
        Some(SlotAnswer::NotYet { why, .. }) => {
            let after = reply.whole()?;
            return Ok(SlotAnswer::NotYet { why, ask_after_millis: (after > 0).then_some(after) });
        }
        Some(refusal) => return Ok(refusal),
    }
    Ok(SlotAnswer::Granted(Grant {
        number: reply.count()?,
        account: reply.word(|word| AccountId::parse(word).ok())?,
        at: reply.time()?,
        until: reply.time()?,
        source: reply.word(AdmissionSource::parse)?,
        committed: reply.yes()?,
        step: reply.step()?,
    }))
}

fn snapshot(reply: &mut Reply) -> Result<QueueSnapshot, StoreError> {
    let settings = QueueSettings {
        state: reply.word(QueueState::parse)?,
        rate_per_minute: reply.small()?,
        capacity: reply.small()?,
        claim_window_seconds: reply.small()?,
        return_seconds: reply.small()?,
        session_seconds: reply.small()?,
    };
    Ok(QueueSnapshot {
        settings,
        revision: reply.count()?,
        joined: reply.count()?,
        now_serving: reply.count()?,
        active: reply.count()?,
        called: reply.count()?,
        showing_permille: reply.count()?,
        left_waiting: reply.count()?,
        left_ahead: reply.count()?,
        early_ends: reply.count()?,
        slot_millis: reply.count()?,
        ends: {
            let mut ends = [Timestamp::default(); ENDS_SHOWN];
            for end in &mut ends {
                *end = reply.time()?;
            }
            ends
        },
        head_age_millis: reply.whole()?,
    })
}

fn place(reply: &mut Reply) -> Result<PlaceStatus, StoreError> {
    let stands = reply.word(|word| Some(word.to_owned()))?;
    let left_millis = reply.whole()?;
    Ok(match stands.as_str() {
        "waiting" => PlaceStatus::Waiting,
        "ready" => PlaceStatus::Ready { left_millis },
        "returning" => {
            PlaceStatus::Returning { left_millis: (left_millis >= 0).then_some(left_millis) }
        }
        "missed" => PlaceStatus::Missed,
        "admitted" => PlaceStatus::Admitted {
            account: reply.word(|word| AccountId::parse(word).ok())?,
            at: reply.time()?,
            until: reply.time()?,
            committed: reply.yes()?,
        },
        "done" => PlaceStatus::Done,
        _ => return Err(reply.unexpected(&stands)),
    })
}
