//! Verifying a queue token beside verifying the same content as a JWT, on one thread.
use super::rounds::{Part, Ratios, Round};
use super::versus::{Fixture, crowded};
use super::{Flags, Measurement, TOKEN, cpu, defaults};
use crate::http::Request;
use anyhow::{Context, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ledger::keys::{KeySet, Keyring, load};
use ledger::{Clock, QueueId};
use ledger_sqlite::{MIGRATIONS, SqliteFile, open_books};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use waiting_room::{LocalQueueStore, Parts, Pressures, QueueToken, WaitingRoom};

/// Verifications between two looks at the clock.
const BATCH: u64 = 1_000;
const WARM_UP: Duration = Duration::from_secs(1);

/// What a queue token says, as JWT claims.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    aud: String,
    entry: u64,
    number: Option<u64>,
    sub: Option<String>,
    iat: i64,
}

/// A JWT of the token's content, and what it takes to verify it.
struct Jwt {
    text: String,
    key: DecodingKey,
    validation: Validation,
}

pub(super) async fn token(flags: &Flags) -> anyhow::Result<Measurement> {
    let fixture = Fixture::open("token", &crowded(), &[]).await?;
    let queue = QueueId::parse(&fixture.stage.queue).context("the queue's id")?;
    let signed = join(&fixture).await?;
    let room = room_of(fixture.scratch.path()).await?;
    let read = room.read_token(&queue, &signed).context("the server's token must be valid")?;
    let jwt = Jwt::of(&read)?;
    ensure!(jwt.verify()? == Claims::from(&read), "the JWT must say the same");
    let ours = || assert!(room.read_token(black_box(&queue), black_box(&signed)).is_some());
    let bare = || assert!(jwt.verify().is_ok());
    repeat(WARM_UP, &ours)?;
    repeat(WARM_UP, &bare)?;
    let length = Duration::from_secs(flags.seconds);
    let mut rounds = Vec::new();
    for _ in 0..flags.rounds {
        let first = repeat(length, &bare)?;
        let pair = [repeat(length, &ours)?, repeat(length, &ours)?];
        rounds.push(Round { bare: [first, repeat(length, &bare)?], ours: pair });
    }
    let notes = vec![
        format!("the token is {} bytes, the JWT {}", signed.len(), jwt.text.len()),
        nanoseconds("jsonwebtoken", rounds.iter().flat_map(|round| round.bare)),
        nanoseconds("queue token", rounds.iter().flat_map(|round| round.ours)),
    ];
    Ok(Measurement { row: TOKEN, ratios: Ratios::of(&rounds), notes, breaches: vec![] })
}

/// A token as a visitor gets it.
async fn join(fixture: &Fixture) -> anyhow::Result<String> {
    let request = Request::post(format!("/api/queue/{}/join", fixture.stage.queue), &json!({}));
    let answer = fixture.pool.send(&request, Duration::from_secs(30)).await?;
    let body: Value = answer.json().context("reading the join's answer")?;
    body["token"].as_str().map(str::to_owned).context("the join has no token")
}

/// A waiting room with the server's keys; reading tokens touches nothing else of it.
async fn room_of(scratch: &Path) -> anyhow::Result<WaitingRoom> {
    let keys = load(&scratch.join("data").join("keys.json")).context("the server's keys")?;
    let file = SqliteFile::open(&scratch.join("token.db"), &MIGRATIONS).await?;
    let books = open_books(&file);
    Ok(WaitingRoom::new(Parts {
        store: Arc::new(LocalQueueStore::new()),
        progress: books.queue_progress,
        admissions: books.admissions,
        queues: books.queues,
        keys: Keyring::new(KeySet::new(&keys).context("the server's keys")?),
        clock: Clock::System,
        config: defaults::of_stage("waiting_room")?,
        pressure: watch::channel(Pressures::default()).1,
    }))
}

fn repeat(length: Duration, verify: &impl Fn()) -> anyhow::Result<Part> {
    let before = cpu::used(std::process::id())?;
    let start = Instant::now();
    let mut requests = 0;
    while start.elapsed() < length {
        for _ in 0..BATCH {
            verify();
        }
        requests += BATCH;
    }
    let cpu = cpu::used(std::process::id())?.saturating_sub(before);
    Ok(Part { requests, wall: start.elapsed(), cpu, own: cpu })
}

fn nanoseconds(name: &str, parts: impl Iterator<Item = Part>) -> String {
    let (mut requests, mut cpu) = (0, Duration::ZERO);
    for part in parts {
        requests += part.requests;
        cpu += part.cpu;
    }
    format!("{name}: {:.0} ns a verification", cpu.as_nanos() as f64 / requests as f64)
}

impl Jwt {
    fn of(token: &QueueToken) -> anyhow::Result<Self> {
        let secret = [7; 32];
        let header = Header { kid: Some("bench".to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(&secret);
        let text = jsonwebtoken::encode(&header, &Claims::from(token), &key)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.set_audience(&[token.queue.as_str()]);
        Ok(Self { text, key: DecodingKey::from_secret(&secret), validation })
    }

    fn verify(&self) -> Result<Claims, jsonwebtoken::errors::Error> {
        let data = jsonwebtoken::decode(black_box(&self.text), &self.key, &self.validation)?;
        Ok(data.claims)
    }
}

impl From<&QueueToken> for Claims {
    fn from(token: &QueueToken) -> Self {
        Self {
            aud: token.queue.to_string(),
            entry: token.entry,
            number: token.number,
            sub: token.account.as_ref().map(ToString::to_string),
            iat: token.issued_at.seconds(),
        }
    }
}
