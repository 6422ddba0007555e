//! Breaches planted in a real file behind the ledger's back: the audit finds each, and no other.
use crate::testing::sqlite_ledger_at;
use ledger::audit::Invariant::{self, *};
use ledger::audit::{Finding, GatewayCharge, GatewayLog, GatewayRefund, Sources, Verdict, audit};
use ledger::books::{Books, Leased, QueueStep, Refunded, Settlement};
use ledger::conformance::sample::NOW;
use ledger::conformance::sample::{SampleEvent, cancel_of};
use ledger::conformance::{TestLedger, events};
use ledger::purchase::ChargeResult;
use ledger::{
    Admission, AdmissionSource, BookingCommand, Clock, Event, Message, PlaceBooking, QueueSettings,
    SlotRef, Timestamp,
};
use rusqlite::Connection;

pub(super) fn broken(findings: &[Finding]) -> Vec<Invariant> {
    findings.iter().filter(|finding| finding.is_broken()).map(|f| f.invariant).collect()
}

/// A real sale in a file: two bookings confirmed, one refunded, one declined, one seat lost, one
/// without an answer yet.
struct Planted {
    ledger: TestLedger,
    gateway: GatewayLog,
    now: Timestamp,
    confirmed: [PlaceBooking; 2],
    declined: PlaceBooking,
}

#[tokio::test]
async fn a_real_sale_holds_and_is_really_looked_at() {
    let sale = Planted::sell().await;
    let findings = sale.audit().await;
    for finding in &findings {
        match finding.verdict {
            Verdict::Held => assert!(finding.checked > 0, "{finding}"),
            Verdict::NotChecked(_) => {}
            Verdict::Broken(_) => panic!("{finding}"),
        }
    }
    assert_eq!(findings.iter().filter(|f| f.verdict == Verdict::Held).count(), 15);
}

#[tokio::test]
async fn one_place_sold_twice() {
    let sale = Planted::sell().await;
    let [first, second] = &sale.confirmed;
    let (taken, own) = (&first.items[0].item, &second.items[0].item);
    let id = &second.booking_id;
    let spoil = [
        "DROP INDEX claims_live".into(),
        format!("UPDATE claims SET place = '{taken}' WHERE booking_id = '{id}'"),
        format!("UPDATE tickets SET item = '{taken}' WHERE booking_id = '{id}'"),
        format!(
            "UPDATE purchases SET command = replace(command, '\"{own}\"', '\"{taken}\"'),
                 tickets = replace(tickets, '\"{own}\"', '\"{taken}\"') WHERE id = '{id}'"
        ),
    ];
    sale.spoiled(&spoil, &[I1]).await;
}

#[tokio::test]
async fn a_charge_that_vanished_from_the_gateway() {
    let mut sale = Planted::sell().await;
    sale.gateway.charges.remove(0);
    sale.spoiled(&[], &[I2]).await;
}

#[tokio::test]
async fn a_purchase_that_vanished_from_the_books() {
    let sale = Planted::sell().await;
    let id = &sale.confirmed[0].booking_id;
    let spoil = [format!("DELETE FROM purchases WHERE id = '{id}'")];
    // Its charge, transfer, claims, cap and tickets all miss it; its command is still young.
    sale.spoiled(&spoil, &[I2, I3, I5, I13, I14, I18]).await;
}

#[tokio::test]
async fn legs_that_do_not_balance() {
    let sale = Planted::sell().await;
    let spoil = ["UPDATE legs SET minor = minor - 1 WHERE ordinal = 1 AND kind = 'refund'".into()];
    sale.spoiled(&spoil, &[I3]).await;
    let sale = Planted::sell().await;
    let leg = "INSERT INTO legs VALUES ('bkg_x', 'capture', 0, 'thin air', 5, 'EUR')";
    sale.spoiled(&[leg.into()], &[I3]).await;
    let sale = Planted::sell().await;
    let gone = "DELETE FROM legs WHERE kind = 'refund'";
    sale.spoiled(&[gone.into()], &[I3]).await;
}

#[tokio::test]
async fn a_booking_that_never_ends() {
    let mut sale = Planted::sell().await;
    sale.now = NOW.plus_seconds(1_000);
    sale.spoiled(&[], &[I4]).await;
}

#[tokio::test]
async fn a_charge_before_its_attempt() {
    let sale = Planted::sell().await;
    let late = NOW.plus_seconds(60).millis();
    let id = &sale.declined.booking_id;
    let spoil = [format!("UPDATE purchases SET submitted_at = {late} WHERE id = '{id}'")];
    sale.spoiled(&spoil, &[I5]).await;
}

#[tokio::test]
async fn a_booking_captured_twice() {
    let mut sale = Planted::sell().await;
    let mut again = sale.gateway.charges[0].clone();
    again.amount.minor = 0;
    sale.gateway.charges.push(again);
    sale.spoiled(&[], &[I6]).await;
}

#[tokio::test]
async fn a_number_that_was_never_leased() {
    let sale = Planted::sell().await;
    sale.spoiled(&["UPDATE queues SET leased_to = 2".into()], &[I9]).await;
}

#[tokio::test]
async fn more_admissions_than_the_rate_gives() {
    let sale = Planted::sell().await;
    sale.spoiled(&["UPDATE queue_limits SET rate_per_minute = 60".into()], &[I10]).await;
}

#[tokio::test]
async fn more_slots_than_there_were() {
    let sale = Planted::sell().await;
    sale.spoiled(&["UPDATE queue_limits SET capacity = 2".into()], &[I11]).await;
}

#[tokio::test]
async fn an_account_over_its_cap() {
    let sale = Planted::sell().await;
    let id = &sale.confirmed[0].booking_id;
    let cap = |n: u32| format!("\"seats_per_account_max\":{n}");
    let (old, new) = (cap(10), cap(1));
    let spoil = [format!(
        "UPDATE purchases SET command = replace(command, '{old}', '{new}') WHERE id = '{id}'"
    )];
    sale.spoiled(&spoil, &[I13]).await;
    let sale = Planted::sell().await;
    sale.spoiled(&["UPDATE account_seats SET seats = seats + 1".into()], &[I13]).await;
}

#[tokio::test]
async fn half_a_booking() {
    let sale = Planted::sell().await;
    let PlaceBooking { booking_id, account_id, items, .. } = &sale.confirmed[0];
    let late = NOW.plus_seconds(60).millis();
    let spoil = [
        format!(
            "UPDATE claims SET released_at = {late}
             WHERE booking_id = '{booking_id}' AND place = '{}'",
            items[1].item
        ),
        format!("UPDATE account_seats SET seats = 1 WHERE account_id = '{account_id}'"),
    ];
    sale.spoiled(&spoil, &[I14]).await;
}

#[tokio::test]
async fn guards_gone_or_made_harmless() {
    let drop = "DROP TRIGGER legs_keep_facts";
    let harmless = "CREATE TRIGGER legs_keep_facts BEFORE UPDATE ON legs\nBEGIN SELECT 1; END";
    for spoil in [vec![drop], vec![drop, harmless], vec!["DROP TRIGGER admissions_kept"]] {
        let sale = Planted::sell().await;
        let connection = sale.connect();
        for statement in spoil {
            connection.execute(statement, ()).unwrap();
        }
        sale.expect(&[I15]).await;
    }
}

#[tokio::test]
async fn messages_without_effect() {
    let sale = Planted::sell().await;
    let copy = format!(
        "INSERT INTO log (topic, key, type, value, appended_at)
         SELECT topic, 'bkg_gone', type, CAST(replace(CAST(value AS TEXT), key, 'bkg_gone') AS BLOB),
             {} FROM log WHERE topic = 'tidegate.bookings.v1' LIMIT 1",
        NOW.plus_millis(-600_000).millis()
    );
    sale.spoiled(&[copy], &[I16]).await;
    let sale = Planted::sell().await;
    let noise = "INSERT INTO log (topic, key, type, value, appended_at)
        VALUES ('tidegate.bookings.v1', 'k', 'noise', x'00', 0)";
    sale.spoiled(&[noise.into()], &[I16]).await;
    let sale = Planted::sell().await;
    let buried = "INSERT INTO log (topic, key, type, value, appended_at, source_topic, source_seq)
        SELECT 'tidegate.bookings.dead.v1', key, type, value, 0, topic, seq FROM log
        WHERE type = 'noise'";
    sale.spoiled(&[noise.into(), buried.into()], &[]).await;
}

#[tokio::test]
async fn states_that_no_transition_leads_to() {
    for change in ["payment = 'new'", "version = 1", "charge_id = 'ch_x'", "status = 'expired'"] {
        let sale = Planted::sell().await;
        let id = &sale.declined.booking_id;
        sale.spoiled(&[format!("UPDATE purchases SET {change} WHERE id = '{id}'")], &[I18]).await;
    }
    let sale = Planted::sell().await;
    let id = &sale.confirmed[0].booking_id;
    let void = format!("UPDATE tickets SET state = 'void' WHERE booking_id = '{id}'");
    sale.spoiled(&[void], &[I18]).await;
}

#[tokio::test]
async fn a_refund_paid_twice() {
    let mut sale = Planted::sell().await;
    let again = sale.gateway.refunds[0].clone();
    sale.gateway.refunds.push(again);
    sale.spoiled(&[], &[I19]).await;
}

impl Planted {
    async fn sell() -> Self {
        let ledger = sqlite_ledger_at(Clock::manual(NOW)).await;
        let event = events::sample_event();
        let settings = QueueSettings { capacity: 3, ..QueueSettings::default() };
        ledger.books.events.create(&event, Some(settings)).await.unwrap();
        admit(&ledger.books, &event).await;
        let sample = SampleEvent::default();
        let commands = [
            sample.place(&["stalls-A-1", "stalls-A-2"]),
            sample.place(&["stalls-A-3"]),
            sample.place(&["stalls-A-4"]),
            sample.place(&["stalls-A-5"]),
            sample.place(&["stalls-A-6"]),
            sample.place(&["stalls-A-1"]),
        ];
        let cancel = BookingCommand::Cancel(cancel_of(&commands[2]));
        let placed = commands.iter().cloned().map(BookingCommand::Place);
        let messages = placed.chain([cancel]).map(Message::Command).collect();
        ledger.log.append(messages).await.unwrap();
        let mut sale = Self {
            gateway: GatewayLog::default(),
            now: NOW.plus_seconds(30),
            confirmed: [commands[0].clone(), commands[1].clone()],
            declined: commands[3].clone(),
            ledger,
        };
        sale.pay(&commands).await;
        sale
    }

    /// The first three are captured, the fourth declined, the fifth not answered, the last lost;
    /// the third is paid back.
    async fn pay(&mut self, commands: &[PlaceBooking; 6]) {
        let purchases = self.ledger.books.purchases.clone();
        purchases.begin(commands, NOW).await.unwrap();
        let mut settlements = Vec::new();
        for (command, captured) in commands.iter().zip([true, true, true, false]) {
            let charge_id = format!("ch_{}", command.booking_id);
            let (booking_id, amount) = (command.booking_id.clone(), command.total);
            let result = if captured {
                ChargeResult::Captured { charge_id: charge_id.clone(), amount }
            } else {
                ChargeResult::Declined { code: "card_declined".into() }
            };
            settlements.push(Settlement { booking_id: booking_id.clone(), result });
            let received_at = NOW.plus_millis(10);
            let charge = GatewayCharge { charge_id, booking_id, amount, captured, received_at };
            self.gateway.charges.push(charge);
        }
        purchases.settle(&settlements, NOW.plus_seconds(1)).await.unwrap();
        let undone = &commands[2];
        let cancelled = purchases.cancel(&[cancel_of(undone)], NOW.plus_seconds(2)).await.unwrap();
        let refund = cancelled[0].booking.refunds[0].clone();
        let (booking_id, refund_id) = (undone.booking_id.clone(), refund.refund_id);
        self.gateway.refunds.push(GatewayRefund {
            refund_id: refund_id.clone(),
            booking_id: booking_id.clone(),
            amount: refund.amount,
            received_at: NOW.plus_seconds(3),
        });
        let done = [Refunded { booking_id, refund_id }];
        purchases.refunded(&done, NOW.plus_seconds(4)).await.unwrap();
    }

    async fn audit(&self) -> Vec<Finding> {
        let books = &self.ledger.books;
        let sources = Sources { books, gateway: Some(&self.gateway), seats: &[] };
        audit(sources, self.now).await.unwrap()
    }

    async fn expect(&self, expected: &[Invariant]) {
        let findings = self.audit().await;
        let shown: Vec<String> =
            findings.iter().filter(|f| f.is_broken()).map(ToString::to_string).collect();
        assert_eq!(broken(&findings), expected, "{shown:#?}");
    }

    /// Changes the file as an intruder would, triggers out of the way, and looks.
    async fn spoiled(&self, statements: &[String], expected: &[Invariant]) {
        let connection = self.connect();
        let triggers = triggers(&connection);
        let drop = triggers.iter().map(|(name, _)| format!("DROP TRIGGER {name}"));
        let restore = triggers.iter().map(|(_, sql)| sql.clone());
        for statement in drop.chain(statements.iter().cloned()).chain(restore) {
            let done = connection.execute(&statement, ());
            let changed = done.unwrap_or_else(|error| panic!("{statement}: {error}"));
            let changes = ["UPDATE", "DELETE", "INSERT"].iter().any(|v| statement.starts_with(v));
            assert!(!changes || changed > 0, "{statement} changed nothing");
        }
        self.expect(expected).await;
    }

    fn connect(&self) -> Connection {
        let connection = Connection::open(self.ledger.dir.path().join("tidegate.db")).unwrap();
        connection.pragma_update(None, "foreign_keys", false).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection
    }
}

/// The name of each trigger, and the statement that made it.
fn triggers(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Three people at once, a fourth when one has left.
async fn admit(books: &Books, event: &Event) {
    let queue = &event.queue_id;
    let leased = books.queue_progress.lease(queue, 1, 100).await.unwrap();
    assert_eq!(leased, Leased::Numbers { first: 1, last: 100 });
    let step = QueueStep { now_serving: 4, at: NOW, granting_millis: 1 };
    books.queue_progress.step(queue, 1, step).await.unwrap();
    let row = |number: u64, at: i64| Admission {
        slot: SlotRef { queue: queue.clone(), number },
        account: ledger::AccountId::parse(&format!("acc_{number}")).unwrap(),
        at: NOW.plus_millis(at),
        until: NOW.plus_millis(at.saturating_add(600_000)),
        ended_at: None,
        source: AdmissionSource::Line,
    };
    let rows = [row(1, 0), row(2, 10), row(3, 20)];
    books.admissions.admit(queue, 1, &rows).await.unwrap();
    assert!(books.admissions.end(&rows[1].slot, NOW.plus_millis(40)).await.unwrap());
    books.admissions.admit(queue, 1, &[row(4, 40)]).await.unwrap();
}
