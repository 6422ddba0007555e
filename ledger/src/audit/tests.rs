//! The audit over a sound sale, and over the same sale with one thing wrong at a time.
mod queues;
mod sale;

use super::record::Record;
use super::{Finding, GatewayLog, Invariant, SeatCopy, SeatCopyState, Verdict, check};
use crate::booking::{BookingStatus, RefundStatus};
use crate::books::{LoggedAsk, LoggedCommand};
use crate::ids::{AccountId, BookingId, EventId, PlaceId};
use crate::money::Money;
use crate::purchase::PaymentState;
use crate::ticket::TicketState;
use Invariant::{I1, I2, I3, I4, I5, I6, I13, I14, I15, I16, I18, I19};
use sale::{NOW, Sale};
use std::collections::HashSet;

pub(super) fn broken(findings: &[Finding]) -> Vec<Invariant> {
    findings.iter().filter(|finding| finding.is_broken()).map(|f| f.invariant).collect()
}

/// One thing wrong with the sale, and the invariants that must notice, no more and no fewer.
type Wrong = (&'static str, fn(&mut Sale), &'static [Invariant]);

fn check_all(table: &[Wrong]) {
    for (name, spoil, expected) in table {
        let mut sale = Sale::sound();
        spoil(&mut sale);
        let findings = check(&sale.record, Some(&sale.gateway), &sale.copies, sale.now);
        let shown: Vec<String> =
            findings.iter().filter(|f| f.is_broken()).map(ToString::to_string).collect();
        assert_eq!(broken(&findings), *expected, "{name}: {shown:#?}");
    }
}

#[test]
fn a_sound_sale_holds_and_is_really_looked_at() {
    let sale = Sale::sound();
    let findings = check(&sale.record, Some(&sale.gateway), &sale.copies, sale.now);
    assert_eq!(findings.len(), 22);
    for finding in &findings {
        match &finding.verdict {
            Verdict::Held => assert!(finding.checked > 0, "{finding}"),
            Verdict::Broken(_) => panic!("{finding}"),
            Verdict::NotChecked(reason) => assert!(!reason.is_empty()),
        }
    }
    let line = |i: usize| findings[i].to_string();
    assert_eq!(line(0), "I1 one-owner-per-seat held 3 seats checked");
    assert_eq!(line(21), "I22 progress not checked: load run only");
    let blind = check(&sale.record, None, &[], sale.now);
    let second = "I2 captures-are-kept-or-refunded not checked: the gateway's log was not given";
    assert_eq!(blind[1].to_string(), second);
}

#[test]
fn an_invariant_with_nothing_to_look_at_is_not_held() {
    let findings = check(&Record::default(), Some(&GatewayLog::default()), &[], NOW);
    let held = findings.iter().filter(|finding| finding.verdict == Verdict::Held).count();
    assert_eq!(held, 0, "{findings:#?}");
    let nineteenth = "I19 refunds-exist-once not checked: nothing happened";
    assert_eq!(findings[18].to_string(), nineteenth);
}

#[test]
fn invariants_have_a_number_and_a_name_of_their_own() {
    let names: HashSet<&str> = Invariant::ALL.iter().map(|(_, name)| *name).collect();
    assert_eq!(names.len(), Invariant::ALL.len());
    for (at, (invariant, name)) in Invariant::ALL.into_iter().enumerate() {
        let number = format!("I{}", at + 1);
        assert_eq!((invariant.to_string(), invariant.name()), (number.clone(), name));
        assert_eq!(Invariant::parse(&number), Some(invariant));
    }
    assert_eq!((Invariant::parse("I23"), Invariant::parse("7")), (None, None));
}

#[test]
fn findings_name_a_few_breaches_and_count_the_rest() {
    let mut sale = Sale::sound();
    for n in 0..9 {
        let mut extra = sale.record.claims[0].clone();
        extra.booking_id = BookingId::parse(&format!("bkg_{n}")).unwrap();
        sale.record.claims.push(extra);
    }
    let findings = check(&sale.record, None, &[], sale.now);
    let text = findings[13].to_string();
    assert!(text.starts_with("I14 all-seats-or-none BROKEN 9 in "), "{text}");
    assert!(text.contains("bkg_4") && !text.contains("bkg_5"), "{text}");
    assert!(text.ends_with("and 4 more"), "{text}");
}

#[test]
fn what_is_wrong_with_seats_is_noticed() {
    check_all(&[
        ("a seat kept twice", |s| s.sell_again("stalls-A-1"), &[I1]),
        ("two live claims", |s| s.claim_again(), &[I1, I13, I14]),
        ("a claim of nobody's", |s| s.claim_of_nobody(), &[I13, I14]),
        ("a claim lost", |s| drop(s.record.claims.remove(0)), &[I5, I13, I14]),
        (
            "half a booking released",
            |s| {
                s.record.claims[0].released_at = Some(NOW.plus_seconds(9));
                s.record.seat_counts[0].seats -= 1;
            },
            &[I14],
        ),
        ("a claim never sold", |s| s.record.claims[0].sold = false, &[I14]),
        ("over the cap", |s| s.confirmed().command.seats_per_account_max = 1, &[I13]),
        ("counted wrong", |s| s.record.seat_counts[0].seats += 1, &[I13]),
        (
            "counted for nobody",
            |s| {
                let mut count = s.record.seat_counts[0].clone();
                count.account_id = AccountId::parse("nobody").unwrap();
                s.record.seat_counts.push(count);
            },
            &[I13],
        ),
    ]);
}

#[test]
fn what_is_wrong_with_money_is_noticed() {
    check_all(&[
        ("a charge nobody asked for", |s| s.gateway.charges[0].booking_id = bkg("x"), &[I2, I5]),
        ("a capture the gateway denies", |s| drop(s.gateway.charges.remove(0)), &[I2]),
        (
            "captured twice",
            |s| {
                let again = s.gateway.charges[0].clone();
                s.gateway.charges.push(again);
            },
            &[I2, I6],
        ),
        ("captured too much", |s| s.gateway.charges[0].amount.minor += 1, &[I2, I6]),
        (
            "captured, but open for ever",
            |s| {
                s.processing().command.placed_at = NOW.plus_seconds(1);
                s.charge_processing();
                s.now = NOW.plus_seconds(1_000);
            },
            &[I2, I4],
        ),
        ("captured, but declined here", |s| s.capture_declined(), &[I2]),
        ("money kept for nothing", |s| s.refunded().refunds.clear(), &[I2, I3, I18, I19]),
        ("unbalanced legs", |s| s.leg(1).minor += 1, &[I3]),
        ("an amount booked wrong", |s| s.both_legs_more(), &[I2]),
        ("a lone leg", |s| drop(s.record.transfers[0].legs.pop()), &[I3]),
        ("a transfer gone", |s| drop(s.record.transfers.remove(0)), &[I2, I3]),
        ("legs without a row", |s| s.record.transfers[0].headless = true, &[I3]),
        (
            "a transfer twice",
            |s| {
                let again = s.record.transfers[0].clone();
                s.record.transfers.push(again);
            },
            &[I3],
        ),
        ("a transfer for nothing", |s| s.record.transfers[0].cause = "bkg_x".into(), &[I2, I3]),
        (
            "a claim resolved twice",
            |s| {
                let again = s.record.claims.iter().find(|c| c.released_at.is_some()).cloned();
                s.record.claims.extend(again);
            },
            &[I3],
        ),
    ]);
}

#[test]
fn what_is_wrong_with_charges_and_refunds_is_noticed() {
    check_all(&[
        (
            "charged before the attempt",
            |s| s.confirmed().submitted_at = Some(NOW.plus_seconds(9)),
            &[I5],
        ),
        ("charged without an attempt", |s| s.confirmed().submitted_at = None, &[I5, I18]),
        (
            "charged after the claim was released",
            |s| s.gateway.charges[1].received_at = NOW.plus_seconds(100),
            &[I5],
        ),
        ("a refund nobody asked for", |s| s.gateway.refunds[0].refund_id = rfd("x"), &[I19]),
        ("a refund of another amount", |s| s.gateway.refunds[0].amount.minor -= 1, &[I19]),
        ("a refund the gateway denies", |s| s.gateway.refunds.clear(), &[I19]),
        (
            "a refund twice",
            |s| {
                let again = s.gateway.refunds[0].clone();
                s.gateway.refunds.push(again);
            },
            &[I19],
        ),
        (
            "a refund done without its transfer",
            |s| s.record.transfers.retain(|t| t.kind.as_str() == "capture"),
            &[I3],
        ),
    ]);
}

#[test]
fn what_does_not_end_is_noticed() {
    check_all(&[
        ("stuck", |s| s.now = NOW.plus_seconds(121), &[I4]),
        ("no guard", |s| s.record.guards[0].stands = false, &[I15]),
        ("a message to no effect", |s| s.log_old(LoggedAsk::Place(bkg("x"))), &[I16]),
        ("an unreadable message", |s| s.log_old(LoggedAsk::Unreadable), &[I16]),
        (
            "a cancel to no effect",
            |s| {
                let id = s.confirmed().command.booking_id.clone();
                s.log_old(LoggedAsk::Cancel(id));
            },
            &[I16],
        ),
        ("payment and status apart", |s| s.declined().payment = PaymentState::NotAttempted, &[I18]),
        ("a charge id too many", |s| s.declined().charge_id = Some("ch".into()), &[I18]),
        ("an outcome without a version", |s| s.declined().version = 1, &[I18]),
        (
            "a cancel nobody asked for",
            |s| {
                s.declined().status = BookingStatus::Cancelled;
                s.declined().cancel_requested = false;
            },
            &[I18],
        ),
        ("a ticket void", |s| s.record.tickets[0].state = TicketState::Void, &[I18]),
        ("a ticket gone", |s| drop(s.record.tickets.remove(0)), &[I18]),
        (
            "a ticket alive after the refund",
            |s| s.record.tickets.last_mut().unwrap().state = TicketState::Valid,
            &[I18],
        ),
        (
            "refunded with a refund pending",
            |s| s.refunded().refunds[0].status = RefundStatus::Pending,
            &[I3, I18],
        ),
    ]);
}

#[test]
fn what_is_young_or_on_the_move_is_no_breach() {
    check_all(&[
        ("one second before it is late", |s| s.now = NOW.plus_seconds(120), &[]),
        ("a charge that is not settled yet", |s| s.charge_processing(), &[]),
        (
            "a command not read yet",
            |s| {
                let message = LoggedCommand {
                    position: "9".into(),
                    ask: LoggedAsk::Place(bkg("x")),
                    appended_at: s.now,
                    dead: false,
                };
                s.record.commands.push(message);
            },
            &[],
        ),
        (
            "a dead letter",
            |s| {
                s.log_old(LoggedAsk::Unreadable);
                s.record.commands.last_mut().unwrap().dead = true;
            },
            &[],
        ),
        (
            "captured since the gateway was asked",
            |s| {
                s.gateway.charges.remove(0);
                s.record.transfers[0].at = s.now;
            },
            &[],
        ),
        (
            "changed while it was read",
            |s| {
                let id = s.confirmed().command.booking_id.clone();
                s.record.moving.insert(id);
                s.record.claims.remove(0);
                s.record.tickets.remove(0);
                s.record.transfers.remove(0);
            },
            &[],
        ),
    ]);
}

#[test]
fn seat_copies_must_agree_once_things_are_settled() {
    use SeatCopyState::{Free, Held, Paying, Sold};
    let seat = |s: &mut Sale, state| s.copies[0].seats[0].1 = state;
    let check =
        |name: &str, state: fn(&mut Sale) -> SeatCopyState, late, expected: &[Invariant]| {
            let mut sale = Sale::sound();
            // Long after, what was open is stuck: only the seats are looked at.
            sale.now = if late { NOW.plus_seconds(1_000) } else { NOW };
            let state = state(&mut sale);
            seat(&mut sale, state);
            let found = super::entitled::one_owner(&sale.record, &sale.copies, sale.now);
            assert_eq!(broken(std::slice::from_ref(&found)), expected, "{name}: {found}");
        };
    let own = |s: &mut Sale| Sold(s.confirmed().command.booking_id.clone());
    let other = |s: &mut Sale| Sold(s.refunded().command.booking_id.clone());
    let paying = |s: &mut Sale| Paying(s.confirmed().command.booking_id.clone());
    check("as the record says", own, true, &[]);
    check("sold to another", other, true, &[I1]);
    check("sold to another, not settled", other, false, &[]);
    check("free although sold", |_| Free, true, &[I1]);
    check("free, not settled", |_| Free, false, &[]);
    check("held although sold", |_| Held, true, &[I1]);
    check("paying although sold", paying, true, &[I1]);
    check("paying, not settled", paying, false, &[]);
}

#[test]
fn a_copy_of_another_event_is_compared_with_its_own_claims() {
    let mut sale = Sale::sound();
    let seats = vec![(PlaceId::parse("stalls-A-1").unwrap(), SeatCopyState::Free)];
    let event = EventId::parse("another").unwrap();
    sale.copies.push(SeatCopy { event, seats });
    sale.now = NOW.plus_seconds(1_000);
    let found = super::entitled::one_owner(&sale.record, &sale.copies, sale.now);
    assert!(!found.is_broken(), "{found}");
}

fn bkg(name: &str) -> BookingId {
    BookingId::parse(&format!("bkg_{name}")).unwrap()
}

fn rfd(name: &str) -> crate::RefundId {
    crate::RefundId::parse(&format!("rfd_{name}")).unwrap()
}

/// One more cent on both sides still balances, but is not what was captured.
impl Sale {
    fn both_legs_more(&mut self) {
        self.leg(0).minor += 1;
        self.leg(1).minor -= 1;
    }

    fn leg(&mut self, index: usize) -> &mut Money {
        &mut self.record.transfers[0].legs[index].amount
    }
}
