//! Finding seats: the best there are, or one from the map, until some are held or hope is lost.
use super::line::Pass;
use super::person::{Exit, Person, Step, read, unexpected};
use super::plan::Persona;
use crate::history::{End, HoldSeen, Micros};
use crate::http::{Answer, Request};
use crate::latency::Route;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The longest between two looks at a map without free seats.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(8);

/// Seats in hand.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) id: String,
    pub(super) seats: Vec<String>,
    /// The number of the seat picked from the map, in layout order from 1.
    pub(super) picked: Option<usize>,
    /// What was asked for, so that it can be asked for again.
    pub(super) body: Value,
    pub(super) expires: Instant,
    pub(super) asked: Micros,
    pub(super) until: Micros,
}

/// The seat map, its sections in the order of the layout.
pub(super) struct SeatMap(pub(super) String);

impl SeatMap {
    /// True when nothing is free and nothing can become free.
    fn is_final(&self) -> bool {
        self.0.bytes().all(|seat| matches!(seat, b's' | b'x'))
    }

    fn free(&self) -> Vec<usize> {
        self.0.bytes().enumerate().filter(|(_, seat)| *seat == b'.').map(|(at, _)| at + 1).collect()
    }
}

impl Person {
    /// Tries for seats, fewer and fewer, until some are held or hope is lost.
    pub(super) async fn find_seats(&mut self, pass: &Pass) -> Step<Hold> {
        let give_up = Instant::now() + self.sale.scenario.hunt;
        let picks = matches!(self.plan.persona, Persona::Picker | Persona::LatePayer);
        let mut free = if picks { self.map().await?.free() } else { vec![] };
        let mut quantity = self.plan.quantity;
        let mut wait = Duration::from_millis(500);
        for turn in 0_u32.. {
            let picked = if free.is_empty() { None } else { Some(free[self.below(free.len())]) };
            let body = self.wish(quantity, picked);
            let key = format!("lock-{}-{turn}", self.plan.index);
            if let Some(hold) = self.lock(pass, &key, body, picked).await? {
                return Ok(hold);
            }
            if quantity > 1 {
                quantity /= 2;
                continue;
            }
            // Nobody asks for seats that the map does not show.
            loop {
                self.pause(wait).await;
                wait = (wait * 2).min(LOOK_AGAIN_MAX);
                let map = self.map().await?;
                if map.is_final() || Instant::now() > give_up {
                    return Err(Exit::Ended(End::Refused));
                }
                free = map.free();
                if !free.is_empty() {
                    break;
                }
            }
            if !picks {
                free.clear();
            }
        }
        Err(Exit::Ended(End::Refused))
    }

    fn wish(&self, quantity: u32, picked: Option<usize>) -> Value {
        let event = &self.sale.event;
        match picked {
            Some(number) => json!({"event_id": event, "seat_number": number}),
            None => json!({"event_id": event, "best_available": {"quantity": quantity}}),
        }
    }

    /// One lock; `None` when the seats are somebody else's.
    async fn lock(
        &mut self,
        pass: &Pass,
        key: &str,
        body: Value,
        picked: Option<usize>,
    ) -> Step<Option<Hold>> {
        let asked = self.sale.now();
        let answer = if self.plan.persona == Persona::DoubleClicker {
            self.lock_twice(pass, key, &body).await?
        } else {
            let request = self.lock_request(pass, key, &body);
            self.call(Route::Lock, &request).await?
        };
        match (answer.status, answer.code().as_str()) {
            (200, _) => self.take_hold(&answer, body, picked, asked).map(Some),
            (409, "seat_taken" | "sold_out" | "no_adjacent_seats") => Ok(None),
            (403, "pass_invalid") if self.sale.now() > pass.until => Err(Exit::Ended(End::Missed)),
            _ => Err(unexpected(Route::Lock, &answer)),
        }
    }

    pub(super) fn lock_request(&self, pass: &Pass, key: &str, body: &Value) -> Request {
        let request = Request::post("/api/tickets/lock", body).login(&self.login);
        request.keyed(key).with("admission-pass", &pass.jwt)
    }

    /// Reads an answered lock and remembers how long the seats are certainly held.
    pub(super) fn take_hold(
        &mut self,
        answer: &Answer,
        body: Value,
        picked: Option<usize>,
        asked: Micros,
    ) -> Step<Hold> {
        #[derive(Deserialize)]
        struct Held {
            hold_id: String,
            seats: Vec<String>,
            expires_in: u64,
        }
        let Held { hold_id, seats, expires_in } = read(Route::Lock, answer)?;
        // `expires_in` is rounded up, and was computed no earlier than the lock was asked for.
        let until = asked + expires_in.saturating_sub(1) * 1_000_000;
        self.history.holds.push(HoldSeen {
            hold: hold_id.clone(),
            seats: seats.clone(),
            asked,
            from: self.sale.now(),
            until,
        });
        let expires = Instant::now() + Duration::from_secs(expires_in);
        Ok(Hold { id: hold_id, seats, picked, body, expires, asked, until })
    }

    pub(super) async fn map(&mut self) -> Step<SeatMap> {
        #[derive(Deserialize)]
        struct Map {
            sections: BTreeMap<String, String>,
        }
        let request = Request::get(format!("/api/events/{}/seats", self.sale.event));
        let answer = self.call(Route::Seats, &request).await?;
        let mut map: Map = read(Route::Seats, &answer)?;
        // The order in which the event was made with them.
        let order = ["stalls", "balcony"];
        let parts = order.iter().filter_map(|section| map.sections.remove(*section));
        Ok(SeatMap(parts.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_tells_what_is_free_and_when_hope_is_lost() {
        for (map, free, is_final) in [
            ("..hp", vec![1, 2], false),
            ("sshs", vec![], false),
            ("spss", vec![], false),
            ("sxs.", vec![4], false),
            ("sssx", vec![], true),
        ] {
            let seats = SeatMap(map.to_owned());
            assert_eq!((seats.free(), seats.is_final()), (free, is_final), "{map}");
        }
    }
}
