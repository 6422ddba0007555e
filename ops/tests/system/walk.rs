//! The README's curl walk, run as it stands there.
use crate::harness::Node;
use std::path::Path;
use tokio::process::Command;

/// The README's block after this line is the walk.
const MARK: &str = "<!-- walk -->";

#[tokio::test]
async fn a_newcomer_who_follows_the_readme_holds_a_ticket() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let walk = readme.split(MARK).nth(1).expect("the README marks its walk");
    let walk = walk.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let walk = walk.expect("the walk is a block of shell");

    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&folder.path().join("data"), &["--demo"]).await;
    // The README starts `serve` at its default address; everything else is run word by word.
    assert!(walk.contains("http://127.0.0.1:8080"), "the walk names the default address");
    let walk = walk.replace("http://127.0.0.1:8080", &node.base);
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &walk])
        .current_dir(folder.path())
        .output()
        .await
        .unwrap();
    let (out, errors) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{errors}");
    assert!(out.contains("\"status\":\"confirmed\""), "{out}\n{errors}");
    let picture = std::fs::read(folder.path().join("ticket.png")).expect("a ticket with a QR code");
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    let drawing = std::fs::read_to_string(folder.path().join("ticket.svg")).expect("and as SVG");
    assert!(drawing.contains("<svg"));
    assert!(node.stop().await.success());
}
