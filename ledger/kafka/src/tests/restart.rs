//! A broker that dies and comes back while messages are on their way: what was acknowledged is
//! there, what was surely refused is not, and everybody goes on by himself.
use super::{TestLog, note, soon};
use crate::KafkaLog;
use futures_util::FutureExt;
use ledger::conformance::sample::SampleEvent;
use ledger::{BookingCommand, BookingId, BookingLog, Group, Message};
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A broker of this test alone, from the jars of the development stack: killing the shared one
/// would hit everybody's tests.
struct Broker {
    dir: TempDir,
    jars: String,
    port: u16,
    process: Option<Child>,
}

#[expect(clippy::disallowed_methods, reason = "where the development stack keeps its jars")]
fn jars() -> String {
    let cache = std::env::var("TIDEGATE_DEV_CACHE").map(PathBuf::from).unwrap_or_else(|_| {
        PathBuf::from(std::env::var("HOME").expect("a home folder")).join(".cache/tidegate-dev")
    });
    let entries = std::fs::read_dir(&cache).into_iter().flatten().flatten();
    let found = entries.map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kafka-"))
    });
    let found = found
        .unwrap_or_else(|| panic!("no Kafka in {}: run `ops/dev/up kafka` once", cache.display()));
    format!("{}/*", found.display())
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

impl Broker {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (port, controller) = (free_port(), free_port());
        let data = dir.path().join("data");
        let settings = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             log.dirs={}\nauto.create.topics.enable=false\n\
             offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n\
             group.initial.rebalance.delay.ms=0\nlog.cleaner.dedupe.buffer.size=16777216\n",
            data.display()
        );
        std::fs::write(dir.path().join("server.properties"), settings).expect("settings");
        let mut broker = Self { dir, jars: jars(), port, process: None };
        let mut format = broker.java(&["kafka.tools.StorageTool", "format", "-t"]);
        format.arg("dGlkZWdhdGUtdGVzdC0wMQ").arg("-c").arg(broker.settings());
        let formatted = format.output().await.expect("java runs");
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        broker.revive().await;
        broker
    }

    fn settings(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:TieredStopAtLevel=1"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
            .args(["-cp", &self.jars])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts it on the data it has.
    async fn revive(&mut self) {
        let mut command = self.java(&["kafka.Kafka"]);
        command.arg(self.settings()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("java runs"));
    }

    async fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.expect("it dies");
    }

    async fn answers(&self) {
        soon("the broker's start", async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

/// How appends were answered.
#[derive(Default)]
struct Answers {
    acknowledged: HashSet<BookingId>,
    refused: HashSet<BookingId>,
    unknown: HashSet<BookingId>,
}

impl Answers {
    /// Appends one booking after another, eight at a time, until `enough`.
    async fn append(
        &mut self,
        log: &KafkaLog,
        event: &SampleEvent,
        enough: impl Fn(&Self) -> bool,
    ) {
        while !enough(self) {
            let commands: Vec<_> = (0..8).map(|_| event.place(&["a-1"])).collect();
            let appends = commands.iter().map(|command| {
                log.append(vec![Message::Command(BookingCommand::Place(command.clone()))])
            });
            let answers = futures_util::future::join_all(appends).await;
            for (command, answer) in commands.into_iter().zip(answers) {
                let kind = match answer {
                    Ok(()) => &mut self.acknowledged,
                    Err(error) if error.is_retryable() => &mut self.refused,
                    Err(error) if error.is_unknown() => &mut self.unknown,
                    Err(error) => panic!("{error}"),
                };
                kind.insert(command.booking_id);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Answers {
    /// Appends without waiting, until one is refused before it is sent.
    async fn until_refused(&mut self, log: &KafkaLog, event: &SampleEvent) {
        loop {
            let command = event.place(&["a-1"]);
            let message = Message::Command(BookingCommand::Place(command.clone()));
            match log.append(vec![message]).now_or_never() {
                None => self.unknown.insert(command.booking_id),
                Some(answer) => {
                    let error = answer.unwrap_err();
                    assert!(error.is_retryable(), "{error}");
                    self.refused.insert(command.booking_id);
                    return;
                }
            };
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_and_comes_back_loses_nothing() {
    let mut broker = Broker::start().await;
    broker.answers().await;
    let mut test = TestLog::at(format!("127.0.0.1:{}", broker.port), 3);
    test.bounds.delivery_timeout = Duration::from_secs(3);
    test.bounds.request_timeout = Duration::from_secs(30);
    let log = test.open().await;
    let event = SampleEvent::default();
    let mut reader = log.subscribe(Group::PaymentWorker).await.unwrap();
    let mut answers = Answers::default();
    soon("a first part", answers.append(&log, &event, |answers| answers.acknowledged.len() >= 100))
        .await;
    let seen = super::Seen::default();
    soon("a first reading", super::work(reader.as_mut(), &seen, |seen| seen >= 50)).await;

    broker.kill().await;
    // What is on its way may be there or not; as soon as it is known that nobody listens, appends
    // are refused at once.
    soon("a refusal", answers.until_refused(&log, &event)).await;
    assert!(log.ping().await.is_err_and(|error| error.is_retryable()));
    let refused = answers.refused.len().saturating_add(50);
    let unknown = answers.unknown.len();
    soon("more", answers.append(&log, &event, |answers| answers.refused.len() >= refused)).await;
    assert_eq!(
        answers.unknown.len(),
        unknown,
        "nobody waits for a broker that is known to be away"
    );

    broker.revive().await;
    let before = answers.acknowledged.len();
    let more = |answers: &Answers| answers.acknowledged.len() >= before.saturating_add(100);
    soon("a second part", answers.append(&log, &event, more)).await;
    // The same reader, which was never told that anything happened.
    let (acknowledged, all) = (answers.acknowledged.clone(), &seen);
    soon("all that was acknowledged", async {
        while !all.lock().unwrap().is_superset(&acknowledged) {
            for delivery in reader.next(100).await.unwrap() {
                note(all, &delivery);
            }
            reader.commit().await.unwrap();
        }
    })
    .await;
    super::settled(&log, Group::PaymentWorker).await;
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_disjoint(&answers.refused), "what was refused must not be there");
    assert!(
        seen.iter().all(|id| answers.acknowledged.contains(id) || answers.unknown.contains(id))
    );

    // A reader can leave though nobody is there to hear it: the test ends, and waits for it.
    broker.kill().await;
    drop(reader);
}
