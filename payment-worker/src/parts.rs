//! What the payment worker's loops are made of.
use crate::Config;
use crate::gateway::PaymentGateway;
use ledger::books::{Outbox, Purchases};
use ledger::{BookingLog, Clock, ConsumerConfig};
use std::sync::Arc;

/// What [`PaymentWorker`](crate::PaymentWorker) and [`Reconciler`](crate::Reconciler) are made of;
/// both loops of a node get a clone.
#[derive(Clone)]
pub struct Parts {
    pub config: Config,
    /// The bounds of reading the log; how much a batch takes is said in `config`.
    pub consumer: ConsumerConfig,
    pub purchases: Arc<dyn Purchases>,
    pub outbox: Arc<dyn Outbox>,
    pub log: Arc<dyn BookingLog>,
    pub gateway: Arc<dyn PaymentGateway>,
    pub clock: Clock,
}
