//! Where the money is: captured is kept or refunded (I2), and every entry balances (I3).
use super::evidence::{GatewayCharge, GatewayLog};
use super::finding::{Finding, Invariant};
use super::record::{Record, overdue};
use super::tally::Tally;
use crate::booking::{BookingStatus, RefundStatus};
use crate::clock::Timestamp;
use crate::ids::{BookingId, PlaceId};
use crate::money::{Currency, Money};
use crate::purchase::{PaymentState, Purchase};
use crate::transfer::{GATEWAY_CLEARING, TransferKind, TransferRecord, legs_balance};
use std::collections::{BTreeMap, HashMap, HashSet};

/// I2, both ways: what the gateway captured is what the books keep or owe back, and no more.
pub(super) fn captured_is_kept_or_refunded(
    record: &Record,
    gateway: &GatewayLog,
    now: Timestamp,
) -> Finding {
    let mut tally = Tally::default();
    let mut captured: BTreeMap<&BookingId, Vec<&GatewayCharge>> = BTreeMap::new();
    for charge in gateway.charges.iter().filter(|charge| charge.captured) {
        captured.entry(&charge.booking_id).or_default().push(charge);
    }
    for (id, _) in record.purchases.iter().filter(|(_, p)| is_captured(p)) {
        captured.entry(id).or_default();
    }
    let transfers = by_cause(record, TransferKind::Capture);
    for (id, charges) in captured {
        tally.look();
        let Some(purchase) = record.purchases.get(id) else {
            tally.breach(|| format!("{id} was charged and is not in the books"));
            continue;
        };
        if record.is_moving(id) {
            continue;
        }
        if !is_captured(purchase) {
            let open = purchase.awaits_gateway() && !overdue(purchase.command.placed_at, now);
            tally.demand(open, || {
                format!("{id} was charged, but the books say {}", purchase.payment.as_str())
            });
            continue;
        }
        let transfer = transfers.get(id.as_str()).copied();
        if charges.is_empty() {
            // What was captured since the gateway's log was asked for is not in it.
            let since = transfer.is_some_and(|transfer| transfer.at >= now);
            tally.demand(since, || format!("{id} is captured, but not at the gateway"));
            continue;
        }
        let currency = purchase.command.total.currency;
        let taken = Money::sum(currency, charges.iter().map(|charge| charge.amount));
        let kept = kept_or_owed(purchase);
        tally.demand(taken.is_some() && taken == kept, || {
            format!("{id}: captured {}, kept or refunded {}", show(taken), show(kept))
        });
        let booked = transfer.and_then(cleared);
        tally.demand(taken.is_some() && taken == booked, || {
            format!("{id}: captured {}, booked {}", show(taken), show(booked))
        });
    }
    tally.finding(Invariant::I2, "captured bookings")
}

/// I3: legs sum to zero, alone and together; every transfer has its cause and every cause its
/// transfer, once; a claim is resolved once.
pub(super) fn everything_balances(record: &Record) -> Finding {
    let mut tally = Tally::default();
    let mut seen = HashSet::new();
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for transfer in &record.transfers {
        tally.look();
        let name = || format!("the {} of {}", transfer.kind.as_str(), transfer.cause);
        tally.demand(!transfer.headless, || format!("{} has legs and no row", name()));
        let whole = transfer.legs.len() >= 2 && legs_balance(&transfer.legs);
        tally.demand(whole, || format!("{} does not balance", name()));
        let once = seen.insert((&transfer.cause, transfer.kind));
        tally.demand(once, || format!("{} is there twice", name()));
        for leg in &transfer.legs {
            let sum = sums.entry(leg.amount.currency).or_default();
            *sum = sum.saturating_add(i128::from(leg.amount.minor));
        }
    }
    for (currency, sum) in sums {
        tally.demand(sum == 0, || format!("the ledger's {currency} sum to {sum}"));
    }
    causes_match(record, &mut tally);
    claims_resolve_once(record, &mut tally);
    tally.finding(Invariant::I3, "transfers")
}

fn causes_match(record: &Record, tally: &mut Tally) {
    let mut expected: HashMap<(&str, TransferKind), (&BookingId, Option<Money>)> = HashMap::new();
    for (id, purchase) in &record.purchases {
        if is_captured(purchase) {
            expected.insert((id.as_str(), TransferKind::Capture), (id, None));
        }
        for refund in purchase.refunds.iter().filter(|r| r.status == RefundStatus::Done) {
            let key = (refund.refund_id.as_str(), TransferKind::Refund);
            expected.insert(key, (id, Some(refund.amount)));
        }
    }
    for transfer in &record.transfers {
        let Some((id, amount)) = expected.remove(&(transfer.cause.as_str(), transfer.kind)) else {
            let (kind, cause) = (transfer.kind.as_str(), &transfer.cause);
            tally.breach(|| format!("nothing in the books caused the {kind} of {cause}"));
            continue;
        };
        let moved = cleared(transfer);
        let right = amount.is_none() || moved == amount.and_then(Money::checked_neg);
        tally.demand(right || record.is_moving(id), || {
            format!("{}: {} moved instead of {}", transfer.cause, show(moved), show(amount))
        });
    }
    for ((cause, kind), (id, _)) in expected {
        tally.demand(record.is_moving(id), || format!("{cause} has no {} transfer", kind.as_str()));
    }
}

/// A booking claims a place once, and that claim is sold or released, never both, never again.
fn claims_resolve_once(record: &Record, tally: &mut Tally) {
    let mut seen: HashSet<(&BookingId, &PlaceId)> = HashSet::new();
    for claim in &record.claims {
        let once = seen.insert((&claim.booking_id, &claim.place));
        tally.demand(once, || format!("{} claimed {} twice", claim.booking_id, claim.place));
    }
}

/// Money was taken for it: a free booking ends the same way and moves none.
fn is_captured(purchase: &Purchase) -> bool {
    purchase.payment == PaymentState::Captured && !purchase.is_free()
}

/// What the booking still sells for, and what goes back; `None` when it cannot be summed.
fn kept_or_owed(purchase: &Purchase) -> Option<Money> {
    let refunded = |place: &PlaceId| purchase.refunds.iter().any(|r| r.items.contains(place));
    let confirmed = purchase.status == BookingStatus::Confirmed;
    let items = purchase.command.items.iter();
    let live = items.filter(|item| confirmed && !refunded(&item.item)).map(|item| item.price);
    let owed = purchase.refunds.iter().map(|refund| refund.amount);
    Money::sum(purchase.command.total.currency, live.chain(owed))
}

/// What a transfer moved through the gateway: positive is captured, negative refunded.
fn cleared(transfer: &TransferRecord) -> Option<Money> {
    let legs = transfer.legs.iter().filter(|leg| leg.account == GATEWAY_CLEARING);
    let amounts: Vec<Money> = legs.map(|leg| leg.amount).collect();
    Money::sum(amounts.first()?.currency, amounts)
}

fn by_cause(record: &Record, kind: TransferKind) -> HashMap<&str, &TransferRecord> {
    let of_kind = record.transfers.iter().filter(|transfer| transfer.kind == kind);
    of_kind.map(|transfer| (transfer.cause.as_str(), transfer)).collect()
}

fn show(amount: Option<Money>) -> String {
    amount.map_or("nothing".into(), |money| format!("{} {}", money.minor, money.currency))
}
