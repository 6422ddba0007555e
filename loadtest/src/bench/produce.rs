//! Appending to the booking log beside a bare loop of librdkafka, and Kafka's own benchmark.
mod java;
mod sides;

pub(crate) use sides::{SideFlags, side};

use super::rounds::{Part, Ratios, Round, describe};
use super::{Flags, Measurement, Row, cpu, sample};
use crate::operator::{Scratch, ourselves};
use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use ledger::{BookingCommand, Message, Topic};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::Instant;

const ROW: Row = Row {
    stage: "append to the booking log",
    against: "a bare librdkafka loop of the same bytes, same broker and settings, msg/client-cpu-s",
    floor: 0.70,
    goal: 0.85,
    stretch: 0.95,
};

/// Before anything is measured: connections, topic metadata, the first batches.
const WARM_UP: Duration = Duration::from_secs(3);
/// Different messages, sent in turn.
const SAMPLES: usize = 1_000;

#[derive(Debug, Args)]
pub(crate) struct ProduceFlags {
    /// produce: the broker [default: that of ops/dev].
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:19092")]
    kafka: String,
    /// produce: messages on their way at once, on either side.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=90_000))]
    inflight: u32,
    /// produce: messages of one append of ours; a booking is one, a worker's outcomes are many.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    append: u32,
    /// produce: Kafka's jars, for its own benchmark [default: the newest of ops/dev's].
    #[arg(long, value_name = "DIR")]
    kafka_jars: Option<PathBuf>,
}

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// `KafkaLog`, as a node uses it.
    Ours,
    /// librdkafka's producer with one delivery callback, and nothing else.
    Bare,
}

/// A process of one side, which appends for as long as it is told.
struct Appender {
    child: Child,
    tell: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

pub(super) async fn produce(flags: &Flags) -> anyhow::Result<Measurement> {
    let prefix = format!("bench-{}-", std::process::id());
    let compared = compare(flags, &prefix).await;
    remove_topics(&flags.produce.kafka, &prefix).await?;
    compared
}

async fn compare(flags: &Flags, prefix: &str) -> anyhow::Result<Measurement> {
    let scratch = Scratch::new("produce")?;
    let payloads = scratch.path().join("payloads");
    std::fs::write(&payloads, payload_lines()?).context("keeping the payloads")?;
    // The first one makes the topic.
    let mut ours = Appender::start(Side::Ours, &flags.produce, prefix).await?;
    let mut bare = Appender::start(Side::Bare, &flags.produce, prefix).await?;
    ours.part(WARM_UP).await?;
    bare.part(WARM_UP).await?;
    let length = Duration::from_secs(flags.seconds);
    let mut rounds = Vec::new();
    for _ in 0..flags.rounds {
        let first = bare.part(length).await?;
        let pair = [ours.part(length).await?, ours.part(length).await?];
        rounds.push(Round { bare: [first, bare.part(length).await?], ours: pair });
    }
    drop((ours, bare));
    let sent = rounds.iter().flat_map(|round| round.bare).map(|part| part.requests).max();
    let beside = java::performance(flags, prefix, &payloads, sent.unwrap_or(0)).await?;
    let notes = vec![
        describe("bare", rounds.iter().flat_map(|round| round.bare)),
        describe("ours", rounds.iter().flat_map(|round| round.ours)),
        beside,
        conditions(flags)?,
        "durability: acks=all, idempotent, one broker, no fsync a message (Kafka's default)"
            .to_owned(),
    ];
    Ok(Measurement { row: ROW, ratios: Ratios::of(&rounds), notes, breaches: vec![] })
}

fn conditions(flags: &Flags) -> anyhow::Result<String> {
    let (inflight, append) = (flags.produce.inflight, flags.produce.append);
    let bytes = payload_lines()?.len() / SAMPLES;
    let (count, seconds) = (flags.rounds, flags.seconds);
    Ok(format!(
        "{count} rounds of 4 × {seconds} s, each side a process of its own; {inflight} messages \
         in flight, ours {append} an append; {bytes} bytes of JSON a message, 7 headers, keyed by \
         booking; lz4, linger 5 ms; ours makes JSON and headers for each, bare sends them ready; not \
         counted: making the messages themselves, which are copies of samples"
    ))
}

/// The messages that both sides send.
fn messages() -> anyhow::Result<Vec<Message>> {
    let bookings = sample::bookings(SAMPLES)?;
    Ok(bookings.into_iter().map(|place| Message::Command(BookingCommand::Place(place))).collect())
}

/// Their JSON, a line each.
fn payload_lines() -> anyhow::Result<Vec<u8>> {
    let lines = messages()?.iter().map(Message::encode).collect::<Vec<_>>();
    Ok(lines.join(&b'\n'))
}

fn topic(prefix: &str) -> String {
    format!("{prefix}{}", Topic::Bookings.name())
}

/// What was made for one run goes with it.
async fn remove_topics(broker: &str, prefix: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().context("reaching Kafka")?;
    let names = Topic::ALL.map(|topic| format!("{prefix}{}", topic.name()));
    let names = names.each_ref().map(String::as_str);
    admin.delete_topics(&names, &AdminOptions::new()).await.context("removing our topics")?;
    Ok(())
}

impl Appender {
    async fn start(side: Side, flags: &ProduceFlags, prefix: &str) -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        let name = side.to_possible_value().context("a side has a name")?;
        command.arg("produce-side").arg(name.get_name()).arg(prefix);
        command.args(["--kafka", &flags.kafka]);
        command.args(["--inflight", &flags.inflight.to_string()]);
        command.args(["--append", &flags.append.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting a side")?;
        let tell = child.stdin.take().context("the child's stdin is piped")?;
        let stdout = child.stdout.take().context("the child's stdout is piped")?;
        let mut appender = Self { child, tell, lines: BufReader::new(stdout).lines() };
        let first = appender.hear().await?;
        ensure!(first == sides::READY, "a side said {first:?} first");
        Ok(appender)
    }

    /// Appends for so long.
    async fn part(&mut self, length: Duration) -> anyhow::Result<Part> {
        let pid = self.child.id().context("a side has ended")?;
        let (start, before) = (Instant::now(), cpu::used(pid)?);
        let order = format!("{}\n", length.as_millis());
        self.tell.write_all(order.as_bytes()).await.context("telling a side")?;
        let (requests, made) = self.appended().await?;
        ensure!(requests > 0, "nothing was appended");
        let made = Duration::from_nanos(made.saturating_mul(requests));
        let cpu = cpu::used(pid)?.saturating_sub(before).saturating_sub(made);
        Ok(Part { requests, wall: start.elapsed(), cpu, own: Duration::ZERO })
    }

    /// How many messages, and how many nanoseconds it took to make each.
    async fn appended(&mut self) -> anyhow::Result<(u64, u64)> {
        let line = self.hear().await?;
        let numbers = line
            .split_once(' ')
            .and_then(|(count, made)| Some((count.parse().ok()?, made.parse().ok()?)));
        numbers.with_context(|| format!("{line:?} is not what a side says"))
    }

    async fn hear(&mut self) -> anyhow::Result<String> {
        let line = self.lines.next_line().await.context("hearing a side")?;
        line.context("a side ended too early")
    }
}
