//! The configuration: defaults < file < environment < flags, every value with where it came from.
mod compiled;
mod layers;
mod ledger;
mod relations;
mod stores;

pub use self::ledger::{
    KafkaSettings, LedgerBounds, PostgresSettings, Property, RedisSettings, ScyllaSettings,
};
pub use layers::{Layers, Origin};
pub(crate) use relations::only_alone;
pub use stores::{Address, BooksUrl, FilePath, GatewayUrl, LogUrl, QueueUrl, SeatsUrl, ViewsUrl};
pub(crate) use stores::{without_password, without_secret};

use crate::Failure;
use crate::cli::{Cli, Serve, Verb};
use crate::pressure::PressureBounds;
use anyhow::Context;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The one home of every default and its meaning.
const DEFAULTS: &str = include_str!("../tidegate.default.toml");

/// What this installation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    Development,
    /// Weak secrets, the simulated gateway and what is only for tests and demos refuse to start.
    Production,
}

/// The effective configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    pub profile: Profile,
    pub data: PathBuf,
    pub listen: String,
    pub admin_listen: String,
    /// Said to be meant: production refuses an admin listener on every address otherwise.
    pub admin_listen_everywhere: bool,
    pub roles: Vec<String>,
    pub log: Log,
    pub stores: StoreUrls,
    pub payment: Payment,
    pub keys: Keys,
    pub ingress: ingress::Config,
    pub waiting_room: waiting_room::Config,
    pub allocator: allocator::Config,
    pub payment_worker: payment_worker::Config,
    pub pressure: PressureBounds,
    pub ledger: Arc<LedgerBounds>,
    /// Where each value came from.
    #[serde(skip)]
    pub layers: Layers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
}

/// Which backend each seam has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreUrls {
    pub queue: QueueUrl,
    pub seats: SeatsUrl,
    pub bookings: LogUrl,
    pub books: BooksUrl,
    pub views: ViewsUrl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    pub gateway: GatewayUrl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Empty: `keys.json` under the data folder.
    pub file: PathBuf,
}

impl Configuration {
    /// Reads all layers and checks every value and the relations between them.
    pub fn load(cli: &Cli) -> Result<Self, Failure> {
        Self::read(cli).map_err(Failure::Usage)
    }

    fn read(cli: &Cli) -> anyhow::Result<Self> {
        let mut layers = Layers::defaults(DEFAULTS)?;
        if let Some(path) = &cli.config {
            layers.add_file(path)?;
        }
        layers.add_environment(environment())?;
        if let Some(data) = &cli.data {
            layers.set_flag("data", data.display().to_string());
        }
        if let Verb::Serve(serve) = &cli.verb {
            add_serve_flags(&mut layers, serve);
        }
        let mut config: Self = layers.read().context("reading the configuration")?;
        config.layers = layers;
        config.resolve_paths(cli.config.as_deref());
        if config.profile == Profile::Production && !config.ingress.cookies_secure {
            config.ingress.cookies_secure = true;
            config.layers.set_by_profile("ingress.cookies_secure", true);
        }
        relations::check(&config)?;
        Ok(config)
    }

    /// The keys file, by default under the data folder.
    pub fn keys_file(&self) -> PathBuf {
        if self.keys.file.as_os_str().is_empty() {
            self.data.join("keys.json")
        } else {
            self.keys.file.clone()
        }
    }

    /// Relative paths are relative to the file that names them.
    fn resolve_paths(&mut self, file: Option<&Path>) {
        let Some(base) = file.and_then(Path::parent) else { return };
        let from_file = |layers: &Layers, key: &str| layers.origin(key) == Some(Origin::File);
        if from_file(&self.layers, "data") {
            self.data = base.join(&self.data);
        }
        if from_file(&self.layers, "keys.file") && !self.keys.file.as_os_str().is_empty() {
            self.keys.file = base.join(&self.keys.file);
        }
        let urls = &mut self.stores;
        if from_file(&self.layers, "stores.bookings") {
            urls.bookings.resolve(base);
        }
        if from_file(&self.layers, "stores.books") {
            urls.books.resolve(base);
        }
        if from_file(&self.layers, "stores.views") {
            urls.views.resolve(base);
        }
    }
}

fn add_serve_flags(layers: &mut Layers, serve: &Serve) {
    if let Some(listen) = &serve.listen {
        layers.set_flag("listen", listen.clone());
    }
    if let Some(listen) = &serve.admin_listen {
        layers.set_flag("admin_listen", listen.clone());
    }
    if let Some(roles) = &serve.roles {
        let roles = roles.split(',').map(|role| toml::Value::String(role.trim().to_owned()));
        layers.set_flag("roles", roles.collect::<Vec<_>>());
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars()
}
