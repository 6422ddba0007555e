//! One person's visit, from the arrival to the ticket or to whatever came instead.
use super::plan::{Persona, Plan};
use super::sale::{Sale, Trouble};
use crate::history::{End, History};
use crate::http::{Answer, Request};
use crate::latency::Route;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Why a visit goes no further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Ended(End),
    /// The server did what it must not do.
    Fault(String),
}

pub(crate) type Step<T> = Result<T, Exit>;

/// Somebody who came for tickets.
pub(crate) struct Person {
    pub(super) sale: Arc<Sale>,
    pub(super) plan: Plan,
    /// The login token.
    pub(super) login: Arc<str>,
    /// Somebody else's login token, for those who share.
    pub(super) friend: Option<Arc<str>>,
    pub(super) history: History,
    /// The greatest that was seen.
    pub(super) now_serving: u64,
    rng: StdRng,
    /// When the next request should have been sent; its latency counts from then.
    due: Option<Instant>,
}

impl Person {
    pub(crate) fn new(
        sale: Arc<Sale>,
        plan: Plan,
        login: Arc<str>,
        friend: Option<Arc<str>>,
    ) -> Self {
        let rng = StdRng::seed_from_u64(plan.seed);
        let history = History::new(plan.index);
        Self { sale, plan, login, friend, history, now_serving: 0, rng, due: None }
    }

    /// Lives the whole visit and tells what was seen.
    pub(crate) async fn visit(mut self) -> History {
        self.history.end = match self.try_to_buy().await {
            Ok(end) | Err(Exit::Ended(end)) => end,
            Err(Exit::Fault(what)) => {
                self.history.faults.push(what);
                End::Error
            }
        };
        self.history
    }

    async fn try_to_buy(&mut self) -> Step<End> {
        self.sleep_till(self.sale.started + self.plan.arrive).await;
        let arrived = Instant::now();
        let place = self.join().await?;
        self.wait_to_be_called(&place).await?;
        let pass = self.claim(&place).await?;
        if self.plan.persona == Persona::Sharer {
            self.share(&place, &pass).await?;
        }
        let end = match self.shop(&pass).await {
            Ok(end) | Err(Exit::Ended(end)) => end,
            Err(fault) => return Err(fault),
        };
        match end {
            // A confirmed booking ends the slot by itself.
            // So does one that was given back: its slot ended when it was confirmed.
            End::Refunded => {}
            End::Confirmed => self.sale.latencies.record(Route::JoinToTicket, arrived.elapsed()),
            End::Left if !self.plan.politely => {}
            End::Declined | End::Missed | End::Left | End::Refused | End::Error => {
                let leave = Request::delete(format!("/api/queue/{}/me", self.sale.queue));
                self.call(Route::Leave, &leave.with("admission-pass", &pass.jwt)).await?;
            }
        }
        Ok(end)
    }

    /// Asks until the server answers; what no client should see ends the visit.
    pub(super) async fn call(&mut self, route: Route, request: &Request) -> Step<Answer> {
        let due = self.due.take().unwrap_or_else(Instant::now);
        let mut trouble = Trouble::default();
        let answer = self.sale.call(route, request, due, &mut trouble).await;
        self.note(trouble);
        answer.map_err(Exit::Fault)
    }

    /// The same request twice at the same moment, as an impatient finger does.
    pub(super) async fn call_twice(
        &mut self,
        route: Route,
        request: &Request,
    ) -> Step<[Answer; 2]> {
        let due = self.due.take().unwrap_or_else(Instant::now);
        let (mut first, mut second) = (Trouble::default(), Trouble::default());
        let (one, two) = tokio::join!(
            self.sale.call(route, request, due, &mut first),
            self.sale.call(route, request, due, &mut second),
        );
        self.note(first);
        self.note(second);
        Ok([one.map_err(Exit::Fault)?, two.map_err(Exit::Fault)?])
    }

    /// Pauses, give or take a fifth, so that people do not move in step.
    pub(super) async fn pause(&mut self, about: Duration) {
        let jitter = self.rng.random_range(0.8..1.2);
        self.sleep_till(Instant::now() + about.mul_f64(jitter)).await;
    }

    pub(super) async fn sleep_till(&mut self, due: Instant) {
        sleep_until(due).await;
        self.due = Some(due);
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }

    fn note(&mut self, trouble: Trouble) {
        self.history.sheds += trouble.sheds;
        self.history.lost += trouble.lost;
    }
}

/// An answer that the contract does not allow here.
pub(super) fn unexpected(route: Route, answer: &Answer) -> Exit {
    let body = String::from_utf8_lossy(answer.body());
    let body: String = body.chars().take(200).collect();
    Exit::Fault(format!("{}: unexpected {} {body}", route.as_str(), answer.status))
}

/// Reads an answer's body, which must be as the contract says.
pub(super) fn read<T: serde::de::DeserializeOwned>(route: Route, answer: &Answer) -> Step<T> {
    answer.json().map_err(|error| Exit::Fault(format!("{}: unreadable: {error}", route.as_str())))
}
