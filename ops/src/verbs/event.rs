//! `tidegate event`: making and listing events without the HTTP door.
use super::print;
use crate::Failure;
use crate::cli::EventAction;
use crate::config::Configuration;
use crate::stores::Opener;
use anyhow::{Context, anyhow};
use ledger::books::{EventCreated, Events};
use ledger::{Clock, Cursor, IdSource, LIMIT_MAX};
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

pub(crate) async fn event(config: &Configuration, action: EventAction) -> Result<(), Failure> {
    match action {
        EventAction::Create { file } => create(config, &file).await,
        EventAction::List => list(config).await,
    }
}

async fn create(config: &Configuration, file: &Path) -> Result<(), Failure> {
    let body = read(file).map_err(Failure::Usage)?;
    let now = Clock::System.now();
    let (event, queue) = ingress::parse_event(&body, &IdSource::system(), now)
        .map_err(|problem| Failure::usage(anyhow!("{problem}")))?;
    let mut opener = Opener::new(config);
    let books = opener.books(&config.stores.books).await?;
    let created = books.events.create(&event, queue).await;
    opener.close().await;
    match created.context("adding the event")? {
        EventCreated::Created => print(&format!("{}\n", event.id)),
        EventCreated::NoSuchQueue => {
            Err(Failure::usage(anyhow!("there is no queue {}", event.queue_id)))
        }
    }
}

async fn list(config: &Configuration) -> Result<(), Failure> {
    let mut opener = Opener::existing(config)?;
    let books = opener.books(&config.stores.books).await?;
    let lines = all(books.events.as_ref()).await;
    opener.close().await;
    print(&lines?)
}

async fn all(events: &dyn Events) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut cursor = Cursor { after: None, limit: LIMIT_MAX };
    loop {
        let page = events.events(cursor.clone()).await.context("listing events")?;
        for event in &page.items {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}",
                event.id,
                event.date,
                event.layout.total(),
                event.name
            );
        }
        match page.next {
            Some(next) => cursor.after = Some(next),
            None => return Ok(text),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut body).context("reading stdin")?;
    } else {
        body = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(body)
}
