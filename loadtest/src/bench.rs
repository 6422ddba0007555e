//! Benchmarks: Tidegate beside something bare, in one run, by CPU-second.
mod bare;
mod book;
mod cpu;
mod defaults;
mod drive;
mod fresh;
mod hold;
mod lateness;
mod produce;
mod rounds;
mod sample;
mod settle;
mod token;
mod versus;

pub(crate) use bare::{BareFlags, bare};
pub(crate) use produce::{SideFlags, side as produce_side};

use crate::say;
use anyhow::Context;
use clap::{Args, ValueEnum};
use rounds::Ratios;
use serde::Serialize;
use std::path::PathBuf;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// GET /api/queue/{queue} beside a bare hyper server sending the same bytes.
    Watch,
    /// POST /api/queue/{queue}/join beside a bare hyper echo, the store included.
    Join,
    /// Verifying a queue token beside jsonwebtoken's HS256.
    Token,
    /// Bookings a second from join to ticket, with a gateway of 0 and of 50 ms.
    Book,
    /// Appending to Kafka beside a bare loop of librdkafka, by CPU-second of the client.
    Produce,
    /// Settling bookings in Postgres beside pgbench: the same statements, and single rows.
    Settle,
    /// Holding seats in Redis beside redis-benchmark of the same script, and ending holds on time.
    Hold,
    /// How soon each of several nodes shows that the queue moved.
    Fresh,
}

#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[arg(value_enum)]
    subject: Subject,
    /// Rounds, each bare – ours – ours – bare.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each of the four parts of a round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Keep-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_000))]
    connections: u16,
    /// Where to write the result as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    produce: produce::ProduceFlags,
    #[command(flatten)]
    settle: settle::SettleFlags,
    #[command(flatten)]
    hold: hold::HoldFlags,
    #[command(flatten)]
    fresh: fresh::FreshFlags,
}

/// What a ratio must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Row {
    stage: &'static str,
    against: &'static str,
    floor: f64,
    goal: f64,
    stretch: f64,
}

const WATCH: Row = Row {
    stage: "watch the queue (GET /api/queue/{queue})",
    against: "a bare hyper server sending the same bytes, req/cpu-s",
    floor: 0.85,
    goal: 0.92,
    stretch: 0.97,
};
const JOIN: Row = Row {
    stage: "join (number, signed token; limits off)",
    against: "bare hyper POST echo, req/cpu-s, store included",
    floor: 0.65,
    goal: 0.80,
    stretch: 0.90,
};
const TOKEN: Row = Row {
    stage: "verify a queue token",
    against: "jsonwebtoken HS256 decode",
    floor: 2.0,
    goal: 4.0,
    stretch: 8.0,
};

/// A measured row.
#[derive(Debug, Serialize)]
struct Measurement {
    row: Row,
    ratios: Ratios,
    /// Lines that say under which conditions.
    notes: Vec<String>,
    /// Invariants that were broken while measuring; a throughput counts only without.
    breaches: Vec<String>,
}

/// Measures; false when a floor is missed or an invariant broken.
pub(crate) async fn bench(flags: &Flags) -> anyhow::Result<bool> {
    let mut measurements = match flags.subject {
        Subject::Watch => vec![versus::watch(flags).await?],
        Subject::Join => vec![versus::join(flags).await?],
        Subject::Token => vec![token::token(flags).await?],
        Subject::Book => return book::book(flags).await,
        Subject::Produce => vec![produce::produce(flags).await?],
        Subject::Settle => settle::settle(flags).await?,
        Subject::Hold => hold::hold(flags).await?,
        Subject::Fresh => vec![fresh::fresh(flags).await?],
    };
    if cfg!(debug_assertions) {
        let note = "not built with --release: these figures say nothing about Tidegate";
        measurements.iter_mut().for_each(|measured| measured.notes.push(note.to_owned()));
    }
    if let Some(path) = &flags.json {
        let json = match &*measurements {
            [one] => serde_json::to_string_pretty(one),
            several => serde_json::to_string_pretty(several),
        };
        std::fs::write(path, json.context("writing the result")? + "\n")
            .context("writing the result")?;
    }
    say(&measurements.iter().map(Measurement::text).collect::<String>())?;
    Ok(measurements.iter().all(Measurement::meets_floor))
}

impl Measurement {
    fn meets_floor(&self) -> bool {
        self.breaches.is_empty() && self.ratios.median >= self.row.floor
    }

    fn verdict(&self) -> &'static str {
        let Row { floor, goal, stretch, .. } = self.row;
        match self.ratios.median {
            _ if !self.breaches.is_empty() => "does not count: an invariant is broken",
            _ if !self.ratios.is_conclusive() => "inconclusive: the control is off",
            ratio if ratio >= stretch => "stretch reached",
            ratio if ratio >= goal => "goal met",
            ratio if ratio >= floor => "floor met",
            _ => "BELOW THE FLOOR",
        }
    }

    fn text(&self) -> String {
        let Row { stage, against, floor, goal, stretch } = self.row;
        let Ratios { median, min, max, control } = self.ratios;
        let mut text = self.notes.iter().map(|note| format!("{note}\n")).collect::<String>();
        text.extend(self.breaches.iter().map(|breach| format!("BROKEN: {breach}\n")));
        text.push_str(&format!(
            "\n{stage}\n  against {against}\n  floor {floor}  goal {goal}  stretch {stretch}\n  \
             measured {median:.3} ({min:.3} to {max:.3}), control {control:.3}: {}\n",
            self.verdict()
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_follows_the_row() {
        let measured = |median: f64, control: f64, breaches: &[&str]| {
            let ratios = Ratios { median, min: median, max: median, control };
            let breaches = breaches.iter().map(|&breach| breach.to_owned()).collect();
            Measurement { row: WATCH, ratios, notes: vec![], breaches }
        };
        for (median, control, breaches, verdict, meets) in [
            (0.84, 1.0, &[][..], "BELOW THE FLOOR", false),
            (0.85, 1.0, &[], "floor met", true),
            (0.92, 1.0, &[], "goal met", true),
            (0.97, 1.0, &[], "stretch reached", true),
            (0.97, 1.06, &[], "inconclusive: the control is off", true),
            (0.80, 0.90, &[], "inconclusive: the control is off", false),
            (0.97, 1.0, &["I9"], "does not count: an invariant is broken", false),
        ] {
            let measurement = measured(median, control, breaches);
            let got = (measurement.verdict(), measurement.meets_floor());
            assert_eq!(got, (verdict, meets), "{median} {control}");
        }
    }
}
