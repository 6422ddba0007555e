//! A small spike by the outside judge, against the real executable.
use crate::harness::{ADMIN, Node, loadtest};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn a_small_spike_ends_with_every_invariant_held() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = Node::start(&data, &["--no-limits"]).await;
    let report = folder.path().join("report.json");
    let run = Command::new(loadtest())
        .args(["spike", "--users", "300", "--seats", "60", "--arrive-seconds", "3"])
        .args(["--base", &node.base, "--admin", &node.admin])
        .arg("--server-log")
        .arg(node.log())
        .arg("--data")
        .arg(&data)
        .arg("--json")
        .arg(&report)
        .env("TIDEGATE_ADMIN_USERNAME", ADMIN.0)
        .env("TIDEGATE_ADMIN_PASSWORD", ADMIN.1)
        .output()
        .await
        .unwrap();
    let (out, errors) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{errors}");
    let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["users"], 300);
    assert_eq!(report["oversold"], 0);
    assert_eq!(report["errors"], 0);
    assert!(report["confirmed"].as_u64().unwrap() > 0, "{report}");
    assert!(report["refunded"].as_u64().unwrap() > 0, "{report}");
    for number in 1..=22 {
        let line = &report["invariants"][format!("I{number}")];
        assert_eq!(line["verdict"], "held", "I{number}: {line}");
        assert!(line["checked"].as_u64().unwrap() > 0, "I{number}: {line}");
    }
    assert!(node.stop().await.success());
}
