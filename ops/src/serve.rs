//! `tidegate serve`: opens the stores, starts the roles, says it is ready, and drains in order.
mod loops;
mod requests;
mod signals;
mod stages;

use crate::admin::{self, Admin, Readiness};
use crate::cli::Serve;
use crate::config::{Configuration, Profile, only_alone};
use crate::first_admin::{self, Credentials, FirstAdmin};
use crate::stores::{StoreWatch, Stores};
use crate::terminal::{announce, say};
use crate::{Failure, demo, folder, keyfile, logs};
pub(crate) use signals::Signals;

use anyhow::{Context, anyhow, ensure};
use ledger::{Clock, IdSource, Timestamp};
use loops::Loops;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// 2020-01-01: an unset clock starts at 1970, or at the year its board was made.
const EARLIEST_MILLIS: i64 = 1_577_836_800_000;
/// 9999-01-01: what ends later than today must still have a year of four digits.
const LATEST_MILLIS: i64 = 253_370_764_800_000;

/// Runs until a signal asks to stop, or something fails for good.
pub(crate) async fn serve(mut config: Configuration, flags: &Serve) -> Result<(), Failure> {
    if flags.demo && config.profile == Profile::Production {
        let refused = anyhow!("--demo does not run under profile = \"production\"");
        return Err(Failure::Usage(refused));
    }
    if flags.no_limits {
        if config.profile == Profile::Production {
            let refused = anyhow!("--no-limits does not run under profile = \"production\"");
            return Err(Failure::Usage(refused));
        }
        config.ingress.switch_off_limits();
    }
    logs::start(&config.log.level).map_err(Failure::Usage)?;
    check_clock(Clock::System.now())?;
    let _lock = folder::lock(&config.data)?;
    let node = Node::build(&config).await?;
    first_admin(&node, &config).await?;
    if flags.demo {
        demo::ensure_event(node.stores.books.events.as_ref(), &node.ids, &node.clock).await?;
    }
    node.run(&config, flags.demo).await
}

/// Tokens, deadlines and RFC 3339 need a year of four digits, and no sale was before this program.
fn check_clock(now: Timestamp) -> anyhow::Result<()> {
    let (first, last) = (EARLIEST_MILLIS, LATEST_MILLIS);
    ensure!(
        (first..=last).contains(&now.millis()),
        "this machine's clock is wrong by years: {} ms since 1970; set it and start again",
        now.millis()
    );
    Ok(())
}

async fn first_admin(node: &Node, config: &Configuration) -> Result<(), Failure> {
    let accounts = node.stores.books.accounts.as_ref();
    let credentials = Credentials::from_environment();
    if config.profile == Profile::Production
        && let Some(password) = &credentials.password
    {
        ingress::check_strong_password(password)
            .context("TIDEGATE_ADMIN_PASSWORD is too weak")
            .map_err(Failure::Usage)?;
    }
    let made =
        first_admin::ensure(accounts, credentials, &config.data, &node.ids, &node.clock).await?;
    if let FirstAdmin::WrittenTo(file) = made {
        say(&format!("the password of the first account \"admin\" is in {}", file.display()));
    }
    Ok(())
}

/// Everything a node is made of, before its loops start.
struct Node {
    clock: Clock,
    ids: IdSource,
    stores: Stores,
    keys: ledger::keys::Keyring,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
}

impl Node {
    async fn build(config: &Configuration) -> Result<Self, Failure> {
        let metrics = crate::admin::install_metrics()?;
        let clock = Clock::System;
        let ids = IdSource::system();
        if let Some(own) = only_alone(config) {
            tracing::warn!(
                stores = own,
                "stores.bookings is shared and these are not: a second node would sell from stores of its own"
            );
        }
        let stores = Stores::open(config, &ids).await?;
        stores.tidy();
        let keys = keyfile::open(&config.keys_file(), clock.now())?;
        Ok(Self { clock, ids, stores, keys, metrics })
    }

    async fn run(mut self, config: &Configuration, demo: bool) -> Result<(), Failure> {
        // Before anyone can know that we run: whoever reads the ready line may stop us at once.
        let signals = Signals::listen()?;
        let public = listen(&config.listen).await?;
        let operators = listen(&config.admin_listen).await?;
        let (address, admin_address) = (local(&public)?, local(&operators)?);
        let readiness = Readiness::default();
        let watching = CancellationToken::new();
        let mut loops = Loops::default();
        let looked_at = Admin { readiness: readiness.clone(), metrics: self.metrics.clone() };
        loops.watch("admin", looked_at.run(operators, watching.clone()));
        loops.watch("metrics", admin::keep_metrics(self.metrics.clone(), watching.clone()));
        let keys = keyfile::watch(config.keys_file(), self.keys.clone(), watching.clone());
        loops.watch("keys", keys);
        let store_watch = StoreWatch {
            probes: self.stores.probes(),
            interval: Duration::from_millis(config.ledger.watch_interval_ms),
            patience: Duration::from_millis(config.ledger.watch_timeout_ms),
            readiness: readiness.clone(),
        };
        loops.watch("store watch", store_watch.run(watching.clone()));
        let stopping = loops.start(&self, config, public)?;

        readiness.set(true);
        if demo {
            demo::explain(self.stores.books.events.as_ref(), &address).await?;
        }
        announce(&format!("tidegate ready: {address} admin {admin_address}"))?;
        let ended = signals.wait(self.stores.fatal(), loops.first_end()).await;
        readiness.set(false);
        loops.drain(stopping, watching).await;
        self.stores.close().await;
        ended.map_err(Failure::Failed)
    }
}

async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| format!("listening on {address}")).map_err(Failure::Failed)
}

fn local(listener: &TcpListener) -> Result<String, Failure> {
    let address = listener.local_addr().context("reading the address").map_err(Failure::Failed)?;
    Ok(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_by_years_is_refused() {
        for (millis, sound) in [
            (-1, false),
            (0, false),
            (EARLIEST_MILLIS - 1, false),
            (EARLIEST_MILLIS, true),
            (1_900_000_000_000, true),
            (LATEST_MILLIS, true),
            (LATEST_MILLIS + 1, false),
            (i64::MAX, false),
        ] {
            let checked = check_clock(Timestamp::from_millis(millis));
            assert_eq!(checked.is_ok(), sound, "{millis}: {checked:?}");
        }
    }
}
