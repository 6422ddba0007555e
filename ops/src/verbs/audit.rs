//! `tidegate audit`: one line for every invariant, and a verdict where the stores can answer.
use super::print;
use crate::Failure;
use crate::cli::Audit;
use crate::config::Configuration;
use crate::stores::Opener;
use anyhow::{Context, anyhow};
use ledger::audit::{self, Finding, Sources, Verdict};
use ledger::{Books, Clock};
use payment_worker::gateway::PaymentGateway;
use std::fmt::Write;

pub(crate) async fn audit(config: &Configuration, flags: &Audit) -> Result<(), Failure> {
    let mut opener = Opener::existing(config)?;
    let books = opener.books(&config.stores.books).await?;
    let gateway = opener.gateway(&config.payment.gateway).await?;
    let findings = check(&books, gateway.as_ref()).await;
    opener.close().await;
    let findings = findings?;
    print(&if flags.json { json(&findings)? } else { lines(&findings) })?;
    let broken = findings.iter().filter(|f| matches!(f.verdict, Verdict::Broken(_))).count();
    if broken > 0 {
        return Err(Failure::failed(anyhow!("{broken} invariants are broken")));
    }
    Ok(())
}

async fn check(books: &Books, gateway: &dyn PaymentGateway) -> anyhow::Result<Vec<Finding>> {
    // Before the gateway is asked: what is captured from now on may be missing in its answer.
    let now = Clock::System.now();
    let gateway =
        payment_worker::gateway_log(gateway).await.context("reading the gateway's log")?;
    let sources = Sources { books, gateway: Some(&gateway), seats: &[] };
    audit::audit(sources, now).await.context("reading the stores")
}

fn lines(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{finding}");
    }
    text
}

fn json(findings: &[Finding]) -> anyhow::Result<String> {
    let items: Vec<_> = findings
        .iter()
        .map(|finding| {
            let (verdict, detail) = match &finding.verdict {
                Verdict::Held => ("held", None),
                Verdict::Broken(detail) => ("broken", Some(detail.clone())),
                Verdict::NotChecked(reason) => ("not_checked", Some((*reason).to_owned())),
            };
            serde_json::json!({
                "invariant": finding.invariant.to_string(),
                "name": finding.invariant.name(),
                "verdict": verdict,
                "detail": detail,
                "checked": finding.checked,
                "of": finding.of,
            })
        })
        .collect();
    let document = serde_json::json!({ "invariants": items });
    Ok(serde_json::to_string_pretty(&document).context("writing JSON")? + "\n")
}
