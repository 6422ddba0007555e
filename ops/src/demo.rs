//! The demo: one seated event on sale, and the words that sell a ticket for it.
use crate::terminal::say;
use anyhow::Context;
use ledger::books::Events;
use ledger::{
    Clock, Currency, Cursor, Event, IdSource, LIMIT_MAX, Layout, Money, QueueId, QueueSettings,
    Row, SaleTerms, Seating, Section, SectionId, Timestamp,
};
use std::sync::Arc;

const NAME: &str = "Tidegate Demo Night";
/// The show is this long after the first start.
const DAYS_AHEAD: u32 = 30;

/// Adds the demo's event if it is not there.
pub(crate) async fn ensure_event(
    events: &dyn Events,
    ids: &IdSource,
    clock: &Clock,
) -> anyhow::Result<()> {
    if find(events).await?.is_some() {
        return Ok(());
    }
    let event = event(ids, clock.now())?;
    events.create(&event, Some(QueueSettings::default())).await.context("adding the demo event")?;
    Ok(())
}

/// Says on stderr how to buy a ticket.
pub(crate) async fn explain(events: &dyn Events, base: &str) -> anyhow::Result<()> {
    let event = find(events).await?.context("the demo event is gone")?;
    let id = &event.id;
    say(&format!(
        r#"
{NAME}: {total} seats on sale. To buy seat A-7 of the stalls:

  BASE={base} EVENT={id}
  ADA='{{"username":"ada","password":"correct horse"}}' SEAT='{{"event_id":"'$EVENT'","seat_number":"A-7"}}'
  curl -s --json "$ADA" $BASE/api/auth/register
  LOGIN="Authorization: Bearer $(curl -s --json "$ADA" $BASE/api/auth/login | cut -d'"' -f4)"
  curl -s --json "$SEAT" -H "$LOGIN" $BASE/api/tickets/lock
  curl -s --json "$SEAT" -H "$LOGIN" $BASE/api/tickets/book
  curl -s -H "$LOGIN" $BASE/api/bookings

The README walks the whole way, through the queue to the QR code.
"#,
        total = event.layout.total(),
    ));
    Ok(())
}

async fn find(events: &dyn Events) -> anyhow::Result<Option<Event>> {
    let mut cursor = Cursor { after: None, limit: LIMIT_MAX };
    loop {
        let page = events.events(cursor.clone()).await.context("looking for the demo event")?;
        if let Some(event) = page.items.into_iter().find(|event| event.name == NAME) {
            return Ok(Some(event));
        }
        match page.next {
            Some(next) => cursor.after = Some(next),
            None => return Ok(None),
        }
    }
}

/// A small hall: stalls with an aisle, a balcony, and a floor to stand on.
fn event(ids: &IdSource, now: Timestamp) -> anyhow::Result<Event> {
    let section = |id: &str, name: &str, minor, seating| {
        Ok::<_, anyhow::Error>(Section {
            id: SectionId::parse(id)?,
            name: name.to_owned(),
            price: Money::new(minor, Currency::EUR),
            seating,
        })
    };
    let layout = Layout::new(vec![
        section("stalls", "Stalls", 4_500, Seating::Rows(rows(&["A", "B", "C", "D", "E"], 20)))?,
        section("balcony", "Balcony", 3_000, Seating::Rows(rows(&["K", "L"], 16)))?,
        section("floor", "Floor", 2_500, Seating::Capacity(100))?,
    ])?;
    let id = ids.event(now);
    Ok(Event {
        queue_id: QueueId::from(&id),
        id,
        name: NAME.to_owned(),
        date: now.plus_seconds(DAYS_AHEAD * 24 * 60 * 60).rfc3339(),
        timezone: "Europe/Vienna".to_owned(),
        venue: "The Weir".to_owned(),
        on_sale_at: now,
        terms: SaleTerms::default(),
        layout_version: 1,
        layout: Arc::new(layout),
        created_at: now,
    })
}

/// Rows of `seats` numbered seats with an aisle in the middle.
fn rows(names: &[&str], seats: u32) -> Vec<Row> {
    let row = |name: &&str| {
        let half = seats / 2;
        let left = (1..=half).map(|n| Some(n.to_string()));
        let right = (half + 1..=seats).map(|n| Some(n.to_string()));
        Row { name: (*name).to_owned(), seats: left.chain([None]).chain(right).collect() }
    };
    names.iter().map(row).collect()
}
