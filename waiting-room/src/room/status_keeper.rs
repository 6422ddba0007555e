//! What one node shows of a queue: kept fresh while somebody watches, the same for everyone.
use super::queue_copy::QueueCopy;
use crate::outlook::{Pace, poll_table};
use crate::queue_status::Notice;
use crate::standing::StandingInputs;
use crate::store::{PlaceStatus, QueueSnapshot};
use crate::{Error, Parts, Pressure, Pressures, QueueStatus, QueueToken, Standing};
use ledger::{Queue, Timestamp, read_lock, write_lock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A queue is watched for so long after somebody asked for it.
const WATCHED: Duration = Duration::from_secs(5);

/// How the status of a queue is shown.
struct Shown {
    interval_ms: u64,
    idle_ms: u64,
    poll: Vec<(Option<u64>, u64)>,
    message: String,
}

/// The status of one queue on one node.
pub(crate) struct StatusKeeper {
    copy: Arc<QueueCopy>,
    pressure: watch::Receiver<Pressures>,
    shown: Shown,
    seen: RwLock<Arc<Seen>>,
    version: watch::Sender<u64>,
    /// Rung when the status is out of date.
    touched: Arc<Notify>,
    /// Somebody gave up a place since the queue was looked at: what is seen does not know of it.
    left: AtomicBool,
    /// Somebody asked for the queue since its keeper looked.
    asked: AtomicBool,
    /// Nobody has asked for it for a while: what is seen may be older.
    idle: AtomicBool,
}

/// The queue as this node last saw it.
pub(crate) struct Seen {
    pub(crate) status: Arc<QueueStatus>,
    pub(crate) snapshot: QueueSnapshot,
    notice: Notice,
    as_of: Timestamp,
}

impl StatusKeeper {
    /// The status of a queue whose copy nobody has looked at yet.
    pub(super) fn new(parts: &Parts, copy: Arc<QueueCopy>, queue: &Queue) -> Self {
        let config = &parts.config;
        let shown = Shown {
            interval_ms: config.board_interval_ms,
            idle_ms: config.board_idle_ms,
            poll: config.poll.clone(),
            message: config.message.clone(),
        };
        let snapshot = QueueSnapshot::empty(queue.settings, queue.revision);
        let pressure = parts.pressure.borrow().get(copy.id()).copied();
        let seen = shown.seen(&copy, snapshot, pressure, copy.now());
        Self {
            copy,
            pressure: parts.pressure.clone(),
            shown,
            seen: RwLock::new(Arc::new(seen)),
            version: watch::Sender::new(0),
            touched: Arc::default(),
            left: AtomicBool::new(false),
            asked: AtomicBool::new(true),
            idle: AtomicBool::new(false),
        }
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        read_lock(&self.seen).clone()
    }

    /// The status, unless it has to be looked at first because nobody has asked for a while.
    pub(super) fn fresh(&self) -> Option<Arc<QueueStatus>> {
        if self.idle.load(Ordering::Acquire) {
            return None;
        }
        self.mark_asked();
        Some(read_lock(&self.seen).status.clone())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Says that the status is out of date.
    pub(super) fn touch(&self) {
        self.touched.notify_one();
    }

    /// True when nobody watches and nobody waits, as far as this node knows.
    pub(crate) fn is_idle(&self) -> bool {
        let snapshot = self.seen().snapshot;
        self.idle.load(Ordering::Acquire) && snapshot.joined <= snapshot.now_serving
    }

    /// Nothing is left to sell.
    pub(super) fn is_sold_out(&self) -> bool {
        self.pressure().is_some_and(|pressure| pressure.sold_out)
    }

    /// The stages behind are overloaded.
    pub(super) fn is_slow(&self) -> bool {
        self.pressure().is_some_and(|pressure| pressure.slow)
    }

    fn pressure(&self) -> Option<Pressure> {
        self.pressure.borrow().get(self.copy.id()).copied()
    }

    /// Somebody asks for the queue. A crowd only reads what is true already.
    fn mark_asked(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    /// Somebody wants to know how the queue is: what nobody has watched is looked at first, and
    /// from now on as often as it takes.
    pub(super) async fn watch(&self) {
        self.mark_asked();
        if self.idle.load(Ordering::Acquire) && self.idle.swap(false, Ordering::AcqRel) {
            self.touch();
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, queue.id = %self.copy.id(), "an old status is shown");
            }
        }
    }

    /// Where a place stands; the copy is asked only for those who were called or may have left.
    pub(super) async fn standing(&self, token: &QueueToken) -> Result<Standing, Error> {
        self.watch().await;
        let seen = self.seen();
        let somebody_left = seen.snapshot.left_waiting > 0 || self.left.load(Ordering::Acquire);
        let asked = token.number.filter(|n| *n <= self.copy.served() || somebody_left);
        let Some(number) = asked else {
            return Ok(self.standing_at(
                &seen.snapshot,
                token,
                &PlaceStatus::Waiting,
                self.copy.now(),
            ));
        };
        self.standing_of(token, number).await
    }

    /// Where a place stands by the copy itself, whatever this node has seen: another one may have
    /// been told just now that somebody gives it up.
    pub(super) async fn standing_for_certain(&self, token: &QueueToken) -> Result<Standing, Error> {
        match token.number {
            Some(number) => self.standing_of(token, number).await,
            None => self.standing(token).await,
        }
    }

    async fn standing_of(&self, token: &QueueToken, number: u64) -> Result<Standing, Error> {
        let (_, looked) = self.copy.call(|store, at| store.look(at, Some(number))).await?;
        let (snapshot, place) = looked;
        self.copy.serve(snapshot.now_serving);
        let place = place.unwrap_or(PlaceStatus::Waiting);
        let snapshot = QueueSnapshot { ends: self.seen().snapshot.ends, ..snapshot };
        Ok(self.standing_at(&snapshot, token, &place, self.copy.now()))
    }

    /// Somebody gave up a place.
    pub(super) fn note_left(&self) {
        self.left.store(true, Ordering::Release);
        self.touch();
    }

    pub(super) fn standing_at(
        &self,
        snapshot: &QueueSnapshot,
        token: &QueueToken,
        place: &PlaceStatus,
        now: Timestamp,
    ) -> Standing {
        let now_serving = snapshot.now_serving.max(self.copy.served());
        let inputs = StandingInputs {
            snapshot: QueueSnapshot { now_serving, ..*snapshot },
            opens_at: self.copy.opens_at(),
            sold_out: self.is_sold_out(),
            slow: self.is_slow(),
            poll: &self.shown.poll,
            now,
        };
        inputs.standing(token.entry, token.number, place)
    }

    /// Looks at the queue and shows what changed.
    pub(super) async fn refresh(&self) -> Result<(), Error> {
        // Whoever leaves from here on is perhaps not in what is found.
        let left = self.left.swap(false, Ordering::AcqRel);
        let looked = self.copy.call(|store, at| store.look(at, None)).await;
        let (_, (snapshot, _)) = looked.inspect_err(|_| {
            self.left.fetch_or(left, Ordering::AcqRel);
        })?;
        self.copy.serve(snapshot.now_serving);
        self.show(snapshot);
        Ok(())
    }

    /// Shows what a look found. Looks may end in another order than they began, and this node may
    /// have told somebody of a later step: `now_serving` never falls.
    fn show(&self, snapshot: QueueSnapshot) {
        let now = self.copy.now();
        let pressure = self.pressure();
        let mut seen = write_lock(&self.seen);
        let now_serving = snapshot.now_serving.max(self.copy.served());
        let snapshot = QueueSnapshot { now_serving, ..snapshot };
        let changed = seen.notice != Notice::new(&snapshot, self.copy.opens_at(), pressure);
        if changed || seen.snapshot != snapshot || Notice::is_old(seen.as_of, now) {
            *seen = Arc::new(self.shown.seen(&self.copy, snapshot, pressure, now));
        }
        drop(seen);
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }

    /// Notes whether somebody watches, and says how long the status may stay as it is.
    fn pause(&self, asked_at: &mut Instant) -> Duration {
        if self.asked.swap(false, Ordering::Relaxed) || self.version.receiver_count() > 0 {
            *asked_at = Instant::now();
        }
        let watched = asked_at.elapsed() < WATCHED;
        self.idle.store(!watched, Ordering::Release);
        Duration::from_millis(if watched { self.shown.interval_ms } else { self.shown.idle_ms })
    }
}

impl Shown {
    fn seen(
        &self,
        copy: &QueueCopy,
        snapshot: QueueSnapshot,
        pressure: Option<Pressure>,
        as_of: Timestamp,
    ) -> Seen {
        let notice = Notice::new(&snapshot, copy.opens_at(), pressure);
        let window = u64::from(snapshot.settings.claim_window_seconds) * 1_000;
        let pace = Pace::of(&snapshot, copy.opens_at(), as_of);
        let poll = poll_table(&self.poll, pace.as_ref(), window);
        let status = notice.status(copy.id(), &poll, &self.message, as_of);
        Seen { status: Arc::new(status), snapshot, notice, as_of }
    }
}

#[cfg(test)]
impl StatusKeeper {
    /// A look that ends after others that began later.
    pub(super) fn show_late(&self, snapshot: QueueSnapshot) {
        self.show(snapshot);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn forget_asked(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_idle(&self) {
        self.idle.store(true, Ordering::Release);
    }
}

/// Keeps the status fresh until the waiting room is gone.
pub(super) async fn keep_fresh(keeper: Weak<StatusKeeper>) {
    let mut asked_at = Instant::now();
    loop {
        let Some(status) = keeper.upgrade() else { return };
        let pause = status.pause(&mut asked_at);
        let least = Duration::from_millis(status.shown.interval_ms).min(pause) / 2;
        let touched = status.touched.clone();
        drop(status);
        // Looks are at least half an interval apart, and as soon as can be when it is rung.
        tokio::time::sleep(least).await;
        // Elapsed or rung: either way it is time to look.
        let _ = tokio::time::timeout(pause.saturating_sub(least), touched.notified()).await;
        let Some(status) = keeper.upgrade() else { return };
        if let Err(error) = status.refresh().await {
            tracing::debug!(%error, queue.id = %status.copy.id(), "the status is not refreshed");
        }
    }
}
