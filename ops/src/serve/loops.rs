//! The loops of a node: started together, drained from the front of the pipeline to its end.
use super::Node;
use crate::config::Configuration;
use crate::pressure::PressureGauge;
use crate::roles::{self, Role};
use crate::stores::Stores;
use allocator::{HoldSweeper, OutcomeApplier, SeatAllocator};
use anyhow::Context;
use ingress::Server;
use ledger::{BookingChanges, Projector};
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

/// Tokens that stop the front and then the back.
pub(super) struct Stopping {
    front: CancellationToken,
    back: CancellationToken,
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
    pub(super) async fn start(
        &mut self,
        node: Node,
        config: Configuration,
        listener: TcpListener,
    ) -> anyhow::Result<(Stopping, Stores)> {
        let roles = roles::parse(&config.roles)?;
        let stopping = Stopping { front: CancellationToken::new(), back: CancellationToken::new() };
        let (pressure_to, pressure) = watch::channel(Arc::default());
        let stages = Stages::new(&node, &config, pressure);
        let stop = || stopping.back.clone();
        for role in roles {
            match role {
                Role::Ingress => {
                    let server = Server::new(stages.ingress(&node, &config));
                    let run = server.run(listener.try_clone()?, stopping.front.clone());
                    self.spawn(&self.front, "ingress", run);
                }
                Role::WaitingRoom => {
                    self.spawn(&self.back, "pacer", Pacer::new(stages.room.clone()).run(stop()));
                    let ender = SlotEnder::new(stages.room.clone(), node.stores.log.clone());
                    self.spawn(&self.back, "slot ender", ender.run(stop()));
                }
                Role::Allocator => {}
                Role::PaymentWorker => {}
                Role::Ledger => {}
            }
        }
        let gauge = PressureGauge {
            seats: stages.seats.clone(),
            events: node.stores.books.events.clone(),
            log: node.stores.log.clone(),
            clock: node.clock.clone(),
            to: pressure_to,
        };
        self.spawn(&self.back, "pressure gauge", gauge.run(stop()));
        Ok((stopping, node.stores))
    }

    fn spawn(
        &self,
        on: &TaskTracker,
        name: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) {
        let ends = self.ends_to.clone();
        on.spawn(async move {
            run.await;
            // Full only if nobody listens any more, and then nobody needs to know.
            let _ = ends.try_send(name);
        });
    }

    /// Stops accepting and finishes requests, then finishes the batches in hand behind them, then
    /// stops what operators watch.
    pub(super) async fn drain(self, stopping: Stopping, watching: CancellationToken) {
        for (tracker, token) in [
            (self.front, stopping.front),
            (self.back, stopping.back),
            (self.watching, watching),
        ] {
            token.cancel();
            tracker.close();
            tracker.wait().await;
        }
    }
}
