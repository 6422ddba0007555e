//! Waiting: join, watch the public queue status at the pace it asks for, claim when called.
use super::person::{Exit, Person, Step, read, unexpected};
use super::plan::Persona;
use crate::canaries::Secret;
use crate::history::{Called, End, Joined, Micros, Sighting, WaitTold};
use crate::http::{Answer, Request};
use crate::latency::Route;
use ledger::audit::Invariant;
use ledger::people_ahead;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Somewhat longer than the lease of a keyed request.
const RUNNING_PATIENCE: Duration = Duration::from_secs(35);

/// A place in line.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    pub(super) token: String,
    entry: u64,
    number: Option<u64>,
    now_serving: u64,
    ahead: Option<u64>,
    eta_seconds: Option<Eta>,
    state: String,
    poll_after_ms: u64,
}

/// A range of seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Eta {
    min: u64,
    max: u64,
}

/// The right to be in the shop.
pub(super) struct Pass {
    pub(super) jwt: String,
    pub(super) until: Micros,
}

/// The public resource that everybody watches.
#[derive(Debug, Deserialize)]
struct QueueStatus {
    state: String,
    now_serving: u64,
    seats_available: Option<u64>,
    poll: Vec<(Option<u64>, u64)>,
}

/// What `/me` tells.
#[derive(Debug, Deserialize)]
struct OwnStatus {
    state: String,
    entry: u64,
    number: Option<u64>,
    now_serving: u64,
    ahead: Option<u64>,
    eta_seconds: Option<Eta>,
    poll_after_ms: u64,
}

impl QueueStatus {
    /// The interval for somebody so far from the head: the first row that reaches as far.
    fn interval(&self, ahead: u64) -> Duration {
        let reaches = |row: &&(Option<u64>, u64)| row.0.is_none_or(|bound| ahead <= bound);
        let row = self.poll.iter().find(reaches).or(self.poll.last());
        Duration::from_millis(row.map_or(2_000, |row| row.1))
    }
}

impl Person {
    pub(super) async fn join(&mut self) -> Step<Place> {
        let started = self.sale.now();
        let mut request = self.join_request();
        if self.plan.joins_with_login {
            request = request.login(&self.login).keyed(&format!("join-{}", self.plan.index));
        }
        let mut answer = self.call(Route::Join, &request).await?;
        // Where an answer was lost, its request may count as running until its lease ends.
        let patience = Instant::now() + RUNNING_PATIENCE;
        while answer.code() == "idempotency_running" && Instant::now() < patience {
            self.pause(Duration::from_secs(1)).await;
            answer = self.call(Route::Join, &request).await?;
        }
        match (answer.status, answer.code().as_str()) {
            (201, _) => {}
            (409, "queue_closed" | "sold_out") => return Err(Exit::Ended(End::Refused)),
            _ => return Err(unexpected(Route::Join, &answer)),
        }
        let place: Place = read(Route::Join, &answer)?;
        let (entry, number) = (place.entry, place.number);
        self.history.joined = Some(Joined { entry, number, started, ended: self.sale.now() });
        self.history.was_given(Secret::QueueToken, &place.token);
        self.was_told(entry, number, place.ahead, place.now_serving);
        self.was_promised(place.eta_seconds);
        if self.plan.persona == Persona::DoubleClicker {
            self.join_again(&place).await?;
        }
        Ok(place)
    }

    /// A live token that is shown keeps its place.
    async fn join_again(&mut self, place: &Place) -> Step<()> {
        let again = self.join_request().with("queue-token", &place.token);
        let again = if self.plan.joins_with_login { again.login(&self.login) } else { again };
        let answer = self.call(Route::Join, &again).await?;
        self.history.sample(
            Invariant::I8,
            "join again with the own token",
            "200",
            answer.summary(),
        );
        if answer.status == 200 {
            let same: Place = read(Route::Join, &answer)?;
            self.was_told(same.entry, same.number, same.ahead, same.now_serving);
        }
        Ok(())
    }

    /// Returns once this place may be claimed.
    pub(super) async fn wait_to_be_called(&mut self, place: &Place) -> Step<()> {
        let mut wait = Duration::from_millis(place.poll_after_ms);
        let mut called = place.state == "ready";
        let mut looks = 0;
        loop {
            if self.plan.persona == Persona::LeavesLine && looks >= self.plan.looks {
                return self.leave_line(place).await;
            }
            if called {
                return Ok(());
            }
            let looked = self.sale.now();
            self.pause_in_line(wait).await?;
            looks += 1;
            let status = self.look().await?;
            self.now_serving = status.now_serving.max(self.now_serving);
            // Before a draw there is no number to compare, and only `/me` knows more; the same
            // goes for whether seats that are not free are sold or merely held.
            let Some(number) = place.number.filter(|_| status.seats_available != Some(0)) else {
                (called, wait) = self.look_at_own_status(place).await?;
                if called {
                    self.history.called = Some(Called { looked, heard: self.sale.now() });
                }
                continue;
            };
            if status.state == "closed" {
                return Err(Exit::Ended(End::Refused));
            }
            called = number <= self.now_serving;
            if called {
                self.history.called = Some(Called { looked, heard: self.sale.now() });
            }
            wait = status.interval(people_ahead(number, self.now_serving));
        }
    }

    /// The claim, repeated at the server's pace until it is granted or refused.
    pub(super) async fn claim(&mut self, place: &Place) -> Step<Pass> {
        #[derive(Deserialize)]
        struct Granted {
            pass: String,
            expires_in: u64,
        }
        loop {
            let asked = self.sale.now();
            self.history.claims += 1;
            let answer = self.claim_as(&self.login.clone(), &place.token).await?;
            match (answer.status, answer.code().as_str()) {
                (200, _) => {
                    let Granted { pass, expires_in } = read(Route::Claim, &answer)?;
                    self.history.admitted = true;
                    self.history.was_given(Secret::Pass, &pass);
                    let until = asked + expires_in.saturating_sub(1) * 1_000_000;
                    return Ok(Pass { jwt: pass, until });
                }
                (202, _) => {
                    let wait = self.read_own_status(Route::Claim, &answer)?.1;
                    self.pause_in_line(wait).await?;
                }
                (409, "sold_out" | "queue_closed") => return Err(Exit::Ended(End::Refused)),
                (410, "missed") => return Err(Exit::Ended(End::Missed)),
                _ => return Err(unexpected(Route::Claim, &answer)),
            }
        }
    }

    pub(super) async fn claim_as(&mut self, login: &str, token: &str) -> Step<Answer> {
        let request = Request::post(format!("/api/queue/{}/pass", self.sale.queue), &json!({}));
        self.call(Route::Claim, &request.login(login).with("queue-token", token)).await
    }

    fn join_request(&self) -> Request {
        Request::post(format!("/api/queue/{}/join", self.sale.queue), &json!({}))
    }

    async fn look(&mut self) -> Step<QueueStatus> {
        let request = Request::get(format!("/api/queue/{}", self.sale.queue));
        let answer = self.call(Route::Watch, &request).await?;
        if answer.status != 200 {
            return Err(unexpected(Route::Watch, &answer));
        }
        read(Route::Watch, &answer)
    }

    async fn look_at_own_status(&mut self, place: &Place) -> Step<(bool, Duration)> {
        let request = Request::get(format!("/api/queue/{}/me", self.sale.queue));
        let answer = self.call(Route::Me, &request.with("queue-token", &place.token)).await?;
        if answer.status != 200 {
            return Err(unexpected(Route::Me, &answer));
        }
        self.read_own_status(Route::Me, &answer)
    }

    /// Reads an answer about the own place: whether it may claim, and when to look again.
    fn read_own_status(&mut self, route: Route, answer: &Answer) -> Step<(bool, Duration)> {
        let own: OwnStatus = read(route, answer)?;
        self.was_told(own.entry, own.number, own.ahead, own.now_serving);
        self.was_promised(own.eta_seconds);
        let called = match own.state.as_str() {
            "ready" | "returning" | "admitted" => true,
            "sold_out" => return Err(Exit::Ended(End::Left)),
            "missed" | "done" => return Err(Exit::Ended(End::Missed)),
            "closed" => return Err(Exit::Ended(End::Refused)),
            _ => false,
        };
        Ok((called, Duration::from_millis(own.poll_after_ms)))
    }

    async fn leave_line(&mut self, place: &Place) -> Step<()> {
        if self.plan.politely {
            let leave = Request::delete(format!("/api/queue/{}/me", self.sale.queue));
            let leave = leave.with("queue-token", &place.token);
            let answer = self.call(Route::Leave, &leave).await?;
            self.history.sample(Invariant::I8, "leave the line", "204", answer.summary());
        }
        Err(Exit::Ended(End::Left))
    }

    /// Pauses, but goes home at the last call.
    async fn pause_in_line(&mut self, about: Duration) -> Step<()> {
        let last_call = self.sale.started + self.sale.scenario.last_call;
        if Instant::now() + about > last_call {
            self.sleep_till(last_call).await;
            return Err(Exit::Ended(End::Left));
        }
        self.pause(about).await;
        Ok(())
    }

    fn was_promised(&mut self, eta: Option<Eta>) {
        let Some(Eta { min, max }) = eta else { return };
        let told = self.sale.now();
        self.history.waits.push(WaitTold { told, least_seconds: min, most_seconds: max });
    }

    /// The server told of the own place. How many are ahead is judged beside what the greatest
    /// `now_serving` seen so far leaves.
    fn was_told(&mut self, entry: u64, number: Option<u64>, ahead: Option<u64>, now_serving: u64) {
        self.now_serving = now_serving.max(self.now_serving);
        let at_most = number.map(|number| people_ahead(number, self.now_serving));
        let sighting = Sighting { entry, number, ahead, at_most };
        if self.history.sightings.last() != Some(&sighting) {
            self.history.sightings.push(sighting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_follows_the_distance_from_the_head() {
        let poll = vec![(Some(50), 2_000), (Some(2_000), 10_000), (None, 60_000)];
        let mut status =
            QueueStatus { state: "open".into(), now_serving: 0, seats_available: None, poll };
        for (ahead, millis) in [
            (0, 2_000),
            (50, 2_000),
            (51, 10_000),
            (2_000, 10_000),
            (2_001, 60_000),
            (u64::MAX, 60_000),
        ] {
            assert_eq!(status.interval(ahead), Duration::from_millis(millis), "{ahead} ahead");
        }
        status.poll.pop();
        assert_eq!(status.interval(9_999), Duration::from_secs(10), "the last row goes on");
        status.poll.clear();
        assert_eq!(status.interval(0), Duration::from_secs(2), "no table is no licence");
    }
}
