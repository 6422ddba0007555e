//! What an operator watches a sale by: the table of metrics, the dashboards' queries and the
//! alerts, beside a real node and a real Prometheus.
use crate::away::Way;
use crate::harness::{ADMIN, Client, Node, PATIENCE, TIDEGATE, tidegate};
use crate::prometheus::{Prometheus, monitoring};
use crate::sale::plain_event;
use crate::shared::gateway;
use http::Method;
use ledger_postgres::testing as postgres;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use tokio::process::Command;
use tokio::time::timeout;

/// What has no series in the sale below, and why not.
const NOT_IN_THIS_SALE: [(&str, &str); 24] = [
    ("tidegate_allocator_books_total{answer=~\"error|unknown\"}", "no store is away"),
    ("tidegate_allocator_expiry_lateness_seconds", "no hold expires"),
    ("tidegate_allocator_holds_expired_total", "no hold expires"),
    ("tidegate_allocator_outcomes_total{effect=\"unexpected\"}", "no seat is lost"),
    ("tidegate_allocator_recoveries_total{result=\"failed\"}", "no store is away"),
    ("tidegate_allocator_resends_total", "no payment is overdue"),
    ("tidegate_ingress_connections_refused_total", "few connections"),
    ("tidegate_ingress_cuts_total", "every client behaves"),
    ("tidegate_ingress_limited_total", "limits are off"),
    ("tidegate_ingress_panics_total", "nothing panics"),
    ("tidegate_ingress_passwords_refused_total", "few logins"),
    ("tidegate_ingress_streams", "nobody opens a stream"),
    ("tidegate_ledger_consumer_dead_letters_total", "every message can be carried out"),
    ("tidegate_ledger_consumer_retries_total", "no store is away"),
    ("tidegate_ledger_log_dead_total", "every message can be read"),
    ("tidegate_ledger_postgres_collisions_total", "nobody competes"),
    ("tidegate_ledger_writer_failures_total", "the disk is sound"),
    ("tidegate_payment_worker_gateway_faults_total", "the gateway is another process"),
    ("tidegate_payment_worker_refunds_total{result=\"refused\"}", "the gateway refunds"),
    ("tidegate_waiting_room_claims_total{answer=\"not_yet_paused\"}", "no queue is paused"),
    ("tidegate_waiting_room_joins_refused_total", "every join gets a place"),
    ("tidegate_waiting_room_leases_exhausted_total", "few join"),
    ("tidegate_ledger_postgres_transactions_total{outcome!=\"committed\"}", "no store is away"),
    ("ALERTS{alertstate=\"firing\"}", "nothing is wrong"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_has_an_answer_and_alerts_fire_for_their_fault() {
    let folder = tempfile::tempdir().unwrap();
    let books = postgres::postgres().await;
    let (mut way, by_way) = Way::to(&books.url).await;
    let (mut payments, address) = gateway(&folder.path().join("gateway")).await;
    let stores = [
        ("TIDEGATE_STORES_BOOKS", by_way.as_str()),
        ("TIDEGATE_PAYMENT_GATEWAY", address.as_str()),
    ];
    let data = folder.path().join("node");
    let serve =
        ["serve", "--no-limits", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let mut command = tidegate(&data, &serve);
    command.envs(stores);
    let node = Node::run(command).await;
    let prometheus = Prometheus::watching(&node).await;

    let buyer = sell(&node).await;
    audit(&prometheus, &data, &stores).await;
    prometheus.until("tidegate_audit_checked").await;
    assert_scrape_is_the_table(&Client::new(&node.admin)).await;
    assert_dashboards_are_answered(&prometheus, folder.path()).await;
    assert_alerts_name_what_is_there(&prometheus).await;
    let quiet = prometheus.firing().await;
    assert!(!quiet.iter().any(|name| FAULTS.contains(&name.as_str())), "{quiet:?}");

    payments.kill().await.unwrap();
    until_firing(&prometheus, &["TidegateGatewayDown"], || buyer.buy()).await;
    way.cut().await;
    let away = ["TidegateBooksAway", "TidegateStoreAway"];
    until_firing(&prometheus, &away, || buyer.join()).await;
    node.kill().await;
    until_firing(&prometheus, &["TidegateNodeDown", "TidegateAllDown"], || async {}).await;
    books.drop_schema().await;
}

/// What must not fire before there is a fault.
const FAULTS: [&str; 6] = [
    "TidegateAllDown",
    "TidegateAuditBroken",
    "TidegateBooksAway",
    "TidegateGatewayDown",
    "TidegateNodeDown",
    "TidegateStoreAway",
];

/// Does something again and again until all these alerts fire.
async fn until_firing<F, Done>(prometheus: &Prometheus, names: &[&str], mut act: F)
where
    F: FnMut() -> Done,
    Done: Future<Output = ()>,
{
    let wait = async {
        loop {
            act().await;
            let firing = prometheus.firing().await;
            if names.iter().all(|name| firing.contains(*name)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        panic!("{names:?} do not fire; what does: {:?}", prometheus.firing().await);
    }
}

/// Somebody with a login, and the event.
struct Buyer {
    client: Client,
    event: String,
}

impl Buyer {
    async fn hold(&self) -> Value {
        let best = json!({"event_id": self.event, "best_available": {"quantity": 1}});
        self.client.post("/api/tickets/lock", best).await.expect(200)["hold_id"].clone()
    }

    /// Waits until the log has it, not for its end.
    async fn buy(&self) {
        let hold = self.hold().await;
        let wish = json!({"event_id": self.event, "hold_id": hold});
        self.client.post("/api/tickets/book", wish).await.expect(202);
    }

    async fn settled(&self, token: &str) -> Value {
        let wish = json!({"event_id": self.event, "hold_id": self.hold().await,
            "payment_token": token});
        let booked = self.client.post("/api/tickets/book", wish).await.expect(202);
        self.client.settled(booked["booking_id"].as_str().unwrap()).await
    }

    /// Whatever the answer.
    async fn join(&self) {
        let path = format!("/api/queue/{}/join", self.event);
        self.client.try_send(Method::POST, &path, Some(json!({}))).await.unwrap();
    }
}

/// One of everything that ends well: a line, holds, bookings of every end, a refund.
async fn sell(node: &Node) -> Buyer {
    let visitor = node.client();
    let mut body = plain_event(2_000);
    body["seats_per_account_max"] = json!(2_000);
    let event = visitor.event(body).await;
    let client = visitor.register("ada").await;
    let buyer = Buyer { client, event };
    for (token, status) in
        [("tok_good", "confirmed"), ("tok_decline", "declined"), ("tok_unknown", "confirmed")]
    {
        assert_eq!(buyer.settled(token).await["status"], status);
    }
    let booking = buyer.settled("tok_good").await;
    let cancel = format!("/api/bookings/{}/cancel", booking["id"].as_str().unwrap());
    buyer.client.post(&cancel, json!({})).await.expect(202);
    buyer.client.settled(booking["id"].as_str().unwrap()).await;
    let hold = buyer.hold().await;
    let hold = format!("/api/tickets/lock/{}", hold.as_str().unwrap());
    assert!(buyer.client.delete(&hold).await.status.is_success());

    let queue = format!("/api/queue/{}", buyer.event);
    let place = buyer.client.post(&format!("{queue}/join"), json!({})).await.expect(201);
    let placed = buyer.client.with("queue-token", place["token"].as_str().unwrap());
    let pass =
        async { while placed.post(&format!("{queue}/pass"), json!({})).await.status != 200 {} };
    timeout(PATIENCE, pass).await.expect("a pass");
    buyer
}

/// Leaves the audit's verdicts where the exporter finds them.
async fn audit(prometheus: &Prometheus, data: &Path, stores: &[(&str, &str)]) {
    let mut command = Command::new(monitoring().join("audit"));
    command.arg(prometheus.texts().join("tidegate_audit.prom")).arg("--data").arg(data);
    command.env("TIDEGATE", TIDEGATE).envs(stores.iter().copied());
    command.env("TIDEGATE_ADMIN_USERNAME", ADMIN.0).env("TIDEGATE_ADMIN_PASSWORD", ADMIN.1);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A metric's name, kind and meaning, as a line of the table has them.
type Described = (String, String, String);

/// The rows of the table that have a source, each with its labels.
fn table(source: &str) -> BTreeMap<Described, BTreeSet<String>> {
    let text = std::fs::read_to_string(monitoring().join("metrics.tsv")).unwrap();
    let rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    rows.filter(|row| row[0] == source)
        .map(|row| {
            let [_, name, kind, labels, meaning] = row[..] else { panic!("not a row: {row:?}") };
            let labels = labels.split(',').filter(|label| *label != "-").map(str::to_owned);
            ((name.to_owned(), kind.to_owned(), meaning.to_owned()), labels.collect())
        })
        .collect()
}

/// What a node exports stands in the table, with the labels that stand there.
async fn assert_scrape_is_the_table(operator: &Client) {
    let table = table("node");
    let labels_of = |name: &str| {
        table.iter().find_map(|((own, kind, _), labels)| {
            let ends = ["_bucket", "_sum", "_count"];
            let mut ends = ends.iter().filter_map(|end| name.strip_suffix(end));
            let whole = kind == "histogram" && ends.any(|begin| begin == own);
            (own == name || whole).then_some(labels)
        })
    };
    let scraped = operator.get("/metrics").await.expect_text(200);
    for line in scraped.lines().filter(|line| line.starts_with("tidegate_")) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, selector) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels_of(name).unwrap_or_else(|| panic!("{name} is not in metrics.tsv"));
        for pair in selector.split("\",").filter(|pair| !pair.is_empty() && *pair != "}") {
            let label = pair.split('=').next().unwrap();
            assert!(label == "le" || labels.contains(label), "{line}: the table has {labels:?}");
        }
    }
}

async fn assert_dashboards_are_answered(prometheus: &Prometheus, folder: &Path) {
    let boards = folder.join("dashboards");
    let mut made = Command::new(monitoring().with_file_name("dev").join("tools"));
    made.arg("python3").arg(monitoring().join("dashboards.py")).arg(&boards);
    let made = made.output().await.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (mut asked, mut silent) = (0, Vec::new());
    for file in std::fs::read_dir(&boards).unwrap() {
        let board = std::fs::read(file.unwrap().path()).unwrap();
        let board: Value = serde_json::from_slice(&board).unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let expression = target["expr"].as_str().unwrap();
                asked += 1;
                if prometheus.series(expression).await.is_empty() && !is_excused(expression) {
                    silent.push(format!("{}: {expression}", board["title"]));
                }
            }
        }
    }
    assert!(asked > 90, "only {asked} queries");
    assert!(silent.is_empty(), "no series for\n{}", silent.join("\n"));
}

fn is_excused(expression: &str) -> bool {
    NOT_IN_THIS_SALE.iter().any(|(what, _)| expression.contains(what))
}

/// An alert's expression is empty while all is well; what it looks at is there.
async fn assert_alerts_name_what_is_there(prometheus: &Prometheus) {
    let alerts = prometheus.alerts().await;
    assert!(alerts.len() >= 30, "{alerts:?}");
    let mut silent = Vec::new();
    for (name, expression, _) in &alerts {
        for selector in selectors(expression) {
            if prometheus.series(&selector).await.is_empty() && !is_excused(&selector) {
                silent.push(format!("{name}: {selector}"));
            }
        }
    }
    assert!(silent.is_empty(), "no series for\n{}", silent.join("\n"));
}

/// The metrics that an expression names, each with its braces.
fn selectors(expression: &str) -> Vec<String> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
    let (mut found, mut rest) = (Vec::new(), expression);
    while let Some(start) = rest.find(part_of_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !part_of_name(c)).unwrap_or(rest.len());
        let braces = if rest[end..].starts_with('{') { rest.find('}').unwrap() + 1 } else { end };
        let named = ["tidegate_", "tidegate:", "node_", "up{"];
        if named.iter().any(|name| rest.starts_with(name)) {
            found.push(rest[..braces].to_owned());
        }
        rest = &rest[braces..];
    }
    found
}

#[test]
fn selectors_are_found_with_their_braces() {
    let found =
        selectors("sum by (a) (rate(tidegate_x_total{b=~\"c|d\"}[5s])) / up{e=\"f\"} > 0.5");
    assert_eq!(found, ["tidegate_x_total{b=~\"c|d\"}", "up{e=\"f\"}"]);
}

/// Hears what the program says of its metrics.
#[derive(Default)]
struct Listener(Mutex<BTreeSet<Described>>);

impl Listener {
    fn heard(&self, name: KeyName, kind: &str, meaning: &SharedString) {
        let row = (name.as_str().to_owned(), kind.to_owned(), meaning.to_string());
        self.0.lock().unwrap().insert(row);
    }
}

impl Recorder for Listener {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.heard(name, "counter", &meaning);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.heard(name, "gauge", &meaning);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.heard(name, "histogram", &meaning);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Rules and dashboards are compared with the table, so the table must be what the program has.
#[test]
fn the_table_of_metrics_is_what_the_program_describes() {
    let listener = Listener::default();
    metrics::with_local_recorder(&listener, || {
        ingress::metrics::describe();
        waiting_room::metrics::describe();
        allocator::metrics::describe();
        payment_worker::metrics::describe();
        ledger::metrics::describe();
        ops::metrics::describe();
    });
    let said = listener.0.into_inner().unwrap();
    let written: BTreeSet<Described> = table("node").into_keys().collect();
    let missing: Vec<_> = said.difference(&written).collect();
    let gone: Vec<_> = written.difference(&said).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "ops/monitoring/metrics.tsv: add {missing:#?} and remove {gone:#?}; then see ops/check"
    );
}

#[test]
fn what_is_deployed_passes_its_check() {
    let check = monitoring().with_file_name("check");
    let output = std::process::Command::new(check).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
