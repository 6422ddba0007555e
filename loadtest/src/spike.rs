//! The spike: everybody comes at once for too few seats, and every promise is checked.
use crate::canaries::{Canaries, Secret};
use crate::history::History;
use crate::http::{Pool, Request, locate};
use crate::judge::{judge, oversold, required};
use crate::latency::Latencies;
use crate::operator::{ADMIN_PASSWORD, ADMIN_USERNAME, Tidegate};
use crate::people::{FaultHistory, Person, Persona, Plan, Refusals, Sale, plans};
use crate::report::{Measured, Report};
use crate::resources::Sampler;
use crate::scenario::{Scenario, sections};
use crate::verdict::Verdict;
use anyhow::{Context, bail};
use ledger::Topic;
use ledger::audit::Invariant;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long an operator's request may take; hashing the admin's password is the slowest.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the seat map may lag behind the last confirmed booking.
const MAP_LAG: Duration = Duration::from_secs(5);

/// Where to run, and as whom.
pub(crate) struct Target {
    /// One server, or the nodes of one sale.
    pub(crate) bases: Vec<String>,
    pub(crate) admin: (String, String),
    pub(crate) tidegate: Tidegate,
    /// Connections for short requests; as many again for long polls.
    pub(crate) connections: usize,
    /// False where several nodes answer: joins on different nodes have no order.
    pub(crate) one_node: bool,
    /// The admin listeners of the nodes, as far as they may be looked at.
    pub(crate) admins: Vec<String>,
    /// What the nodes log, as far as it is at hand.
    pub(crate) logs: Vec<PathBuf>,
}

/// A message of the booking log, as evidence.
pub(crate) struct TopicMessage {
    pub(crate) topic: Topic,
    pub(crate) bytes: Vec<u8>,
}

/// What was seen of a run from where its people cannot look.
#[derive(Default)]
pub(crate) struct Behind {
    pub(crate) sampler: Option<Sampler>,
    pub(crate) messages: Vec<TopicMessage>,
}

/// An event made for one run.
pub(crate) struct Stage {
    pub(crate) event: String,
    pub(crate) queue: String,
}

/// Everybody who will come, and the sale they come to.
pub(crate) struct Crowd {
    pub(crate) sale: Arc<Sale>,
    people: Vec<Plan>,
    logins: Vec<String>,
    passwords: Vec<String>,
}

pub(crate) async fn spike(target: &Target, scenario: &Scenario) -> anyhow::Result<Report> {
    let crowd = Crowd::gather(target, scenario).await?;
    let mut behind = Behind::of(target).await?;
    let histories = behind.beside(crowd.visit()).await?;
    crowd.report(target, &histories, &behind).await
}

impl Behind {
    pub(crate) async fn of(target: &Target) -> anyhow::Result<Self> {
        let sampler = match &*target.admins {
            [] => None,
            admins => Some(Sampler::new(admins, &target.tidegate).await?),
        };
        Ok(Self { sampler, messages: Vec::new() })
    }

    /// Samples while `run` goes on.
    pub(crate) async fn beside<T>(&mut self, run: impl Future<Output = T>) -> T {
        match &mut self.sampler {
            Some(sampler) => sampler.beside(run).await,
            None => run.await,
        }
    }
}

impl Crowd {
    /// Makes the event and the accounts.
    pub(crate) async fn gather(target: &Target, scenario: &Scenario) -> anyhow::Result<Self> {
        let mut addresses = Vec::new();
        let mut host = String::new();
        for base in &target.bases {
            let (address, name) = locate(base).await?;
            addresses.push(address);
            host = name;
        }
        let pool = Pool::over(addresses.clone(), &host, target.connections);
        let waits = Pool::over(addresses, &host, target.connections);
        let stage = set_up(&pool, &target.admin, &event_body(scenario)).await?;
        let people = plans(scenario);
        let sharers = people.iter().filter(|plan| plan.persona == Persona::Sharer).count();
        let count = scenario.users + u32::try_from(sharers).context("counting sharers")?;
        let logins = target.tidegate.mint(count, &mint_prefix(&stage.event)).await?;
        let sale = Arc::new(Sale {
            pool,
            waits,
            event: stage.event,
            queue: stage.queue,
            scenario: *scenario,
            started: Instant::now(),
            latencies: Latencies::new(),
            fault_history: FaultHistory::default(),
            refusals: Refusals::default(),
        });
        let passwords = vec![target.admin.1.clone(), plant_password(&sale).await?];
        Ok(Self { sale, people, logins, passwords })
    }

    /// Everybody's visit, as each tells it.
    pub(crate) async fn visit(&self) -> anyhow::Result<Vec<History>> {
        let mut histories = let_them_come(&self.sale, &self.people, &self.logins).await?;
        for hold in histories.iter_mut().flat_map(|history| &mut history.holds) {
            hold.until = self.sale.fault_history.certain_until(hold.asked, hold.until);
        }
        Ok(histories)
    }

    /// What clients saw and what the stores say.
    pub(crate) async fn report(
        &self,
        target: &Target,
        histories: &[History],
        behind: &Behind,
    ) -> anyhow::Result<Report> {
        let (sale, scenario) = (&self.sale, &self.sale.scenario);
        let duration = sale.started.elapsed();
        let mut clients = judge(scenario, &self.people, histories, target.one_node);
        let map = map_disagrees(sale, histories).await;
        if let Some(breach) = map.unwrap_or_else(|error| Some(format!("{error:#}"))) {
            clients.entry(Invariant::I8).or_default().breaches.push(breach);
        }
        if let Some(sampler) = &behind.sampler {
            clients.insert(Invariant::I20, sampler.verdict());
        }
        clients.insert(Invariant::I21, self.leaks(target, histories, behind)?);
        let audit = target.tidegate.audit().await?;
        let measured = Measured {
            oversold: oversold(histories),
            connections: sale.pool.opened() + sale.waits.opened(),
            latency_ms: sale.latencies.figures(),
            duration_seconds: duration.as_secs_f64(),
        };
        let required = required(scenario, &self.people, histories, behind.sampler.is_some());
        Ok(Report::new(scenario, histories, &clients, &audit, &required, measured))
    }

    /// Where this run's secrets turned up.
    fn leaks(
        &self,
        target: &Target,
        histories: &[History],
        behind: &Behind,
    ) -> anyhow::Result<Verdict> {
        let mut canaries = Canaries::default();
        self.logins.iter().for_each(|login| canaries.add(Secret::LoginToken, login));
        self.passwords.iter().for_each(|password| canaries.add(Secret::Password, password));
        for (kind, secret) in histories.iter().flat_map(|history| &history.secrets) {
            canaries.know(*kind, Some(*secret));
        }
        for body in self.sale.refusals.all() {
            canaries.search("the body of a refusal", &body, None);
        }
        for (admin, metrics) in behind.sampler.iter().flat_map(Sampler::metrics) {
            canaries.search(&format!("the metrics of {admin}"), metrics, None);
        }
        for message in &behind.messages {
            let allowed = (message.topic == Topic::Bookings).then_some(Secret::PaymentToken);
            canaries.search(message.topic.name(), &message.bytes, allowed);
        }
        for log in &target.logs {
            canaries.search_file(log).context("--server-log")?;
        }
        Ok(canaries.verdict())
    }
}

/// Registers somebody with a password that nobody else has, and lets it be refused in every way
/// that a password can be.
async fn plant_password(sale: &Sale) -> anyhow::Result<String> {
    let tail = mint_prefix(&sale.event);
    let (name, password) = (format!("{tail}-canary"), format!("canary password of {tail}"));
    let right = json!({"username": name, "password": password});
    let unknown = json!({"username": format!("{name}-2"), "password": password});
    let surplus = json!({"username": name, "password": password, "surplus": 1});
    for (path, body, expected) in [
        ("/api/auth/register", &right, 201),
        ("/api/auth/register", &right, 409),
        ("/api/auth/register", &surplus, 422),
        ("/api/auth/login", &unknown, 401),
        ("/api/auth/login", &right, 200),
    ] {
        let answer = sale.pool.send(&Request::post(path, body), PATIENCE).await?;
        sale.refusals.add(answer.body());
        if answer.status != expected {
            bail!("{path} answered {} where {expected} was due", answer.status);
        }
    }
    Ok(password)
}

/// The admin's credentials, which only the environment carries.
#[expect(clippy::disallowed_methods, reason = "the load test reads its environment once, here")]
pub(crate) fn admin_from_environment() -> Option<(String, String)> {
    Some((std::env::var(ADMIN_USERNAME).ok()?, std::env::var(ADMIN_PASSWORD).ok()?))
}

/// Logs in as the admin and makes an event.
pub(crate) async fn set_up(
    pool: &Pool,
    (username, password): &(String, String),
    event: &Value,
) -> anyhow::Result<Stage> {
    let credentials = json!({"username": username, "password": password});
    let login = call(pool, &Request::post("/api/auth/login", &credentials), 200).await?;
    let token = text(&login, "token")?;
    let made = call(pool, &Request::post("/api/events", event).login(&token), 201).await?;
    Ok(Stage { event: text(&made, "id")?, queue: text(&made, "queue_id")? })
}

fn event_body(scenario: &Scenario) -> Value {
    json!({
        "name": "Spike",
        "date": "2030-06-01",
        "venue": "The load test",
        "sections": sections(scenario.seats),
        "hold_ttl_seconds": scenario.hold_ttl_seconds,
        "queue": {
            "rate_per_minute": scenario.rate_per_minute,
            "capacity": scenario.capacity,
            "claim_window_seconds": scenario.claim_window_seconds,
            "return_seconds": scenario.return_seconds,
            "session_seconds": scenario.session_seconds,
        },
    })
}

async fn call(pool: &Pool, request: &Request, expected: u16) -> anyhow::Result<Value> {
    let answer = pool.send(request, PATIENCE).await?;
    if answer.status != expected {
        let body = String::from_utf8_lossy(answer.body());
        bail!("the server answered {} where {expected} was due: {body}", answer.status);
    }
    answer.json().context("reading the server's answer")
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("{field} is missing"))
}

/// A prefix that no earlier run used: the end of the event's id.
pub(crate) fn mint_prefix(event: &str) -> String {
    let tail: Vec<char> = event.chars().rev().take(10).collect();
    let tail: String = tail.into_iter().rev().filter(char::is_ascii_alphanumeric).collect();
    format!("spike-{}", tail.to_lowercase())
}

/// Everybody's visit; histories in the order of the plans.
async fn let_them_come(
    sale: &Arc<Sale>,
    people: &[Plan],
    logins: &[String],
) -> anyhow::Result<Vec<History>> {
    let (own, spare) = logins.split_at(people.len());
    let mut friends = spare.iter().map(|login| Arc::<str>::from(login.as_str()));
    let mut visits = JoinSet::new();
    for (plan, login) in people.iter().zip(own) {
        let friend = (plan.persona == Persona::Sharer).then(|| friends.next()).flatten();
        let person = Person::new(sale.clone(), *plan, login.as_str().into(), friend);
        visits.spawn(person.visit());
    }
    let mut histories = Vec::with_capacity(people.len());
    while let Some(history) = visits.join_next().await {
        histories.push(history.context("a person's task ended badly")?);
    }
    histories.sort_unstable_by_key(|history| history.person);
    Ok(histories)
}

/// What the public seat map shows as sold must be what people have confirmed.
async fn map_disagrees(sale: &Sale, histories: &[History]) -> anyhow::Result<Option<String>> {
    let confirmed = histories.iter().flat_map(History::confirmed_seats).count();
    let request = Request::get(format!("/api/events/{}/seats", sale.event));
    let asked = Instant::now();
    loop {
        let map = call(&sale.pool, &request, 200).await?;
        let sections = map["sections"].as_object().context("the map has no sections")?;
        let strings = sections.values().filter_map(Value::as_str);
        let sold = strings.flat_map(str::bytes).filter(|seat| *seat == b's').count();
        if sold == confirmed {
            return Ok(None);
        }
        if asked.elapsed() > MAP_LAG {
            let what = format!("the map shows {sold} seats sold, people have {confirmed}");
            return Ok(Some(what));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_names_are_new_for_every_event() {
        assert_eq!(mint_prefix("evt_01JZ8A7Y5N3K2M"), "spike-8a7y5n3k2m");
        assert_eq!(mint_prefix("short"), "spike-short");
    }
}
