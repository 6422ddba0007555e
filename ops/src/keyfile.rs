//! The keys file in a running node: made at need, read again every ten seconds.
use anyhow::{Context, ensure};
use ledger::keys::{self, KeySet, Keyring, Purpose};
use ledger::{Books, Cursor, LIMIT_MAX, Timestamp};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often nodes look for new keys. No setting: every node must have read a new key well before
/// it signs (`SIGNS_AFTER_SECONDS`).
const READ_EVERY: Duration = Duration::from_secs(10);

/// Tickets can be verified for this long after their event (30 days).
const TICKET_GRACE_SECONDS: u32 = 30 * 24 * 60 * 60;

/// Reads the keys, making the file if there is none.
pub(crate) fn open(path: &Path, now: Timestamp) -> anyhow::Result<Keyring> {
    if !path.exists()
        && let Err(error) = make(path, now)
        // Another node that starts at this moment may have made it.
        && !path.exists()
    {
        return Err(error);
    }
    read(path).map(Keyring::new)
}

/// Makes a keys file; an existing one is kept and the call fails.
pub(crate) fn make(path: &Path, now: Timestamp) -> anyhow::Result<()> {
    ensure!(
        !path.exists(),
        "{} is there already; `tidegate keys rotate` adds keys to it",
        path.display()
    );
    let records = keys::make(now).context("making keys")?;
    Ok(keys::save(path, &records, false)?)
}

/// Reads the file again and again; a damaged file is reported and the keys in force stay.
pub(crate) async fn watch(path: PathBuf, ring: Keyring, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(READ_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match read(&path) {
            Ok(keys) => ring.replace(keys),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the keys file cannot be read, the keys in force stay");
            }
        }
    }
}

/// Adds a key for every purpose and keeps the old ones for as long as what they signed lives.
pub(crate) async fn rotate(
    path: &Path,
    books: &Books,
    login_seconds: u32,
    now: Timestamp,
) -> anyhow::Result<usize> {
    let lives = Lives::read(books, login_seconds, now).await?;
    let rotated = keys::rotate(keys::load(path)?, now, |purpose| lives.keep_after(purpose))?;
    keys::save(path, &rotated, true)?;
    Ok(rotated.len())
}

/// For each purpose, the moment before which a replaced key signed nothing that still lives.
struct Lives {
    queue_tokens: Timestamp,
    tickets: Timestamp,
    passes: Timestamp,
    logins: Timestamp,
}

impl Lives {
    async fn read(books: &Books, login_seconds: u32, now: Timestamp) -> anyhow::Result<Self> {
        let mut lives = Self {
            queue_tokens: now,
            tickets: now,
            passes: now,
            logins: now.plus_millis(-i64::from(login_seconds) * 1_000),
        };
        for queue in books.queues.queues().await? {
            let session = i64::from(queue.settings.session_seconds) * 1_000;
            lives.passes = lives.passes.min(now.plus_millis(-session));
        }
        let mut cursor = Cursor { after: None, limit: LIMIT_MAX };
        loop {
            let page = books.events.events(cursor.clone()).await?;
            for event in &page.items {
                // A date that cannot be read keeps its keys: nothing is dropped on a guess.
                let over = event.over_at();
                if over.is_none_or(|over| over > now) {
                    lives.queue_tokens = lives.queue_tokens.min(event.created_at);
                }
                if over.is_none_or(|over| over.plus_seconds(TICKET_GRACE_SECONDS) > now) {
                    lives.tickets = lives.tickets.min(event.created_at);
                }
            }
            match page.next {
                Some(next) => cursor.after = Some(next),
                None => return Ok(lives),
            }
        }
    }

    fn keep_after(&self, purpose: Purpose) -> Timestamp {
        match purpose {
            Purpose::QueueToken => self.queue_tokens,
            Purpose::Ticket => self.tickets,
            Purpose::Pass => self.passes,
            Purpose::Login => self.logins,
        }
    }
}

fn read(path: &Path) -> anyhow::Result<KeySet> {
    let records = keys::load(path)?;
    Ok(KeySet::new(&records)?)
}
