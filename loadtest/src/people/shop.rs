//! In the shop: find seats, pay for them, wait for the ticket.
use super::line::Pass;
use super::person::{Exit, Person, Step, read, unexpected};
use super::plan::Persona;
use super::seats::Hold;
use crate::canaries::Secret;
use crate::history::{BookingSeen, End, Micros};
use crate::http::Request;
use crate::latency::Route;
use ledger::audit::Invariant;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long an accepted booking may take to its end (I4: 120 s after the last fault).
const BOOKING_PATIENCE: Duration = Duration::from_secs(150);
/// How long after a decline its hold may still count as paying.
const OUTCOME_LAG: Duration = Duration::from_secs(10);
/// Attempts at paying for one hold.
const ATTEMPTS_MAX: u32 = 3;

/// An answer of `GET /api/bookings/{id}`.
#[derive(Debug, Deserialize)]
struct Booking {
    status: String,
    #[serde(default)]
    seats: Vec<String>,
    #[serde(default)]
    tickets: Vec<Value>,
    hold: Option<StillHeld>,
}

#[derive(Debug, Deserialize)]
struct StillHeld {
    expires_in: u64,
}

impl Person {
    pub(super) async fn shop(&mut self, pass: &Pass) -> Step<End> {
        let hold = self.find_seats(pass).await?;
        let mischievous = self.sale.started.elapsed() < self.sale.scenario.mischief;
        match self.plan.persona {
            Persona::LeavesShop => {
                if self.plan.politely || !mischievous {
                    self.release(&hold).await?;
                }
                Ok(End::Left)
            }
            Persona::LatePayer if mischievous => self.pay_late(pass, &hold).await,
            Persona::Buyer
            | Persona::Picker
            | Persona::DoubleClicker
            | Persona::Sharer
            | Persona::LatePayer
            | Persona::Retrier
            | Persona::Decliner
            | Persona::LeavesLine
            | Persona::Canceller => self.pay(hold).await,
        }
    }

    /// Pays, with another card after a decline if this person has one.
    async fn pay(&mut self, hold: Hold) -> Step<End> {
        let part = self.below(100) as f64 / 100.0;
        self.pause(self.sale.scenario.think.mul_f64(part)).await;
        for attempt in 1..=ATTEMPTS_MAX {
            let card = match attempt {
                _ if attempt <= self.plan.persona.bad_cards() => self.bad_card(),
                1 => "tok_default".to_owned(),
                _ => "tok_good".to_owned(),
            };
            let booked = self.sale.now();
            let Some(booking) = self.book(&hold, attempt, &card).await? else {
                return Ok(End::Refused);
            };
            let ended = self.follow(&booking, &hold).await?;
            match (ended.status.as_str(), ended.hold) {
                ("confirmed", _) if self.plan.persona == Persona::Canceller => {
                    return self.give_back(&booking, &hold).await;
                }
                ("confirmed", _) => return Ok(End::Confirmed),
                ("declined", Some(hold)) if hold.expires_in > 0 => {}
                ("declined", _) => return self.over(&hold, booked, End::Declined),
                _ => return self.over(&hold, booked, End::Refused),
            }
            if self.plan.persona == Persona::Decliner {
                break;
            }
        }
        self.release(&hold).await?;
        Ok(End::Declined)
    }

    /// A card that no gateway knows, and so declines: nobody else has its token, which can then be
    /// looked for where it must not be.
    fn bad_card(&mut self) -> String {
        let token = format!("tok_canary_{:016x}", self.plan.seed);
        self.history.was_given(Secret::PaymentToken, &token);
        token
    }

    /// Cancels a confirmed booking and waits for the money.
    async fn give_back(&mut self, booking: &str, hold: &Hold) -> Step<End> {
        let now = self.sale.now();
        self.over(hold, now, ())?;
        let path = format!("/api/bookings/{booking}/cancel");
        let request = Request::post(path, &json!({})).login(&self.login);
        let answer = self.call(Route::Cancel, &request).await?;
        if answer.status != 202 {
            return Err(unexpected(Route::Cancel, &answer));
        }
        let cancelled = Instant::now();
        while cancelled.elapsed() < BOOKING_PATIENCE {
            let seen = self.look_at_booking(booking).await?;
            if seen.status == "refunded" {
                self.history.sample(Invariant::I19, "a cancelled booking", "refunded", "refunded");
                return Ok(End::Refunded);
            }
            self.pause(Duration::from_millis(200)).await;
        }
        self.history.sample(Invariant::I19, "a cancelled booking", "refunded", "no refund");
        Ok(End::Refunded)
    }

    /// What the booking is by now.
    async fn look_at_booking(&mut self, booking: &str) -> Step<Booking> {
        let request = Request::get(format!("/api/bookings/{booking}?wait=10")).login(&self.login);
        let answer = self.call(Route::Booking, &request).await?;
        if answer.status != 200 {
            return Err(unexpected(Route::Booking, &answer));
        }
        let seen: Booking = read(Route::Booking, &answer)?;
        for known in self.history.bookings.iter_mut().filter(|known| known.booking == booking) {
            known.status.clone_from(&seen.status);
        }
        Ok(seen)
    }

    /// Books; `None` when the hold is over, as it may be by then.
    async fn book(&mut self, hold: &Hold, attempt: u32, card: &str) -> Step<Option<String>> {
        #[derive(Deserialize)]
        struct Accepted {
            booking_id: String,
        }
        let key = format!("book-{}-{attempt}", self.plan.index);
        let request = self.book_request(hold, &key, card);
        let answers = if self.plan.persona == Persona::DoubleClicker {
            self.call_twice(Route::Book, &request).await?.into()
        } else {
            vec![self.call(Route::Book, &request).await?]
        };
        let mut booking = None;
        for answer in answers {
            match (answer.status, answer.code().as_str()) {
                (202, _) => {
                    let Accepted { booking_id } = read(Route::Book, &answer)?;
                    self.history.keyed(&key, booking_id.as_str());
                    booking = Some(booking_id);
                }
                // The twin is still running; what it answers counts.
                (409, "idempotency_running") => {}
                (410, "hold_expired") => {
                    let late = self.is_over(hold);
                    let got = if late { "202".into() } else { answer.summary() };
                    self.history.sample(Invariant::I8, "book a live hold", "202", got);
                }
                _ => return Err(unexpected(Route::Book, &answer)),
            }
        }
        Ok(booking)
    }

    pub(super) fn book_request(&self, hold: &Hold, key: &str, card: &str) -> Request {
        let event = &self.sale.event;
        let body = json!({"event_id": event, "hold_id": hold.id, "payment_token": card});
        Request::post("/api/tickets/book", &body).login(&self.login).keyed(key)
    }

    /// Follows a booking to its end.
    async fn follow(&mut self, id: &str, hold: &Hold) -> Step<Booking> {
        let accepted = Instant::now();
        let at = self.history.bookings.len();
        self.history.bookings.push(BookingSeen {
            booking: id.to_owned(),
            seats: hold.seats.clone(),
            status: "processing".to_owned(),
            tickets: 0,
        });
        while accepted.elapsed() < BOOKING_PATIENCE {
            let request = Request::get(format!("/api/bookings/{id}?wait=10")).login(&self.login);
            let answer = self.call(Route::Booking, &request).await?;
            // Who lost the hold and has not read the log yet knows nothing of its booking.
            let lost = self.sale.fault_history.may_have_lost(hold.asked);
            if answer.status == 404 && lost && accepted.elapsed() < OUTCOME_LAG {
                self.pause(Duration::from_millis(500)).await;
                continue;
            }
            if answer.status != 200 {
                return Err(unexpected(Route::Booking, &answer));
            }
            let booking: Booking = read(Route::Booking, &answer)?;
            let seen = &mut self.history.bookings[at];
            seen.status.clone_from(&booking.status);
            seen.tickets = booking.tickets.len();
            if !matches!(booking.status.as_str(), "processing" | "refund_pending") {
                seen.seats.clone_from(&booking.seats);
                if booking.status == "confirmed" {
                    self.sale.fault_history.confirmed(accepted);
                }
                self.sale.latencies.record(Route::BookToEnd, accepted.elapsed());
                return Ok(booking);
            }
            self.pause(Duration::from_millis(100)).await;
        }
        Err(Exit::Fault(format!("booking {id} had no end within {BOOKING_PATIENCE:?}")))
    }

    /// Gives the seats back.
    pub(super) async fn release(&mut self, hold: &Hold) -> Step<()> {
        let now = self.sale.now();
        self.over(hold, now, ())?;
        let request = Request::delete(format!("/api/tickets/lock/{}", hold.id)).login(&self.login);
        let mut answer = self.call(Route::Release, &request).await?;
        // The seats may hear of a decline a little later than the visitor.
        let patience = Instant::now() + OUTCOME_LAG;
        while answer.code() == "hold_paying" && Instant::now() < patience {
            self.pause(Duration::from_millis(500)).await;
            answer = self.call(Route::Release, &request).await?;
        }
        let got = if self.is_over(hold) { "204".to_owned() } else { answer.summary() };
        self.history.sample(Invariant::I8, "release a live hold", "204", got);
        Ok(())
    }

    /// True when nobody need keep the seats for us any more.
    pub(super) fn is_over(&self, hold: &Hold) -> bool {
        self.sale.now() > self.sale.fault_history.certain_until(hold.asked, hold.until)
    }

    /// From `since` on the seats may be anybody's.
    fn over<T>(&mut self, hold: &Hold, since: Micros, end: T) -> Step<T> {
        for held in self.history.holds.iter_mut().filter(|held| held.hold == hold.id) {
            held.until = held.until.min(since);
        }
        Ok(end)
    }
}
