//! Bookings a second through one process with embedded stores, from join to ticket.
use super::Flags;
use super::cpu;
use super::versus::{DURABILITY, Fixture};
use crate::history::{End, History};
use crate::http::{Pool, locate};
use crate::judge::{judge, must_sell};
use crate::latency::{Latencies, Route};
use crate::people::{FaultHistory, Person, Persona, Plan, Refusals, Sale};
use crate::say;
use crate::scenario::{Scenario, Wanted, sections};
use crate::spike::mint_prefix;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Seats on offer, one a buyer: more than can be sold in the time.
const SEATS: u32 = 40_000;
/// How long the gateway takes, in milliseconds.
const GATEWAY_LATENCIES: [u32; 2] = [0, 50];

/// What one gateway latency came to.
struct Figure {
    latency_ms: u32,
    tickets: usize,
    wall: Duration,
    cpu: Duration,
    p50: f64,
    p99: f64,
    breaches: Vec<String>,
}

pub(super) async fn book(flags: &Flags) -> anyhow::Result<bool> {
    let mut figures = Vec::new();
    for latency_ms in GATEWAY_LATENCIES {
        figures.push(measure(flags, latency_ms).await?);
    }
    if let Some(path) = &flags.json {
        let items: Vec<Value> = figures.iter().map(Figure::json).collect();
        let json = serde_json::to_string_pretty(&items).context("writing the result")?;
        std::fs::write(path, json + "\n").context("writing the result")?;
    }
    let lines: String = figures.iter().map(Figure::text).collect();
    say(&format!("join → ticket, {} buyers at a time\n{DURABILITY}\n{lines}", flags.connections))?;
    Ok(figures.iter().all(|figure| figure.breaches.is_empty()))
}

async fn measure(flags: &Flags, latency_ms: u32) -> anyhow::Result<Figure> {
    let gateway = format!("simulated:?latency_ms={latency_ms}");
    let environment = [("TIDEGATE_PAYMENT_GATEWAY", gateway.as_str())];
    let fixture = Fixture::open(&format!("book-{latency_ms}"), &event(), &environment).await?;
    let logins = fixture.tidegate.mint(SEATS, &mint_prefix(&fixture.stage.event)).await?;
    let sale = Arc::new(sale_in(&fixture, flags).await?);
    let pid = fixture.server.pid()?;
    let (start, before) = (Instant::now(), cpu::used(pid)?);
    let length = Duration::from_secs(flags.seconds * u64::from(flags.rounds));
    let (plans, histories) = buy_until(&sale, logins, flags.connections, length).await?;
    let (wall, cpu) = (start.elapsed(), cpu::used(pid)?.saturating_sub(before));
    let scenario = Scenario { users: u32::try_from(plans.len())?, ..sale.scenario };
    let verdicts = judge(&scenario, &plans, &histories, true);
    let mut breaches = fixture.broken().await?;
    breaches.extend(verdicts.into_values().flat_map(|verdict| verdict.breaches));
    breaches.extend(histories.iter().flat_map(|history| history.faults.clone()));
    ensure!(must_sell(&scenario, &plans) > 0, "nobody came");
    let tickets = histories.iter().filter(|history| history.end == End::Confirmed).count();
    let ticket = sale.latencies.figures().remove(Route::JoinToTicket.as_str());
    let (p50, p99) = ticket.map_or((0.0, 0.0), |figures| (figures.p50, figures.p99));
    Ok(Figure { latency_ms, tickets, wall, cpu, p50, p99, breaches })
}

fn event() -> Value {
    json!({
        "name": "Bench", "date": "2030-06-01", "venue": "The load test",
        "sections": sections(SEATS),
        "queue": {"rate_per_minute": 6_000_000, "capacity": 100_000},
    })
}

async fn sale_in(fixture: &Fixture, flags: &Flags) -> anyhow::Result<Sale> {
    let (address, host) = locate(&fixture.server.base).await?;
    let connections = usize::from(flags.connections);
    let scenario = Scenario::new(Wanted {
        users: SEATS,
        seats: SEATS,
        arrive: Duration::from_secs(flags.seconds),
        rate_per_minute: Some(6_000_000),
        capacity: Some(100_000),
        seed: 1,
    });
    let scenario =
        Scenario { think: Duration::ZERO, last_call: Duration::from_secs(86_400), ..scenario };
    Ok(Sale {
        pool: Pool::new(address, &host, connections),
        waits: Pool::new(address, &host, connections),
        event: fixture.stage.event.clone(),
        queue: fixture.stage.queue.clone(),
        scenario,
        started: Instant::now(),
        latencies: Latencies::new(),
        fault_history: FaultHistory::default(),
        refusals: Refusals::default(),
    })
}

/// So many buyers at a time, each followed by the next, until the time is over.
async fn buy_until(
    sale: &Arc<Sale>,
    logins: Vec<String>,
    buyers: u16,
    length: Duration,
) -> anyhow::Result<(Vec<Plan>, Vec<History>)> {
    let (logins, next) = (Arc::new(logins), Arc::new(AtomicUsize::new(0)));
    let end = Instant::now() + length;
    let mut lanes = JoinSet::new();
    for _ in 0..buyers {
        let (sale, logins, next) = (sale.clone(), logins.clone(), next.clone());
        lanes.spawn(async move {
            let mut bought = Vec::new();
            while Instant::now() < end {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(login) = logins.get(at) else { break };
                let plan = buyer(at, sale.started.elapsed());
                let person = Person::new(sale.clone(), plan, login.as_str().into(), None);
                bought.push((plan, person.visit().await));
            }
            bought
        });
    }
    let mut all: Vec<(Plan, History)> = lanes.join_all().await.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(plan, _)| plan.index);
    Ok(all.into_iter().unzip())
}

fn buyer(at: usize, arrive: Duration) -> Plan {
    Plan {
        index: u32::try_from(at).unwrap_or(u32::MAX),
        arrive,
        persona: Persona::Buyer,
        quantity: 1,
        joins_with_login: true,
        politely: true,
        looks: 0,
        seed: at as u64,
    }
}

impl Figure {
    fn per_second(&self) -> f64 {
        self.tickets as f64 / self.wall.as_secs_f64()
    }

    fn per_cpu(&self) -> f64 {
        self.tickets as f64 / self.cpu.as_secs_f64()
    }

    fn text(&self) -> String {
        let Self { latency_ms, tickets, p50, p99, .. } = self;
        let (per_second, per_cpu) = (self.per_second(), self.per_cpu());
        let mut text = format!(
            "gateway {latency_ms} ms: {per_second:.0} bookings/s, {per_cpu:.0} a CPU-second \
             ({tickets} tickets), join → ticket p50 {p50:.0} ms, p99 {p99:.0} ms\n"
        );
        text.extend(self.breaches.iter().take(5).map(|breach| format!("  BROKEN: {breach}\n")));
        text
    }

    fn json(&self) -> Value {
        json!({
            "gateway_latency_ms": self.latency_ms,
            "tickets": self.tickets,
            "bookings_per_second": self.per_second(),
            "bookings_per_cpu_second": self.per_cpu(),
            "join_to_ticket_ms": {"p50": self.p50, "p99": self.p99},
            "breaches": self.breaches,
        })
    }
}
