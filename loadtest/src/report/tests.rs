//! The report's JSON, field by field, and how the clients' verdicts meet the audit's.
use super::*;
use crate::history::{Called, WaitTold};
use crate::scenario::Wanted;
use std::time::Duration;

fn audited(invariant: &str, verdict: AuditVerdict, detail: Option<&str>) -> AuditLine {
    let (invariant, detail) = (invariant.to_owned(), detail.map(str::to_owned));
    AuditLine { invariant, verdict, detail, checked: 10 }
}

fn verdict(checked: u64, breaches: &[&str]) -> Verdict {
    Verdict { checked, breaches: breaches.iter().map(|&b| b.to_owned()).collect() }
}

fn report() -> Report {
    let scenario = Scenario::new(Wanted {
        users: 3,
        seats: 2,
        arrive: Duration::from_secs(1),
        rate_per_minute: Some(600),
        capacity: Some(50),
        seed: 7,
    });
    let called = Some(Called { looked: 9_000_000, heard: 10_000_000 });
    let (end, claims) = (End::Confirmed, 2);
    let mut buyer = History { end, admitted: true, called, claims, ..History::new(0) };
    buyer.waits.push(WaitTold { told: 0, least_seconds: 6, most_seconds: 11 });
    buyer.bookings.push(crate::history::BookingSeen {
        booking: "bkg".to_owned(),
        seats: vec!["a".to_owned()],
        status: "confirmed".to_owned(),
        tickets: 1,
    });
    let left = History { end: End::Left, sheds: 2, lost: 1, ..History::new(1) };
    let mut failed = History::new(2);
    failed.faults.push("lock: 500".to_owned());
    let clients = BTreeMap::from([
        (Invariant::I1, verdict(1, &[])),
        (Invariant::I12, verdict(4, &["pass accepted"])),
    ]);
    let audit = [
        audited("I1", AuditVerdict::Held, None),
        audited("I2", AuditVerdict::Held, None),
        audited("I12", AuditVerdict::NotChecked, Some("load run only")),
    ];
    let latency_ms = BTreeMap::from([("join", Figures { count: 3, p50: 1.5, p99: 2.0, max: 2.5 })]);
    let measured = Measured { oversold: 0, connections: 4, latency_ms, duration_seconds: 6.5 };
    Report::new(&scenario, &[buyer, left, failed], &clients, &audit, &[Invariant::I1], measured)
}

#[test]
fn the_json_report_is_as_published() {
    let json = serde_json::to_string_pretty(&report()).unwrap() + "\n";
    assert_eq!(json, include_str!("golden.json"));
}

#[test]
fn the_text_report_names_breaches_and_errors() {
    let text = report().text();
    for line in [
        "users 3  joined 0  admitted 1  held 0  booked 1  confirmed 1",
        "I1 one-owner-per-seat held 11 checked by clients and audit",
        "I12 forgeries-refused BROKEN 1 times, 4 checked by clients",
        "    pass accepted",
        "error, 1 times: lock: 500",
        "FAILED in 6.5 s",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn a_run_passes_only_without_breach_and_error() {
    let mut good = report();
    (good.errors, good.faults) = (0, BTreeMap::new());
    good.invariants.remove(&Invariant::I12);
    assert!(good.passed());
    for spoil in [
        |report: &mut Report| report.errors = 1,
        |report: &mut Report| report.oversold = 1,
        |report: &mut Report| (report.admitted, report.claims) = (1_000, 3_001),
        |report: &mut Report| report.faults = BTreeMap::from([("x".to_owned(), 1)]),
        |report: &mut Report| {
            report.invariants.get_mut(&Invariant::I1).unwrap().verdict = Standing::Broken;
        },
    ] {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(!bad.passed());
    }
}

#[test]
fn broken_wins_and_not_checked_never_does() {
    use AuditVerdict::{Broken, Held, NotChecked};
    for (clients, audit, expected) in [
        (verdict(1, &[]), Held, Standing::Held),
        (verdict(1, &["x"]), Held, Standing::Broken),
        (verdict(1, &[]), Broken, Standing::Broken),
        (verdict(0, &[]), Broken, Standing::Broken),
        (verdict(0, &[]), NotChecked, Standing::NotChecked),
        (verdict(1, &[]), NotChecked, Standing::Held),
        (verdict(0, &[]), Held, Standing::Held),
    ] {
        let case = format!("{clients:?} {audit:?}");
        let lines =
            merged(&BTreeMap::from([(Invariant::I7, clients)]), &[audited("I7", audit, None)]);
        assert_eq!(lines[&Invariant::I7].verdict, expected, "{case}");
    }
}

#[test]
fn a_required_invariant_that_met_nothing_fails_the_run() {
    let checked = BTreeMap::from([(Invariant::I1, verdict(1, &[]))]);
    let audit = [audited("I19", AuditVerdict::NotChecked, Some("nothing happened"))];
    let lines = merged(&checked, &audit);
    let one = complete(lines.clone(), &[Invariant::I1]);
    assert_eq!(one, lines, "what was looked at is enough");
    let all = complete(lines, &[Invariant::I1, Invariant::I19, Invariant::I20]);
    let progress = &all[&Invariant::I22];
    assert_eq!((progress.verdict, progress.breaches), (Standing::Broken, 2));
    assert_eq!(progress.examples[0], "I19 refunds-exist-once was not checked");
}

#[test]
fn the_audit_is_read_as_tidegate_writes_it() {
    let text = r#"{"invariant": "I6", "verdict": "not_checked", "detail": "load run only",
        "checked": 0, "of": "bookings"}"#;
    let line: AuditLine = serde_json::from_str(text).unwrap();
    assert_eq!((line.verdict, line.checked), (AuditVerdict::NotChecked, 0));
}
