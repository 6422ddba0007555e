//! A gateway that a test can hold up, and that counts who comes.
use async_trait::async_trait;
use ledger::{BookingId, Cursor, Page};
use payment_simulator::SimulatedGateway;
use payment_worker::gateway::{
    ChargeAnswer, ChargeRecord, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer,
    RefundRecord, RefundRequest,
};
use std::collections::HashSet;
use std::sync::Mutex;
use tokio::sync::watch;

pub(crate) struct Turnstile {
    inner: SimulatedGateway,
    /// Charges of these bookings wait, before their effect.
    held: watch::Sender<HashSet<BookingId>>,
    seen: Mutex<Seen>,
}

/// What came by.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) charges: Vec<BookingId>,
    pub(crate) look_ups: usize,
    inside: usize,
    pub(crate) inside_most: usize,
}

impl Turnstile {
    pub(crate) fn new(inner: SimulatedGateway) -> Self {
        Self { inner, held: watch::Sender::default(), seen: Mutex::default() }
    }

    pub(crate) fn hold<'a>(&self, bookings: impl IntoIterator<Item = &'a BookingId>) {
        self.held.send_modify(|held| held.extend(bookings.into_iter().cloned()));
    }

    pub(crate) fn release(&self) {
        self.held.send_modify(HashSet::clear);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

/// Somebody inside, also when dropped there.
struct Inside<'a>(&'a Mutex<Seen>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().inside -= 1;
    }
}

#[async_trait]
impl PaymentGateway for Turnstile {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeAnswer, GatewayError> {
        let _inside = {
            let mut seen = self.seen.lock().unwrap();
            seen.charges.push(request.key.clone());
            seen.inside += 1;
            seen.inside_most = seen.inside_most.max(seen.inside);
            Inside(&self.seen)
        };
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held.contains(&request.key)).await.unwrap();
        self.inner.charge(request).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        self.inner.refund(request).await
    }

    async fn find(&self, booking: &BookingId) -> Result<Option<ChargeRecord>, GatewayError> {
        self.seen.lock().unwrap().look_ups += 1;
        self.inner.find(booking).await
    }

    async fn charges(&self, cursor: Cursor) -> Result<Page<ChargeRecord>, GatewayError> {
        self.inner.charges(cursor).await
    }

    async fn refunds(&self, cursor: Cursor) -> Result<Page<RefundRecord>, GatewayError> {
        self.inner.refunds(cursor).await
    }
}
