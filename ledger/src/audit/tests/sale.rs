//! A small sound sale as plain data, made by the same pure functions as a real one.
use crate::audit::record::{QueueHistory, Record};
use crate::audit::{GatewayCharge, GatewayLog, GatewayRefund, SeatCopy, SeatCopyState};
use crate::booking::{BookingStatus, PlaceBooking};
use crate::books::{ClaimRecord, Guard, LoggedAsk, LoggedCommand, QueueRecord, SeatCount};
use crate::clock::Timestamp;
pub(super) use crate::conformance::sample::NOW;
use crate::conformance::sample::SampleEvent;
use crate::ids::{BookingId, PlaceId, QueueId};
use crate::purchase::{ChargeResult, ClaimEffect, Purchase, Step, cancel, refunded, settle};
use crate::ticket::{Ticket, TicketState};
use crate::transfer::TransferRecord;

pub(super) struct Sale {
    pub(super) record: Record,
    pub(super) gateway: GatewayLog,
    pub(super) copies: Vec<SeatCopy>,
    pub(super) now: Timestamp,
    event: SampleEvent,
    confirmed: BookingId,
    refunded: BookingId,
    declined: BookingId,
    processing: BookingId,
}

impl Sale {
    /// One booking of two places confirmed, one cancelled and refunded, one declined, one lost,
    /// one whose answer is still to come, one whose refund is.
    pub(super) fn sound() -> Self {
        let event = SampleEvent::default();
        let place = |places: &[&str]| event.place(places);
        let commands = [
            place(&["stalls-A-1", "stalls-A-2"]),
            place(&["stalls-A-3"]),
            place(&["stalls-A-4"]),
            place(&["stalls-A-5"]),
            place(&["stalls-A-1"]),
            place(&["stalls-A-6"]),
        ];
        let id = |index: usize| commands[index].booking_id.clone();
        let mut sale = Self {
            confirmed: id(0),
            refunded: id(1),
            declined: id(2),
            processing: id(3),
            record: Record::default(),
            gateway: GatewayLog::default(),
            copies: Vec::new(),
            now: NOW.plus_seconds(10),
            event,
        };
        let [first, second, third, fourth, fifth, sixth] = commands;
        let captured = sale.begin(first);
        sale.capture(captured);
        let undone = sale.begin(second);
        let undone = sale.capture(undone);
        let undone = sale.step(cancel(undone, false, NOW.plus_seconds(2)).unwrap());
        sale.pay_back(undone);
        let declined = sale.begin(third);
        sale.decline(declined);
        sale.begin(fourth);
        let lost = Purchase::opened(fifth, NOW).refused(BookingStatus::SeatLost, "seat_lost", NOW);
        sale.step(lost);
        let owed = sale.begin(sixth);
        let owed = sale.capture(owed);
        sale.step(cancel(owed, false, NOW).unwrap());
        sale.surround();
        sale
    }

    pub(super) fn confirmed(&mut self) -> &mut Purchase {
        self.record.purchases.get_mut(&self.confirmed).unwrap()
    }

    pub(super) fn refunded(&mut self) -> &mut Purchase {
        self.record.purchases.get_mut(&self.refunded).unwrap()
    }

    pub(super) fn declined(&mut self) -> &mut Purchase {
        self.record.purchases.get_mut(&self.declined).unwrap()
    }

    pub(super) fn processing(&mut self) -> &mut Purchase {
        self.record.purchases.get_mut(&self.processing).unwrap()
    }

    /// The gateway has charged what is still open here.
    pub(super) fn charge_processing(&mut self) {
        let purchase = self.processing().clone();
        self.list_charge(&purchase, true);
    }

    /// The gateway says captured where it said declined to us.
    pub(super) fn capture_declined(&mut self) {
        let id = &self.declined;
        let charge = self.gateway.charges.iter_mut().find(|charge| charge.booking_id == *id);
        charge.unwrap().captured = true;
    }

    /// A whole second booking of a place that is sold, sound in itself.
    pub(super) fn sell_again(&mut self, place: &str) {
        let begun = self.begin(self.event.place(&[place]));
        self.capture(begun);
        self.count_seats();
    }

    /// The lost booking's claim on the place it lost.
    pub(super) fn claim_again(&mut self) {
        let lost = self.record.purchases.values().find(|p| p.status == BookingStatus::SeatLost);
        let mut claim = self.record.claims[0].clone();
        let command = &lost.unwrap().command;
        claim.booking_id = command.booking_id.clone();
        claim.account_id = command.account_id.clone();
        self.record.claims.push(claim);
    }

    pub(super) fn claim_of_nobody(&mut self) {
        let mut claim = self.record.claims[0].clone();
        claim.booking_id = BookingId::parse("bkg_nobody").unwrap();
        claim.account_id = self.event.account();
        claim.place = PlaceId::parse("stalls-A-9").unwrap();
        self.record.claims.push(claim);
    }

    pub(super) fn log_old(&mut self, ask: LoggedAsk) {
        let appended_at = NOW.plus_seconds(0).plus_millis(-600_000);
        let position = "99".to_owned();
        self.record.commands.push(LoggedCommand { position, ask, appended_at, dead: false });
    }

    fn begin(&mut self, command: PlaceBooking) -> Purchase {
        for item in &command.items {
            self.record.claims.push(ClaimRecord {
                event_id: command.event_id.clone(),
                place: item.item.clone(),
                booking_id: command.booking_id.clone(),
                account_id: command.account_id.clone(),
                sold: false,
                released_at: None,
            });
        }
        let purchase = Purchase::opened(command, NOW).submitted(NOW);
        self.keep(purchase)
    }

    fn capture(&mut self, purchase: Purchase) -> Purchase {
        self.list_charge(&purchase, true);
        let amount = purchase.command.total;
        let result = ChargeResult::Captured { charge_id: "ch_1".into(), amount };
        self.step(settle(purchase, &result, NOW.plus_seconds(1)).unwrap().unwrap())
    }

    fn decline(&mut self, purchase: Purchase) -> Purchase {
        self.list_charge(&purchase, false);
        let result = ChargeResult::Declined { code: "card_declined".into() };
        self.step(settle(purchase, &result, NOW.plus_seconds(1)).unwrap().unwrap())
    }

    fn pay_back(&mut self, purchase: Purchase) {
        let refund = purchase.refunds[0].clone();
        self.gateway.refunds.push(GatewayRefund {
            refund_id: refund.refund_id.clone(),
            booking_id: purchase.command.booking_id.clone(),
            amount: refund.amount,
            received_at: NOW.plus_seconds(3),
        });
        let done = refunded(purchase, &refund.refund_id, NOW.plus_seconds(3));
        self.step(done.unwrap().unwrap());
    }

    fn list_charge(&mut self, purchase: &Purchase, captured: bool) {
        self.gateway.charges.push(GatewayCharge {
            charge_id: format!("ch_{}", self.gateway.charges.len()),
            booking_id: purchase.command.booking_id.clone(),
            amount: purchase.command.total,
            captured,
            received_at: NOW.plus_millis(500),
        });
    }

    /// Writes a step as a store does.
    fn step(&mut self, step: Step) -> Purchase {
        let Step { purchase, claims, transfer, .. } = step;
        let id = purchase.command.booking_id.clone();
        for claim in self.record.claims.iter_mut().filter(|c| c.booking_id == id) {
            match claims {
                ClaimEffect::Keep => {}
                ClaimEffect::Sell => claim.sold = true,
                ClaimEffect::Release => claim.released_at = Some(purchase.updated_at),
            }
        }
        match claims {
            ClaimEffect::Sell => self.record.tickets.extend(tickets_of(&purchase)),
            ClaimEffect::Keep => {}
            ClaimEffect::Release => {
                let own = self.record.tickets.iter_mut().filter(|t| t.booking_id == id);
                own.for_each(|ticket| ticket.state = TicketState::Void);
            }
        }
        let transfers = transfer.map(TransferRecord::from);
        self.record.transfers.extend(transfers);
        self.keep(purchase)
    }

    fn keep(&mut self, purchase: Purchase) -> Purchase {
        let id = purchase.command.booking_id.clone();
        self.record.purchases.insert(id, purchase.clone());
        purchase
    }

    /// What stands around the bookings: counts, guards, the log, a queue, the seat store's copy.
    fn surround(&mut self) {
        self.count_seats();
        for verb in ["delete of legs", "update of legs"] {
            self.record.guards.push(Guard { refuses: verb.into(), stands: true });
        }
        for (position, id) in self.record.purchases.keys().enumerate() {
            let (ask, appended_at) = (LoggedAsk::Place(id.clone()), NOW);
            let position = position.to_string();
            self.record.commands.push(LoggedCommand { position, ask, appended_at, dead: false });
        }
        self.log_old(LoggedAsk::Cancel(self.refunded.clone()));
        self.record.queues.push(queue(&[(1, 0, 900), (2, 300, 9_000), (3, 900, 9_000)]));
        let sold =
            (PlaceId::parse("stalls-A-1").unwrap(), SeatCopyState::Sold(self.confirmed.clone()));
        let free = (PlaceId::parse("stalls-A-9").unwrap(), SeatCopyState::Free);
        self.copies = vec![SeatCopy { event: self.event.id.clone(), seats: vec![sold, free] }];
    }

    fn count_seats(&mut self) {
        self.record.seat_counts.clear();
        for claim in self.record.claims.iter().filter(|claim| claim.released_at.is_none()) {
            let own = |c: &&mut SeatCount| c.account_id == claim.account_id;
            match self.record.seat_counts.iter_mut().find(own) {
                Some(count) => count.seats += 1,
                None => self.record.seat_counts.push(SeatCount {
                    event_id: claim.event_id.clone(),
                    account_id: claim.account_id.clone(),
                    seats: 1,
                }),
            }
        }
    }
}

/// A queue with admissions of (number, at, ended at), two at once, ten a second.
pub(super) fn queue(admissions: &[(u64, i64, i64)]) -> QueueHistory {
    use crate::admission::{Admission, AdmissionSource, SlotRef};
    use crate::books::LimitsChange;
    use crate::event::QueueSettings;
    let id = QueueId::parse("queue").unwrap();
    let admission = |(number, at, ended): &(u64, i64, i64)| Admission {
        slot: SlotRef { queue: id.clone(), number: *number },
        account: crate::AccountId::parse(&format!("acc_{number}")).unwrap(),
        at: Timestamp::from_millis(*at),
        until: Timestamp::from_millis(at + 600_000),
        ended_at: Some(Timestamp::from_millis(*ended)),
        source: AdmissionSource::Line,
    };
    let settings = QueueSettings { rate_per_minute: 600, capacity: 2, ..QueueSettings::default() };
    let record = QueueRecord {
        generation: 1,
        leased_to: 1_000,
        lease_start: 900,
        now_serving: 950,
        admitted_max: 3,
    };
    QueueHistory {
        admissions: admissions.iter().map(admission).collect(),
        limits: vec![LimitsChange { at: Timestamp::from_millis(0), settings }],
        record,
        id,
    }
}

fn tickets_of(purchase: &Purchase) -> Vec<Ticket> {
    let command = &purchase.command;
    let ticket = |(made, item): (&crate::BookingTicket, &crate::BookingItem)| Ticket {
        id: made.ticket_id.clone(),
        booking_id: command.booking_id.clone(),
        event_id: command.event_id.clone(),
        account_id: command.account_id.clone(),
        item: item.item.clone(),
        seat: item.seat.clone(),
        label: item.label.clone(),
        issue: 1,
        state: TicketState::Valid,
        used_at: None,
    };
    purchase.tickets.iter().zip(&command.items).map(ticket).collect()
}
