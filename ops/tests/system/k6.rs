//! The k6 scripts of `loadtest/k6`, run by the real k6 against the real executable.
use crate::harness::{ADMIN, Client, Node, PATIENCE, mint};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::process::Command;
use tokio::time::timeout;

/// k6's exit code when a threshold was crossed.
const CROSSED: i32 = 99;

/// Runs a script; its exit code, and the JSON that it wrote. The folder is for its files.
async fn k6(base: &str, folder: &Path, script: &str, env: &[(&str, &str)]) -> (i32, Value) {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR"));
    let summary = folder.join(script).with_extension("json");
    let mut command = Command::new(ops.join("dev/k6"));
    // Without an address k6 opens no port of its own.
    command.args(["run", "--quiet", "--no-usage-report", "--address", ""]);
    command.arg(ops.join("../loadtest/k6").join(script));
    command.env("BASE", base).env("SUMMARY", &summary);
    command.env("TIDEGATE_ADMIN_USERNAME", ADMIN.0).env("TIDEGATE_ADMIN_PASSWORD", ADMIN.1);
    // How fast this machine is, is not judged here.
    command.env("LATENCY_FACTOR", "100").envs(env.iter().copied()).kill_on_drop(true);
    let run = timeout(PATIENCE, command.output()).await.expect("k6 ends").expect("k6 starts");
    for text in [run.stdout, run.stderr] {
        eprintln!("{}", String::from_utf8_lossy(&text));
    }
    let written = std::fs::read(&summary).expect("k6 writes its summary");
    let summary = serde_json::from_slice(&written).expect("the summary is JSON");
    (run.status.code().expect("k6 ends by itself"), summary)
}

/// How many seats the public map shows as sold.
async fn seats_sold(client: &Client, event: &str) -> usize {
    let map = client.get(&format!("/api/events/{event}/seats")).await.expect(200);
    let sections = map["sections"].as_object().expect("sections");
    let shown = sections.values().map(|section| section.as_str().expect("seats"));
    shown.flat_map(str::bytes).filter(|seat| *seat == b's').count()
}

#[tokio::test]
async fn the_smoke_test_makes_its_own_sale_and_everybody_gets_tickets() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("data"), &["--no-limits"]).await;
    let env = [("USERS", "8"), ("ARRIVE_SECONDS", "2")];
    let (code, summary) = k6(&node.base, folder.path(), "smoke.js", &env).await;
    assert_eq!((code, &summary["passed"]), (0, &true.into()), "{summary}");
    assert_eq!(summary["visits"]["bought"], 6, "{summary}");
    assert_eq!(summary["visits"]["gave_back"], 2, "{summary}");
    assert_eq!(summary["bookings"]["confirmed"], 8);
    // One or two seats each, the first and the sixth gave theirs back.
    assert_eq!(summary["tickets"], serde_json::json!({"bought": 12, "returned": 3, "kept": 9}));

    let event = summary["event"].as_str().expect("an event");
    assert_eq!(seats_sold(&node.client(), event).await, 9);
    let shown = node.client().get(&format!("/api/events/{event}")).await.expect(200);
    assert_eq!(shown["queue_state"], "closed", "nobody is left to wait");
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn a_small_spike_sells_every_seat_once_and_k6_would_notice_one_sold_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = Node::start(&data, &["--no-limits"]).await;
    let logins = mint(&data, 80).await;
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, logins.join("\n")).unwrap();
    let tokens = tokens.to_str().expect("a path");
    let env = [("TOKENS", tokens), ("USERS", "80"), ("SEATS", "24"), ("ARRIVE_SECONDS", "4")];
    let (code, summary) = k6(&node.base, folder.path(), "spike.js", &env).await;
    assert_eq!((code, &summary["passed"]), (0, &true.into()), "{summary}");

    // What k6 counted is what the server tells each buyer.
    let (mut confirmed, mut refunded, mut seats) = (0, 0, Vec::new());
    for login in &logins {
        let answer = node.client().logged_in(login).get("/api/bookings").await.expect(200);
        for booking in answer["items"].as_array().expect("bookings") {
            match booking["status"].as_str().expect("a status") {
                "confirmed" => {
                    confirmed += 1;
                    let tickets = booking["tickets"].as_array().expect("tickets");
                    seats.extend(tickets.iter().map(|ticket| ticket["seat"].to_string()));
                }
                "refunded" => refunded += 1,
                other => panic!("a booking is {other}"),
            }
        }
    }
    assert!(refunded > 0, "some gave their tickets back");
    assert_eq!(summary["bookings"]["confirmed"], confirmed + refunded);
    assert_eq!(summary["visits"]["gave_back"], refunded);
    assert_eq!(summary["tickets"]["kept"], seats.len());
    assert_eq!((seats.len(), seats.iter().collect::<BTreeSet<_>>().len()), (24, 24), "{seats:?}");
    assert_eq!(seats_sold(&node.client(), summary["event"].as_str().expect("an event")).await, 24);

    judge_together(&node.base, folder.path(), &summary).await;
    assert!(node.stop().await.success());
}

/// The summary passes by itself. It fails once a buyer says to have kept one seat more, and once
/// one says to have kept another seat than is sold.
async fn judge_together(base: &str, folder: &Path, summary: &Value) {
    let event = summary["event"].as_str().expect("an event");
    let part = folder.join("part.json");
    let env = [("EVENT", event), ("SUMMARIES", part.to_str().expect("a path"))];
    let sum = summary["seats"]["kept_sum"].as_u64().expect("a sum");
    let kept = summary["tickets"]["kept"].as_u64().expect("a count");
    for (kept_now, sum_now, crossed) in [
        (kept, sum, vec![]),
        (kept + 1, sum + 77, vec!["seats_surplus count==0", "seats_surplus_sum count==0"]),
        (kept, sum + 77, vec!["seats_surplus_sum count==0"]),
    ] {
        let mut altered = summary.clone();
        altered["tickets"]["kept"] = kept_now.into();
        altered["seats"]["kept_sum"] = sum_now.into();
        std::fs::write(&part, altered.to_string()).unwrap();
        let (code, judged) = k6(base, folder, "together.js", &env).await;
        assert_eq!(judged["failed"], Value::from(crossed), "{judged}");
        assert_eq!(code == CROSSED, judged["passed"] == false, "{judged}");
        assert_eq!(code == 0, judged["passed"] == true, "{judged}");
    }
}
