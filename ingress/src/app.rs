//! What every request has at hand: the stages behind, and this node's own bounded resources.
use crate::config::Config;
use crate::event_cache::EventCache;
use crate::limits::Limits;
use crate::passwords::Passwords;
use allocator::SeatAllocator;
use bytes::Bytes;
use ledger::keys::Keyring;
use ledger::{BookingChanges, Books, Clock, IdSource, Views};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waiting_room::WaitingRoom;

/// What the composition root hands to a [`Server`](crate::Server).
pub struct Parts {
    pub room: WaitingRoom,
    pub seats: SeatAllocator,
    pub books: Books,
    pub views: Arc<dyn Views>,
    pub keys: Keyring,
    pub clock: Clock,
    pub ids: IdSource,
    pub config: Config,
    /// Where this node hears that a booking changed. The default hears nothing: long polls then
    /// look by themselves every `long_poll_interval_ms`.
    pub changes: BookingChanges,
}

pub(crate) struct App {
    pub room: WaitingRoom,
    pub seats: SeatAllocator,
    pub books: Books,
    pub views: Arc<dyn Views>,
    pub keys: Keyring,
    pub clock: Clock,
    pub ids: IdSource,
    pub config: Config,
    pub changes: BookingChanges,
    pub limits: Limits,
    pub passwords: Passwords,
    pub event_cache: EventCache,
    /// The OpenAPI document, made once.
    pub openapi: Bytes,
    pub streams: Arc<Semaphore>,
    pub long_polls: Arc<Semaphore>,
    /// Cancelled when the drain begins: whoever only waits for news stops waiting.
    pub draining: CancellationToken,
    /// Requests that change something and whose client went away.
    pub tasks: TaskTracker,
}

impl App {
    pub(crate) fn new(parts: Parts, openapi: Bytes) -> Self {
        let Parts { room, seats, books, views, keys, clock, ids, config, changes } = parts;
        Self {
            limits: Limits::new(&config),
            passwords: Passwords::new(config.password_threads, config.password_queue_max),
            event_cache: EventCache::new(books.events.clone(), config.events_cached_max),
            openapi,
            streams: Arc::new(Semaphore::new(config.streams_max)),
            long_polls: Arc::new(Semaphore::new(config.long_polls_max)),
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
            room,
            seats,
            books,
            views,
            keys,
            clock,
            ids,
            config,
            changes,
        }
    }
}
