//! A booking log and a gateway whose calls go wrong.
use crate::faults::Faults;
use async_trait::async_trait;
use ledger::{
    Backlog, BookingId, BookingLog, Cursor, DeadLetter, Delivery, Group, Message, Page, StoreError,
    Subscription,
};
use payment_worker::gateway::{
    ChargeAnswer, ChargeRecord, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer,
    RefundRecord, RefundRequest,
};
use std::sync::Arc;

pub(crate) struct FaultyLog {
    pub(crate) inner: Arc<dyn BookingLog>,
    pub(crate) faults: Faults,
}

#[async_trait]
impl BookingLog for FaultyLog {
    async fn append(&self, messages: Vec<Message>) -> Result<(), StoreError> {
        self.faults.around(self.inner.append(messages)).await
    }

    async fn subscribe(&self, group: Group) -> Result<Box<dyn Subscription>, StoreError> {
        let inner = self.faults.around(self.inner.subscribe(group)).await?;
        Ok(Box::new(FaultySubscription { inner, faults: self.faults.clone() }))
    }

    async fn append_dead(&self, group: Group, letters: &[DeadLetter]) -> Result<(), StoreError> {
        self.faults.around(self.inner.append_dead(group, letters)).await
    }

    async fn backlog(&self, group: Group) -> Result<Backlog, StoreError> {
        self.inner.backlog(group).await
    }
}

struct FaultySubscription {
    inner: Box<dyn Subscription>,
    faults: Faults,
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, StoreError> {
        self.faults.behind(self.inner.next(max)).await
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.faults.around_harmless(self.inner.commit()).await
    }

    async fn commit_first(&mut self, messages: usize) -> Result<(), StoreError> {
        self.faults.around_harmless(self.inner.commit_first(messages)).await
    }
}

pub(crate) struct FaultyGateway {
    pub(crate) inner: Arc<dyn PaymentGateway>,
    pub(crate) faults: Faults,
}

#[async_trait]
impl PaymentGateway for FaultyGateway {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeAnswer, GatewayError> {
        self.faults.around(self.inner.charge(request)).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        self.faults.around(self.inner.refund(request)).await
    }

    async fn find(&self, booking: &BookingId) -> Result<Option<ChargeRecord>, GatewayError> {
        self.faults.around(self.inner.find(booking)).await
    }

    async fn charges(&self, cursor: Cursor) -> Result<Page<ChargeRecord>, GatewayError> {
        self.inner.charges(cursor).await
    }

    async fn refunds(&self, cursor: Cursor) -> Result<Page<RefundRecord>, GatewayError> {
        self.inner.refunds(cursor).await
    }
}
