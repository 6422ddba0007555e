//! The stages' handles, wired to the stores and to what they may know of each other.
use super::Node;
use crate::config::Configuration;
use allocator::SeatAllocator;
use ledger::Projector;
use tokio::sync::watch;
use waiting_room::{Pressures, WaitingRoom};

pub(super) struct Stages {
    pub(super) room: WaitingRoom,
    pub(super) seats: SeatAllocator,
    /// Runs where the ledger's role does; everywhere else its changes are never told, and long
    /// polls look by themselves.
    pub(super) projector: Projector,
}

impl Stages {
    pub(super) fn new(
        node: &Node,
        config: &Configuration,
        pressure: watch::Receiver<Pressures>,
    ) -> Self {
        let stores = &node.stores;
        let room = WaitingRoom::new(waiting_room::Parts {
            store: stores.queue.clone(),
            progress: stores.books.queue_progress.clone(),
            admissions: stores.books.admissions.clone(),
            queues: stores.books.queues.clone(),
            keys: node.keys.clone(),
            clock: node.clock.clone(),
            config: config.waiting_room.clone(),
            pressure,
        });
        let seats = SeatAllocator::new(allocator::Parts {
            store: stores.seats.clone(),
            purchases: stores.books.purchase_reads.clone(),
            events: stores.books.events.clone(),
            generations: stores.books.seat_generations.clone(),
            log: stores.log.clone(),
            clock: node.clock.clone(),
            ids: node.ids.clone(),
            config: config.allocator.clone(),
        });
        Self { room, seats, projector: projector(node, config) }
    }

    pub(super) fn ingress(&self, node: &Node, config: &Configuration) -> ingress::Parts {
        ingress::Parts {
            room: self.room.clone(),
            seats: self.seats.clone(),
            books: node.stores.books.clone(),
            views: node.stores.views.clone(),
            keys: node.keys.clone(),
            clock: node.clock.clone(),
            ids: node.ids.clone(),
            config: config.ingress.clone(),
            changes: self.projector.changes(),
        }
    }
}

fn projector(node: &Node, config: &Configuration) -> Projector {
    let (log, views) = (node.stores.log.clone(), node.stores.views.clone());
    Projector::new(log, views, config.ledger.consumer.clone())
}
