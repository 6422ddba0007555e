//! The loops of a node: started together, drained from the front of the pipeline to its end.
use super::Node;
use super::requests::RequestKeeper;
use super::stages::Stages;
use crate::config::Configuration;
use crate::pressure::PressureGauge;
use crate::roles::{self, Role};
use allocator::{HoldSweeper, OutcomeApplier, SeatAllocator};
use ingress::Server;
use ledger::Projector;
use payment_worker::{PaymentWorker, Reconciler};
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waiting_room::{Pacer, SlotEnder, WaitingRoom};

/// How many loop names may wait to be told; each loop tells its own once.
const ENDS_MAX: usize = 32;

/// The running loops.
pub(super) struct Loops {
    /// The HTTP server: the first to stop.
    front: TaskTracker,
    /// Everything behind it.
    back: TaskTracker,
    /// Operators' own: the last to stop.
    watching: TaskTracker,
    ends_to: mpsc::Sender<&'static str>,
    ends: mpsc::Receiver<&'static str>,
}

/// Tells that a loop ended, also by a panic: a node without one of its loops must not go on.
struct TellEnd {
    name: &'static str,
    to: mpsc::Sender<&'static str>,
}

impl Drop for TellEnd {
    fn drop(&mut self) {
        // Full only if nobody listens any more, and then nobody needs to know.
        let _ = self.to.try_send(self.name);
    }
}

/// Tokens that stop the front and then the back, and whose commits to wait for in between.
pub(super) struct Stopping {
    front: CancellationToken,
    back: CancellationToken,
    room: WaitingRoom,
}

impl Default for Loops {
    fn default() -> Self {
        let (ends_to, ends) = mpsc::channel(ENDS_MAX);
        let (front, back) = (TaskTracker::new(), TaskTracker::new());
        Self { front, back, watching: TaskTracker::new(), ends_to, ends }
    }
}

impl Loops {
    /// Starts what is not part of the pipeline.
    pub(super) fn watch(&self, name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        self.spawn(&self.watching, name, run);
    }

    /// The name of the first loop that ends, which none should before it is told to.
    pub(super) async fn first_end(&mut self) -> String {
        self.ends.recv().await.unwrap_or("last").to_owned()
    }

    /// Wires the stages to the stores and to each other, and starts the roles.
    pub(super) fn start(
        &self,
        node: &Node,
        config: &Configuration,
        listener: TcpListener,
    ) -> anyhow::Result<Stopping> {
        let (pressure_to, pressure) = watch::channel(Arc::default());
        let stages = Stages::new(node, config, pressure);
        let room = stages.room.clone();
        let stopping =
            Stopping { front: CancellationToken::new(), back: CancellationToken::new(), room };
        // Each is handed to its one loop; the roles name each other at most once.
        let mut server = Some((Server::new(stages.ingress(node, config)), listener));
        let Stages { room, seats, projector } = stages;
        let mut projector = Some(projector);
        for role in roles::parse(&config.roles)? {
            match role {
                Role::Ingress => {
                    if let Some((server, listener)) = server.take() {
                        let run = server.run(listener, stopping.front.clone());
                        self.spawn(&self.front, "ingress", run);
                    }
                }
                Role::WaitingRoom => self.start_waiting_room(node, config, &room, &stopping),
                Role::Allocator => self.start_allocator(config, &seats, &stopping),
                Role::PaymentWorker => self.start_payment_worker(node, config, &stopping),
                Role::Ledger => {
                    if let Some(projector) = projector.take() {
                        self.start_ledger(node, config, projector, &stopping);
                    }
                }
            }
        }
        let gauge = PressureGauge {
            seats,
            queues: node.stores.books.queues.clone(),
            events: node.stores.books.events.clone(),
            log: node.stores.log.clone(),
            clock: node.clock.clone(),
            bounds: config.pressure,
            to: pressure_to,
        };
        self.spawn(&self.back, "pressure gauge", gauge.run(stopping.back.clone()));
        Ok(stopping)
    }

    fn start_waiting_room(
        &self,
        node: &Node,
        config: &Configuration,
        room: &WaitingRoom,
        stopping: &Stopping,
    ) {
        let pacer = Pacer::new(room.clone());
        self.spawn(&self.back, "pacer", pacer.run(stopping.back.clone()));
        let consumer = config.ledger.consumer.clone();
        let ender = SlotEnder::new(room.clone(), node.stores.log.clone(), consumer);
        self.spawn(&self.back, "slot ender", ender.run(stopping.back.clone()));
    }

    fn start_allocator(&self, config: &Configuration, seats: &SeatAllocator, stopping: &Stopping) {
        let sweeper = HoldSweeper::new(seats.clone());
        self.spawn(&self.back, "hold sweeper", sweeper.run(stopping.back.clone()));
        let applier = OutcomeApplier::new(seats.clone(), config.ledger.consumer.clone());
        self.spawn(&self.back, "outcome applier", applier.run(stopping.back.clone()));
    }

    fn start_payment_worker(&self, node: &Node, config: &Configuration, stopping: &Stopping) {
        let stores = &node.stores;
        let parts = payment_worker::Parts {
            config: config.payment_worker.clone(),
            consumer: config.ledger.consumer.clone(),
            purchases: stores.books.purchases.clone(),
            outbox: stores.books.outbox.clone(),
            log: stores.log.clone(),
            gateway: stores.gateway.clone(),
            clock: node.clock.clone(),
        };
        let worker = PaymentWorker::new(parts.clone());
        self.spawn(&self.back, "payment worker", worker.run(stopping.back.clone()));
        let reconciler = Reconciler::new(parts);
        self.spawn(&self.back, "reconciler", reconciler.run(stopping.back.clone()));
    }

    fn start_ledger(
        &self,
        node: &Node,
        config: &Configuration,
        projector: Projector,
        stopping: &Stopping,
    ) {
        self.spawn(&self.back, "projector", projector.run(stopping.back.clone()));
        let keeper = RequestKeeper {
            requests: node.stores.books.requests.clone(),
            clock: node.clock.clone(),
            keep_seconds: config.ledger.request_seconds,
        };
        self.spawn(&self.back, "request keeper", keeper.run(stopping.back.clone()));
    }

    fn spawn(
        &self,
        on: &TaskTracker,
        name: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        let end = TellEnd { name, to: self.ends_to.clone() };
        on.spawn(async move {
            let _end = end;
            run.await;
        });
    }

    /// Stops accepting and finishes requests, then finishes the batches in hand behind them, then
    /// stops what operators watch.
    pub(super) async fn drain(self, stopping: Stopping, watching: CancellationToken) {
        stop(&self.front, &stopping.front).await;
        stop(&self.back, &stopping.back).await;
        stopping.room.drain().await;
        stop(&self.watching, &watching).await;
    }
}

async fn stop(tracker: &TaskTracker, token: &CancellationToken) {
    token.cancel();
    tracker.close();
    tracker.wait().await;
}
