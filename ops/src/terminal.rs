//! What whoever started us reads: one line on stdout, words for people on stderr.
use anyhow::Context;
use std::io::Write;

/// One line for the operator, on stderr.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The one line on stdout, for whoever started us.
pub(crate) fn announce(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("writing to stdout")
}
