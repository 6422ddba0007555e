//! The simulated gateway: it commits to its own log, `gateway.db`, before it answers.
use super::rows::{self, Refunding};
use crate::Simulation;
use async_trait::async_trait;
use ledger::{BookingId, Clock, Cursor, Page, StoreError};
use ledger_sqlite::{Migrations, SqliteFile, migration};
use payment_worker::gateway::{
    ChargeAnswer, ChargeRecord, ChargeRequest, GatewayError, PaymentGateway, RefundAnswer,
    RefundRecord, RefundRequest,
};
use payment_worker::metrics::{self, Fault};
use std::time::Duration;

/// The migrations of `gateway.db`, embedded in the program.
pub static MIGRATIONS: Migrations = Migrations(&[migration!("0001_log")]);

/// A gateway that moves no money but keeps books like one; clones share its file.
#[derive(Clone)]
pub struct SimulatedGateway {
    simulation: Simulation,
    file: SqliteFile,
    clock: Clock,
}

impl SimulatedGateway {
    /// The gateway whose log is in `file`, opened with [`MIGRATIONS`].
    pub fn new(simulation: Simulation, file: SqliteFile, clock: Clock) -> Self {
        Self { simulation, file, clock }
    }

    /// The charge that has this id in the gateway's own log.
    pub(super) async fn charge_by_id(
        &self,
        id: &str,
    ) -> Result<Option<ChargeRecord>, GatewayError> {
        const DOING: &str = "reading a charge";
        let id = id.to_owned();
        let found = self.file.read(DOING, move |c| rows::charge_by_id(c, &id));
        found.await.map_err(no_answer(DOING))
    }

    async fn take_time(&self) {
        if self.simulation.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.simulation.latency_ms)).await;
        }
    }

    /// One arrival of a charge request. The record is on disk before this returns.
    async fn arrive(&self, charge: ChargeRecord) -> Result<(ChargeRecord, bool), StoreError> {
        self.file.write("recording a charge", move |c| rows::charge(c, &charge)).await
    }
}

#[async_trait]
impl PaymentGateway for SimulatedGateway {
    async fn charge(&self, request: &ChargeRequest) -> Result<ChargeAnswer, GatewayError> {
        const DOING: &str = "charging";
        let key = request.key.as_str();
        let fate = self.simulation.fate(request.payment_token.expose(), key);
        let charge = ChargeRecord {
            id: self.simulation.id("ch_", key),
            booking: request.key.clone(),
            amount: request.amount,
            decline_code: fate.decline_code.map(str::to_owned),
            received_at: self.clock.now(),
        };
        self.take_time().await;
        let (record, fresh) = if fate.twice {
            metrics::gateway_fault(Fault::Duplicate);
            let (one, other) = tokio::join!(self.arrive(charge.clone()), self.arrive(charge));
            let ((record, fresh), (_, fresh_too)) =
                one.and_then(|one| other.map(|other| (one, other))).map_err(no_answer(DOING))?;
            (record, fresh || fresh_too)
        } else {
            self.arrive(charge).await.map_err(no_answer(DOING))?
        };
        if fresh && fate.reply_lost {
            metrics::gateway_fault(Fault::ReplyLost);
            return Err(GatewayError::no_answer(DOING, "the reply was lost"));
        }
        if record.amount != request.amount {
            return Ok(ChargeAnswer::KeyReused);
        }
        Ok(record.answer())
    }

    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError> {
        const DOING: &str = "refunding";
        let id = self.simulation.id("re_", request.key.as_str());
        let (received_at, asked) = (self.clock.now(), request.clone());
        self.take_time().await;
        let refunding = self
            .file
            .write("recording a refund", move |connection| {
                rows::refund(connection, &id, &asked, received_at)
            })
            .await
            .map_err(no_answer(DOING))?;
        match refunding {
            Refunding::Done { fresh: true }
                if self.simulation.loses_reply(request.key.as_str()) =>
            {
                metrics::gateway_fault(Fault::ReplyLost);
                Err(GatewayError::no_answer(DOING, "the reply was lost"))
            }
            Refunding::Done { .. } => Ok(RefundAnswer::Done),
            Refunding::Refused(code) => Ok(RefundAnswer::Refused { code: code.to_owned() }),
        }
    }

    async fn find(&self, booking: &BookingId) -> Result<Option<ChargeRecord>, GatewayError> {
        const DOING: &str = "looking up a charge";
        let booking = booking.clone();
        let found = self.file.read(DOING, move |c| rows::find(c, &booking));
        found.await.map_err(no_answer(DOING))
    }

    async fn charges(&self, cursor: Cursor) -> Result<Page<ChargeRecord>, GatewayError> {
        const DOING: &str = "listing charges";
        let page = self.file.read(DOING, move |c| rows::charges(c, &cursor));
        page.await.map_err(no_answer(DOING))?.ok_or_else(|| no_such_mark(DOING))
    }

    async fn refunds(&self, cursor: Cursor) -> Result<Page<RefundRecord>, GatewayError> {
        const DOING: &str = "listing refunds";
        let page = self.file.read(DOING, move |c| rows::refunds(c, &cursor));
        page.await.map_err(no_answer(DOING))?.ok_or_else(|| no_such_mark(DOING))
    }
}

fn no_answer(doing: &'static str) -> impl Fn(StoreError) -> GatewayError {
    move |error| GatewayError::no_answer(doing, error)
}

/// A mark that names no row is the caller's mistake, and must not look like the end of the list.
fn no_such_mark(doing: &'static str) -> GatewayError {
    GatewayError::Unexpected { doing, status: 400, code: "no_such_mark".to_owned() }
}
