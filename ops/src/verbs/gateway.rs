//! `tidegate gateway`: the simulated payment gateway as a process of its own.
use crate::cli::Gateway;
use crate::config::{Configuration, Profile};
use crate::serve::Signals;
use crate::stores::gateway_db;
use crate::terminal::announce;
use crate::{Failure, folder, logs};
use anyhow::{Context, anyhow};
use ledger::Clock;
use ledger_sqlite::SqliteFile;
use payment_simulator::{MIGRATIONS, SimulatedGateway, Simulation, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) async fn gateway(config: &Configuration, flags: &Gateway) -> Result<(), Failure> {
    if config.profile == Profile::Production {
        let refused = anyhow!("the simulated gateway does not run under profile = \"production\"");
        return Err(Failure::Usage(refused));
    }
    let simulation =
        Simulation::parse(&flags.simulate).context("--simulate").map_err(Failure::Usage)?;
    logs::start(&config.log.level).map_err(Failure::Usage)?;
    folder::make(&config.data)?;
    let file = SqliteFile::open(&gateway_db(&config.data), &MIGRATIONS)
        .await
        .context("opening the gateway's log")?;
    let gateway = SimulatedGateway::new(simulation, file.clone(), Clock::System);
    let listener = TcpListener::bind(&flags.listen)
        .await
        .with_context(|| format!("listening on {}", flags.listen))?;
    let signals = Signals::listen()?;
    let address = listener.local_addr().context("reading the address")?;
    announce(&format!("tidegate gateway ready: http://{address}"))?;
    let shutdown = CancellationToken::new();
    let mut serving = std::pin::pin!(serve(listener, gateway, shutdown.clone()));
    tokio::select! {
        () = &mut serving => {}
        stopped = signals.stop() => {
            stopped?;
            shutdown.cancel();
            serving.await;
        }
    }
    file.close().await;
    Ok(())
}
