//! The composition root: configuration, the choice of backends, the roles, and everything an
//! operator touches.
pub mod cli;
pub mod config;
mod failure;
mod logs;
mod terminal;

mod folder;
mod stores;

mod admin;
mod demo;
mod first_admin;
mod keyfile;
pub mod metrics;
mod pressure;
mod roles;
mod serve;
mod verbs;

pub use failure::Failure;

use cli::{Cli, Verb};
use config::Configuration;

/// Does what the command line asks for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let config = Configuration::load(&cli)?;
    if let Verb::Openapi = cli.verb {
        return verbs::openapi(&config);
    }
    if let Verb::Config = cli.verb {
        return verbs::show_config(&config);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(anyhow::Error::new(e).context("starting the runtime")))?;
    let done = runtime.block_on(async {
        match cli.verb {
            Verb::Serve(serve) => serve::serve(config, &serve).await,
            Verb::Migrate => verbs::migrate(&config).await,
            Verb::Event(event) => verbs::event(&config, event.action).await,
            Verb::Account(account) => verbs::account(&config, account.action).await,
            Verb::Keys(keys) => verbs::keys(&config, keys.action).await,
            Verb::Audit(audit) => verbs::audit(&config, &audit).await,
            Verb::Replay(replay) => verbs::replay(&config, &replay).await,
            Verb::Gateway(gateway) => verbs::gateway(&config, &gateway).await,
            Verb::Config | Verb::Openapi => Ok(()),
        }
    });
    // Blocking work that is still running (a password hash) must not hold up the exit.
    runtime.shutdown_background();
    done
}
