//! The gateway's log against the books: claims before charges (I5), one capture a booking (I6),
//! refunds that exist once (I19).
use super::evidence::GatewayLog;
use super::finding::{Finding, Invariant};
use super::record::{Record, overdue};
use super::tally::Tally;
use crate::booking::{BookingItem, Refund, RefundStatus};
use crate::books::ClaimRecord;
use crate::clock::Timestamp;
use crate::ids::{BookingId, RefundId};
use crate::money::{Currency, Money};
use crate::purchase::PaymentState;
use std::collections::{BTreeMap, HashMap};

/// How far the gateway's clock may be behind: other machines' clocks are, and real gateways list
/// whole seconds.
const CLOCKS_APART_MILLIS: i64 = 1_000;

/// I5: every charge has an attempt that was committed before it, and claims that were live.
pub(super) fn claims_come_first(record: &Record, gateway: &GatewayLog, _: Timestamp) -> Finding {
    let mut tally = Tally::default();
    let mut claims: HashMap<&BookingId, Vec<&ClaimRecord>> = HashMap::new();
    for claim in &record.claims {
        claims.entry(&claim.booking_id).or_default().push(claim);
    }
    for charge in &gateway.charges {
        tally.look();
        let (id, received) = (&charge.booking_id, charge.received_at);
        let Some(purchase) = record.purchases.get(id) else {
            tally.breach(|| format!("{id} was charged without an attempt"));
            continue;
        };
        if record.is_moving(id) {
            continue;
        }
        let latest = received.plus_millis(CLOCKS_APART_MILLIS);
        let committed = purchase.submitted_at.is_some_and(|submitted| submitted <= latest);
        tally.demand(committed, || format!("{id} was charged before its attempt was committed"));
        let claims = claims.get(id).map_or(&[][..], Vec::as_slice);
        let was_live = |claim: &&ClaimRecord| {
            claim.released_at.is_none_or(|at| at.plus_millis(CLOCKS_APART_MILLIS) >= received)
        };
        let live: Vec<_> = claims.iter().copied().filter(was_live).collect();
        let covered = |item: &BookingItem| live.iter().any(|claim| claim.place == item.item);
        let all = purchase.command.items.iter().all(covered);
        tally.demand(all, || format!("{id} was charged without a live claim on every place"));
    }
    tally.finding(Invariant::I5, "charges")
}

/// I6: at most one capture a booking, of its total; what the gateway made different goes back.
pub(super) fn one_capture(record: &Record, gateway: &GatewayLog, now: Timestamp) -> Finding {
    let mut tally = Tally::default();
    let mut captures: BTreeMap<&BookingId, Vec<Money>> = BTreeMap::new();
    for charge in gateway.charges.iter().filter(|charge| charge.captured) {
        captures.entry(&charge.booking_id).or_default().push(charge.amount);
    }
    for (id, amounts) in captures {
        tally.look();
        tally.demand(amounts.len() == 1, || format!("{id} was captured {} times", amounts.len()));
        let Some(purchase) = record.purchases.get(id) else { continue };
        let total = purchase.command.total;
        let open = purchase.awaits_gateway() && !overdue(purchase.command.placed_at, now);
        if open || record.is_moving(id) || amounts.iter().all(|amount| *amount == total) {
            continue;
        }
        let returned = purchase.payment == PaymentState::Captured
            && purchase.refunds.iter().any(|refund| amounts.contains(&refund.amount));
        tally.demand(returned, || format!("{id} was captured for another amount than its total"));
    }
    tally.finding(Invariant::I6, "captured bookings")
}

/// I19: a refund exists once, here and there; refunds never exceed captures.
pub(super) fn refunds_exist_once(record: &Record, gateway: &GatewayLog, now: Timestamp) -> Finding {
    let mut tally = Tally::default();
    let known = known_refunds(record);
    let mut listed: HashMap<&RefundId, u64> = HashMap::new();
    for refund in &gateway.refunds {
        tally.look();
        let (key, times) = (&refund.refund_id, listed.entry(&refund.refund_id).or_default());
        *times = times.saturating_add(1);
        tally.demand(*times == 1, || format!("{key} was paid back {times} times"));
        let Some((id, ours)) = known.get(key) else {
            tally.breach(|| format!("{key} was paid back and is not in the books"));
            continue;
        };
        let same = **id == refund.booking_id && ours.amount == refund.amount;
        tally.demand(same, || format!("{key} was paid back for another amount or booking"));
    }
    for (key, (id, refund)) in &known {
        let done = refund.status == RefundStatus::Done && !record.is_moving(id);
        let absent = done && !listed.contains_key(*key) && done_before(record, key, now);
        tally.demand(!absent, || format!("{key} is done, but not at the gateway"));
    }
    refunds_within_captures(gateway, &mut tally);
    tally.finding(Invariant::I19, "refunds")
}

fn known_refunds(record: &Record) -> BTreeMap<&RefundId, (&BookingId, &Refund)> {
    let mut known = BTreeMap::new();
    for (id, purchase) in &record.purchases {
        for refund in &purchase.refunds {
            known.insert(&refund.refund_id, (id, refund));
        }
    }
    known
}

/// A refund that was done since the gateway's log was asked for is not in it.
fn done_before(record: &Record, refund: &RefundId, now: Timestamp) -> bool {
    let mut of_refund = record.transfers.iter().filter(|r| r.cause == refund.as_str());
    of_refund.next().is_none_or(|record| record.at < now)
}

fn refunds_within_captures(gateway: &GatewayLog, tally: &mut Tally) {
    let mut balance: BTreeMap<(&BookingId, Currency), i128> = BTreeMap::new();
    let captures = gateway.charges.iter().filter(|charge| charge.captured);
    let captured = captures.map(|charge| (&charge.booking_id, charge.amount, 1i128));
    let refunded = gateway.refunds.iter().map(|refund| (&refund.booking_id, refund.amount, -1));
    for (id, amount, sign) in captured.chain(refunded) {
        let sum = balance.entry((id, amount.currency)).or_default();
        *sum = sum.saturating_add(sign.saturating_mul(i128::from(amount.minor)));
    }
    for ((id, _), left) in balance {
        tally.demand(left >= 0, || format!("{id} was paid back more than was captured"));
    }
}
