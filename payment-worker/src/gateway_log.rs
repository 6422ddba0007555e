//! The gateway's own log, read whole for the audit.
use crate::Error;
use crate::gateway::{ChargeRecord, GatewayError, PaymentGateway, RefundRecord};
use ledger::audit::{GatewayCharge, GatewayLog, GatewayRefund};
use ledger::{Cursor, LIMIT_MAX, Page};

/// Everything the gateway did, oldest first.
pub async fn gateway_log(gateway: &dyn PaymentGateway) -> Result<GatewayLog, Error> {
    // Charges first: a refund read later cannot belong to a charge that is missing here for long.
    let charges = all(|cursor| gateway.charges(cursor)).await?;
    let refunds = all(|cursor| gateway.refunds(cursor)).await?;
    Ok(GatewayLog {
        charges: charges.into_iter().map(charge).collect(),
        refunds: refunds.into_iter().map(refund).collect(),
    })
}

async fn all<T, F, Asked>(page: F) -> Result<Vec<T>, GatewayError>
where
    F: Fn(Cursor) -> Asked,
    Asked: Future<Output = Result<Page<T>, GatewayError>>,
{
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let Page { items: more, next } = page(Cursor { after, limit: LIMIT_MAX }).await?;
        items.extend(more);
        if next.is_none() {
            return Ok(items);
        }
        after = next;
    }
}

fn charge(record: ChargeRecord) -> GatewayCharge {
    GatewayCharge {
        charge_id: record.id,
        booking_id: record.booking,
        amount: record.amount,
        captured: record.decline_code.is_none(),
        received_at: record.received_at,
    }
}

fn refund(record: RefundRecord) -> GatewayRefund {
    GatewayRefund {
        refund_id: record.key,
        booking_id: record.booking,
        amount: record.amount,
        received_at: record.received_at,
    }
}
