//! A desk: what one node knows of one queue, and how it talks to the queue's copy.
use super::Inner;
use super::admitting::Admitting;
use super::joins::Joins;
use super::leases::Demand;
use crate::board::Notice;
use crate::standing::Sight;
use crate::store::{Kept, Mark, Place, Snapshot};
use crate::{Board, Error, QueueToken, Standing};
use ledger::{QueueId, StoreError, Timestamp};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// A queue is watched for so long after somebody asked for it.
const WATCHED: Duration = Duration::from_secs(5);
/// How long somebody waits while another one opens a queue.
const OPENED_WITHIN: Duration = Duration::from_secs(1);
/// How often a call is tried on a copy that keeps getting lost.
const TRIES: usize = 3;

/// One queue on one node.
pub(crate) struct Desk {
    pub(crate) id: QueueId,
    /// The generation this node believes in; 0 before the first touch.
    generation: AtomicU64,
    /// The greatest step this node knows to be published.
    served: AtomicU64,
    opens_at: AtomicI64,
    pub(super) recovering: tokio::sync::Mutex<()>,
    /// Settings change one at a time.
    pub(super) configuring: tokio::sync::Mutex<()>,
    /// The last generation that this node raised, and the last that another one raised and has
    /// not loaded yet, with since when this node waits for it.
    pub(super) raised: AtomicU64,
    pub(super) awaited: Mutex<Option<(u64, Instant)>>,
    /// A revision that the store has and `Books` have not, and since when this node knows.
    pub(super) announced: Mutex<Option<(u64, Instant)>>,
    seen: RwLock<Arc<Seen>>,
    version: watch::Sender<u64>,
    /// Rung when the board is out of date.
    pub(super) touched: Notify,
    /// Somebody asked for the queue since its keeper looked.
    pub(super) asked: AtomicBool,
    /// Nobody has asked for it for a while: what is seen may be older.
    pub(super) idle: AtomicBool,
    pub(super) joins: Joins,
    pub(super) admitting: Admitting,
    pub(super) demand: Demand,
    /// Leases are taken one at a time.
    pub(super) leasing: tokio::sync::Mutex<()>,
    /// The pacer commits a step.
    pub(crate) stepping: AtomicBool,
}

/// The queue as this node last saw it.
pub(crate) struct Seen {
    pub(crate) board: Arc<Board>,
    pub(crate) snapshot: Snapshot,
    notice: Notice,
    as_of: Timestamp,
}

pub(super) type Answer<'a, T> =
    Pin<Box<dyn Future<Output = Result<Kept<T>, StoreError>> + Send + 'a>>;

impl Desk {
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn adopt(&self, generation: u64) {
        self.generation.store(generation, Ordering::Release);
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Acquire)
    }

    pub(super) fn serve(&self, now_serving: u64) {
        self.served.fetch_max(now_serving, Ordering::AcqRel);
    }

    pub(super) fn set_opens_at(&self, opens_at: Timestamp) {
        self.opens_at.store(opens_at.millis(), Ordering::Release);
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.seen.read().expect("no panic while the lock is held").clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// True when nobody watches and nobody waits, as far as this node knows.
    pub(crate) fn is_idle(&self) -> bool {
        let snapshot = self.seen().snapshot;
        self.idle.load(Ordering::Acquire) && snapshot.joined <= snapshot.now_serving
    }

    /// Somebody asks for the queue. A crowd only reads what is true already.
    fn mark_asked(&self) {
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
    }

    fn opens_at(&self) -> Timestamp {
        Timestamp::from_millis(self.opens_at.load(Ordering::Acquire))
    }
}

impl Inner {
    pub(crate) fn desks(&self) -> Vec<Arc<Desk>> {
        self.desks.read().expect("no panic while the lock is held").values().cloned().collect()
    }

    /// The desk of a queue that must exist: somebody holds a token or a slot of it.
    pub(super) async fn known_desk(self: &Arc<Self>, queue: &QueueId) -> Result<Arc<Desk>, Error> {
        let missing = || StoreError::broken("finding a queue", "there is no such queue").into();
        self.desk(queue).await?.ok_or_else(missing)
    }

    /// The desk of a queue, opened at its first touch; `None` when there is no such queue.
    pub(crate) async fn desk(
        self: &Arc<Self>,
        queue: &QueueId,
    ) -> Result<Option<Arc<Desk>>, Error> {
        if let Some(desk) = self.open_desk(queue) {
            return Ok(Some(desk));
        }
        // Rare, and far larger than what everyone else waits in.
        Box::pin(self.open(queue)).await
    }

    async fn open(self: &Arc<Self>, queue: &QueueId) -> Result<Option<Arc<Desk>>, Error> {
        // Those who wait for one that takes long are answered like those who wait for a recovery.
        let turn = tokio::time::timeout(OPENED_WITHIN, self.opening.lock()).await;
        let Ok(_turn) = turn else { return Err(Error::Recovering) };
        if let Some(desk) = self.open_desk(queue) {
            return Ok(Some(desk));
        }
        let Some(found) = self.events.queue(queue).await? else { return Ok(None) };
        let snapshot = Snapshot {
            settings: found.settings,
            revision: found.revision,
            joined: 0,
            now_serving: 0,
            active: 0,
            left_waiting: false,
            head_age_millis: 0,
        };
        let now = self.clock.now();
        let seen = self.seen_at(&found.id, snapshot, found.opens_at, now);
        let desk = Arc::new(Desk {
            id: found.id,
            generation: AtomicU64::new(0),
            served: AtomicU64::new(0),
            opens_at: AtomicI64::new(found.opens_at.millis()),
            recovering: tokio::sync::Mutex::default(),
            configuring: tokio::sync::Mutex::default(),
            raised: AtomicU64::new(0),
            awaited: Mutex::default(),
            announced: Mutex::default(),
            seen: RwLock::new(Arc::new(seen)),
            version: watch::Sender::new(0),
            touched: Notify::new(),
            asked: AtomicBool::new(true),
            idle: AtomicBool::new(false),
            joins: Joins::default(),
            admitting: Admitting::default(),
            demand: Demand::default(),
            leasing: tokio::sync::Mutex::default(),
            stepping: AtomicBool::new(false),
        });
        self.recover(&desk, 0).await?;
        self.refresh(&desk).await?;
        let mut desks = self.desks.write().expect("no panic while the lock is held");
        desks.insert(desk.id.clone(), desk.clone());
        self.boards.spawn(keep_board(Arc::downgrade(self), desk.clone()));
        Ok(Some(desk))
    }

    /// Somebody wants to know how the queue is: what nobody has watched is looked at first, and
    /// from now on as often as it takes.
    pub(super) async fn watch(&self, desk: &Desk) {
        desk.mark_asked();
        if desk.idle.load(Ordering::Acquire) && desk.idle.swap(false, Ordering::AcqRel) {
            desk.touched.notify_one();
            if let Err(error) = self.refresh(desk).await {
                tracing::debug!(%error, queue.id = %desk.id, "an old board is shown");
            }
        }
    }

    fn open_desk(&self, queue: &QueueId) -> Option<Arc<Desk>> {
        self.desks.read().expect("no panic while the lock is held").get(queue).cloned()
    }

    /// The board, unless it has to be looked at first because nobody has asked for a while.
    pub(super) fn board_now(&self, queue: &str) -> Option<Arc<Board>> {
        let desks = self.desks.read().expect("no panic while the lock is held");
        let desk = desks.get(queue)?;
        if desk.idle.load(Ordering::Acquire) {
            return None;
        }
        desk.mark_asked();
        let seen = desk.seen.read().expect("no panic while the lock is held");
        Some(seen.board.clone())
    }

    /// Asks the queue's copy, recovering it when it is lost. Also says which generation answered:
    /// what follows in `Books` is under that one.
    pub(super) async fn ask<'a, T>(
        &'a self,
        desk: &'a Desk,
        call: impl Fn(Mark<'a>) -> Answer<'a, T>,
    ) -> Result<(u64, T), Error> {
        for _ in 0..TRIES {
            let generation = desk.generation();
            let mark = Mark { queue: &desk.id, generation, now: self.clock.now() };
            match call(mark).await? {
                Kept::Is(value) => return Ok((generation, value)),
                Kept::Lost => Box::pin(self.recover(desk, generation)).await?,
            }
        }
        Err(Error::Recovering)
    }

    /// Where a place stands; the copy is asked only for those who were called or may have left.
    pub(super) async fn standing(
        &self,
        desk: &Desk,
        token: &QueueToken,
    ) -> Result<Standing, Error> {
        self.watch(desk).await;
        let seen = desk.seen();
        let asked = token.number.filter(|n| *n <= desk.served() || seen.snapshot.left_waiting);
        let Some(number) = asked else {
            return Ok(self.tell(desk, &seen.snapshot, token, &Place::Waiting, self.clock.now()));
        };
        let (_, looked) = self.ask(desk, |mark| self.store.look(mark, Some(number))).await?;
        let (snapshot, place) = looked;
        desk.serve(snapshot.now_serving);
        let place = place.unwrap_or(Place::Waiting);
        Ok(self.tell(desk, &snapshot, token, &place, self.clock.now()))
    }

    pub(super) fn tell(
        &self,
        desk: &Desk,
        snapshot: &Snapshot,
        token: &QueueToken,
        place: &Place,
        now: Timestamp,
    ) -> Standing {
        let sight = Sight {
            settings: snapshot.settings,
            opens_at: desk.opens_at(),
            now_serving: snapshot.now_serving.max(desk.served()),
            active: snapshot.active,
            sold_out: self.is_sold_out(&desk.id),
            poll: &self.config.poll,
            now,
        };
        sight.standing(token.entry, token.number, place)
    }

    /// Looks at the queue and shows what changed.
    pub(super) async fn refresh(&self, desk: &Desk) -> Result<(), Error> {
        let (_, (snapshot, _)) = self.ask(desk, |mark| self.store.look(mark, None)).await?;
        desk.serve(snapshot.now_serving);
        let now = self.clock.now();
        let seen = desk.seen();
        let pressure = self.pressure(&desk.id);
        let changed = seen.notice != Notice::new(&snapshot, desk.opens_at(), pressure);
        if changed || seen.snapshot != snapshot || Notice::is_old(seen.as_of, now) {
            let new = self.seen_at(&desk.id, snapshot, desk.opens_at(), now);
            *desk.seen.write().expect("no panic while the lock is held") = Arc::new(new);
        }
        if changed {
            desk.version.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    fn seen_at(
        &self,
        queue: &QueueId,
        snapshot: Snapshot,
        opens_at: Timestamp,
        as_of: Timestamp,
    ) -> Seen {
        let notice = Notice::new(&snapshot, opens_at, self.pressure(queue));
        let board = notice.board(queue, &self.config.poll, &self.config.message, as_of);
        Seen { board: Arc::new(board), snapshot, notice, as_of }
    }
}

/// Keeps a board fresh until the waiting room is gone.
async fn keep_board(room: Weak<Inner>, desk: Arc<Desk>) {
    let mut asked_at = Instant::now();
    loop {
        let Some(config) = room.upgrade().map(|room| room.config.clone()) else { return };
        if desk.asked.swap(false, Ordering::Relaxed) || desk.version.receiver_count() > 0 {
            asked_at = Instant::now();
        }
        let watched = asked_at.elapsed() < WATCHED;
        desk.idle.store(!watched, Ordering::Release);
        let pause = if watched { config.board_interval_ms } else { config.board_idle_ms };
        // Boards are at least half an interval apart, and as fresh as can be when it is rung.
        let least = Duration::from_millis(config.board_interval_ms.min(pause) / 2);
        tokio::time::sleep(least).await;
        let rest = Duration::from_millis(pause).saturating_sub(least);
        // Elapsed or rung: either way it is time to look.
        let _ = tokio::time::timeout(rest, desk.touched.notified()).await;
        let Some(room) = room.upgrade() else { return };
        if let Err(error) = room.refresh(&desk).await {
            tracing::debug!(%error, queue.id = %desk.id, "the board cannot be refreshed");
        }
    }
}
