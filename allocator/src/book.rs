//! From a hold to a command on the log, and back again to cancel.
use crate::recovery::EventCopy;
use crate::store::{Applied, Paid, Pay, Truth};
use crate::{BookAnswer, BookRequest, BookTarget, Error, SeatAllocator, metrics};
use ledger::booking_trace::{BookingStep, booking_span};
use ledger::{
    ATTEMPTS_MAX, AccountId, Booking, BookingCommand, BookingId, BookingOutcome, BookingStatus,
    CancelBooking, Message, PlaceBooking, SeatEffect,
};
use std::collections::HashSet;
use tracing::field::display;
use tracing::{Instrument, Span};

/// How many bookings of one hold a `book` may find decided before it begins its own: each attempt
/// once, and the sale at the end.
const DECIDED_MAX: u32 = ATTEMPTS_MAX + 1;

impl SeatAllocator {
    /// Stores the command in the hold, appends it, and answers once the log has it.
    pub async fn book(&self, request: BookRequest) -> Result<BookAnswer, Error> {
        let span = booking_span(BookingStep::Book, &request.event.id, None, None);
        let answer = self.book_unmeasured(request).instrument(span).await;
        metrics::booked(&answer);
        answer
    }

    async fn book_unmeasured(&self, request: BookRequest) -> Result<BookAnswer, Error> {
        let copy = self.copy(&request.event);
        let BookRequest { account, target, payment_token, key, .. } = request;
        let mut request = Pay { account, target, payment_token, key, joins: None };
        for _ in 0..=DECIDED_MAX {
            let paid = self.pay(&copy, &request).await?;
            if let Paid::Begun(command) | Paid::Live { command, .. } = &paid {
                let span = Span::current();
                span.record("hold.id", display(&command.hold_id));
                span.record("booking.id", display(&command.booking_id));
                BookingStep::Book.done();
            }
            match paid {
                Paid::Begun(command) => return self.append_first(&copy, &command).await,
                Paid::Live { command, keyed } => match self.decided(&copy, &command).await? {
                    None => {
                        if self.join(&copy, &mut request, &command).await? {
                            return self.append_again(&command).await;
                        }
                    }
                    Some(booking) if keyed => return Ok(BookAnswer::Accepted(Box::new(booking))),
                    // The hold is now what the outcome made of it: request again.
                    Some(_) => {}
                },
                Paid::Before(booking) => return self.booked_before(&booking).await,
                Paid::NotFound => return self.forgotten(&request).await,
                Paid::Expired => return Ok(BookAnswer::Expired),
                Paid::NotHolder => return Ok(BookAnswer::NotHolder),
                Paid::Mismatch => return Ok(BookAnswer::Mismatch),
            }
        }
        Err(Error::Recovering)
    }

    async fn pay(&self, copy: &EventCopy, request: &Pay) -> Result<Paid, Error> {
        let store = &self.parts().store;
        self.call(copy, |at| async move { store.pay(&at, request).await }).await
    }

    /// Binds the key to the booking, if it is still what the hold pays for: its outcome may have
    /// come since the books were read.
    async fn join(
        &self,
        copy: &EventCopy,
        request: &mut Pay,
        command: &PlaceBooking,
    ) -> Result<bool, Error> {
        request.joins = Some(command.booking_id.clone());
        let joined = self.pay(copy, request).await?;
        request.joins = None;
        Ok(
            matches!(joined, Paid::Live { command: now, .. } if now.booking_id == command.booking_id),
        )
    }

    /// Nobody else knows of this command yet: if the log surely does not have it, the hold goes
    /// back to what it was.
    async fn append_first(
        &self,
        copy: &EventCopy,
        command: &PlaceBooking,
    ) -> Result<BookAnswer, Error> {
        let Err(error) = self.append_place(command).await else {
            return Ok(BookAnswer::Accepted(Box::new(Booking::placed(command))));
        };
        let booking = &command.booking_id;
        let unknown = |source| Error::OutcomeUnknown { booking: booking.clone(), source };
        if !error.is_retryable() {
            return Err(unknown(error));
        }
        let store = &self.parts().store;
        match self.call(copy, |at| async move { store.unpay(&at, booking).await }).await {
            Ok(true) => Err(Error::Store(error)),
            // Another `book` on the hold may have appended it, or will hear of it: the sweeper
            // appends it again at its deadline.
            Ok(false) | Err(_) => Err(unknown(error)),
        }
    }

    async fn append_again(&self, command: &PlaceBooking) -> Result<BookAnswer, Error> {
        match self.append_place(command).await {
            Ok(()) => Ok(BookAnswer::Accepted(Box::new(Booking::placed(command)))),
            Err(source) => {
                Err(Error::OutcomeUnknown { booking: command.booking_id.clone(), source })
            }
        }
    }

    async fn append_place(&self, command: &PlaceBooking) -> Result<(), ledger::StoreError> {
        let PlaceBooking { event_id, hold_id, booking_id, .. } = command;
        let span = booking_span(BookingStep::Place, event_id, Some(hold_id), Some(booking_id));
        let message = Message::Command(BookingCommand::Place(command.clone()));
        let appended = self.parts().log.append(vec![message]).instrument(span.clone()).await;
        if appended.is_ok() {
            span.in_scope(|| BookingStep::Place.done());
        }
        appended
    }

    /// The booking, if the books have decided it: its outcome is applied here first.
    pub(crate) async fn decided(
        &self,
        copy: &EventCopy,
        command: &PlaceBooking,
    ) -> Result<Option<Booking>, Error> {
        let purchase = self.parts().purchases.purchase(&command.booking_id).await?;
        let Some(outcome) = purchase.map(|purchase| purchase.outcome()) else { return Ok(None) };
        if outcome.seat_effect() == SeatEffect::Keep {
            return Ok(None);
        }
        self.apply(copy, &outcome).await?;
        Ok(Some(outcome.booking))
    }

    async fn booked_before(&self, booking: &BookingId) -> Result<BookAnswer, Error> {
        let purchase = self.parts().purchases.purchase(booking).await?;
        Ok(match purchase {
            Some(purchase) => BookAnswer::Accepted(Box::new(purchase.booking())),
            None => BookAnswer::Expired,
        })
    }

    /// A hold that the store has forgotten may have been bought all the same.
    async fn forgotten(&self, request: &Pay) -> Result<BookAnswer, Error> {
        let BookTarget::Hold(hold) = &request.target else { return Ok(BookAnswer::NotFound) };
        for attempt in 1..=ATTEMPTS_MAX {
            let id = BookingId::of_attempt(hold, attempt);
            let Some(purchase) = self.parts().purchases.purchase(&id).await? else {
                return Ok(if attempt == 1 { BookAnswer::NotFound } else { BookAnswer::Expired });
            };
            if purchase.command.account_id != request.account {
                return Ok(BookAnswer::NotHolder);
            }
            match purchase.status {
                BookingStatus::Processing | BookingStatus::Confirmed => {
                    return Ok(BookAnswer::Accepted(Box::new(purchase.booking())));
                }
                BookingStatus::Declined
                | BookingStatus::SeatLost
                | BookingStatus::OverCap
                | BookingStatus::Expired
                | BookingStatus::Cancelled
                | BookingStatus::RefundPending
                | BookingStatus::Refunded => {}
            }
        }
        Ok(BookAnswer::Expired)
    }

    /// Appends a cancel for a booking that the caller has found and may cancel.
    #[tracing::instrument(
        level = "debug",
        skip_all,
        fields(
            event.id = %booking.event_id,
            booking.id = %booking.id,
            hold.id = %booking.hold_id,
            account.id = %by,
        )
    )]
    pub async fn cancel(&self, booking: &Booking, by: &AccountId) -> Result<(), Error> {
        let mut messages = Vec::new();
        if booking.status == BookingStatus::Processing
            && let Some(command) = self.paying_command(&booking.id).await?
        {
            // Its command may not have reached the log yet; a cancel of what nobody opened would
            // be lost.
            messages.push(Message::Command(BookingCommand::Place(*command)));
        }
        messages.push(Message::Command(BookingCommand::Cancel(CancelBooking {
            booking_id: booking.id.clone(),
            event_id: booking.event_id.clone(),
            requested_by: by.clone(),
            requested_at: self.parts().clock.now(),
        })));
        self.parts().log.append(messages).await.map_err(|source| {
            if source.is_retryable() {
                Error::Store(source)
            } else {
                Error::OutcomeUnknown { booking: booking.id.clone(), source }
            }
        })
    }

    /// Applies an outcome to the event's copy; where the copy disagrees, the record is read.
    pub(crate) async fn apply(
        &self,
        copy: &EventCopy,
        outcome: &BookingOutcome,
    ) -> Result<Applied, Error> {
        let Booking { event_id, hold_id, id, .. } = &outcome.booking;
        let span = booking_span(BookingStep::Apply, event_id, Some(hold_id), Some(id));
        self.apply_untraced(copy, outcome).instrument(span).await
    }

    async fn apply_untraced(
        &self,
        copy: &EventCopy,
        outcome: &BookingOutcome,
    ) -> Result<Applied, Error> {
        let store = &self.parts().store;
        let applied = self.call(copy, |at| async move { store.apply(&at, outcome).await }).await?;
        metrics::applied(applied);
        BookingStep::Apply.done();
        // A lost seat has an owner that this copy does not know of; it may not have been read
        // for when the outcome was applied first.
        let lost = outcome.booking.status == BookingStatus::SeatLost;
        if applied == Applied::Unexpected || lost {
            self.reload(copy, &outcome.booking).await?;
        }
        Ok(applied)
    }

    /// Sets the places of a booking to what the record says of them.
    async fn reload(&self, copy: &EventCopy, booking: &Booking) -> Result<(), Error> {
        let layout = &copy.event().layout;
        let mine: HashSet<u32> =
            booking.items.iter().filter_map(|item| layout.find(item.item.as_str())).collect();
        let mut claims = self.parts().purchases.claims(&copy.event().id, 0).await?;
        loop {
            let is_mine = |place| mine.contains(&place);
            let mut places = self.truth(copy, &claims, is_mine, |_| None).await?;
            let unclaimed = mine
                .iter()
                .filter(|place| !places.iter().any(|(claimed, _)| claimed == *place))
                .map(|place| (*place, Truth::Unclaimed(booking.id.clone())));
            let unclaimed: Vec<_> = unclaimed.collect();
            places.extend(unclaimed);
            let (store, truth) = (&self.parts().store, &places);
            self.call(copy, |at| async move { store.reload(&at, truth).await }).await?;
            let later = self.parts().purchases.claims(&copy.event().id, claims.revision).await?;
            let touched = |place: &str| layout.find(place).is_some_and(&is_mine);
            let moved = later.live.iter().any(|claim| touched(claim.place.as_str()))
                || later.released.iter().any(|place| touched(place.as_str()));
            if !moved {
                return Ok(());
            }
            claims = self.parts().purchases.claims(&copy.event().id, 0).await?;
        }
    }
}
