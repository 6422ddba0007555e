//! The command line.
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// A self-hosted flash-sale pipeline: queue, hold, pay, ticket.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
pub struct Cli {
    /// A TOML file with what differs from the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder for everything this node keeps [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the roles: the sale itself.
    Serve(Serve),
    /// Print the effective configuration and where each value came from.
    Config,
    /// Bring the databases to this version's schema.
    Migrate,
    /// Make and list events.
    Event(Event),
    /// Change roles, and mint accounts for load tests.
    Account(Account),
    /// Make or rotate the signing keys.
    Keys(Keys),
    /// Check every invariant that the stores can answer.
    Audit(Audit),
    /// Rebuild what is derived from the record.
    Replay(Replay),
    /// Print the OpenAPI document.
    Openapi,
    /// Run the simulated payment gateway as a process of its own.
    Gateway(Gateway),
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Add one seated event on sale and say how to buy a ticket.
    #[arg(long)]
    pub demo: bool,
    /// Where visitors come in; port 0 picks a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where operators look: /livez, /readyz, /metrics [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<String>,
    /// Comma-separated: ingress, waiting-room, allocator, payment-worker, ledger [default: all].
    #[arg(long, value_name = "LIST")]
    pub roles: Option<String>,
    /// Switch off all seven request limits, for tests and benchmarks; refused in production.
    #[arg(long)]
    pub no_limits: bool,
}

#[derive(Debug, Args)]
pub struct Event {
    #[command(subcommand)]
    pub action: EventAction,
}

#[derive(Debug, Subcommand)]
pub enum EventAction {
    /// Make an event from the JSON body that POST /api/events takes, read from FILE or stdin.
    #[command(after_help = EVENT_EXAMPLES)]
    Create {
        /// The JSON file; `-` reads stdin.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// One line for each event: id, date, total seats, name.
    List,
}

/// Bodies to start from: the shortest, and one with sections, a sale that opens later and a queue.
const EVENT_EXAMPLES: &str = r#"Examples:
  {"name": "Small Night", "date": "2030-06-01", "venue": "The Weir", "total_seats": 200}

  {
    "name": "Big Night", "date": "2030-06-01T20:00:00+02:00", "timezone": "Europe/Vienna",
    "venue": "The Weir", "on_sale_at": "2030-05-01T08:00:00Z", "seats_per_account_max": 4,
    "sections": [
      {"id": "stalls", "name": "Stalls", "price": {"minor": 4500, "currency": "EUR"},
       "rows": [{"name": "A", "seats": 20}, {"name": "B", "seats": ["1", "2", null, "3"]}]},
      {"id": "floor", "name": "Floor", "price": {"minor": 2500, "currency": "EUR"}, "capacity": 300}
    ],
    "queue": {"rate_per_minute": 600, "capacity": 200}
  }"#;

#[derive(Debug, Args)]
pub struct Account {
    #[command(subcommand)]
    pub action: AccountAction,
}

#[derive(Debug, Subcommand)]
pub enum AccountAction {
    /// Give an account another role.
    Role {
        username: String,
        /// admin, gate or user.
        role: String,
    },
    /// Make accounts without a password and print a login token for each, one on a line.
    Mint {
        #[arg(long, value_name = "N")]
        count: u32,
        /// What their names begin with.
        #[arg(long, default_value = "minted", value_name = "P")]
        prefix: String,
    },
}

#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    pub action: KeysAction,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KeysAction {
    /// Make the keys file; an existing one is kept and the command fails.
    Make,
    /// Add a key for every purpose and keep the old ones for as long as what they signed lives.
    Rotate,
}

#[derive(Debug, Args)]
pub struct Audit {
    /// One JSON document instead of one line for each invariant.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// Rebuild the views from the books.
    #[arg(long, required = true)]
    pub views: bool,
}

#[derive(Debug, Args)]
pub struct Gateway {
    /// Where it listens; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    pub listen: String,
    /// How it behaves: `latency_ms=50&decline=0.1&unknown=0.02&duplicate=0.05&seed=7`.
    #[arg(long, default_value = "", value_name = "QUERY")]
    pub simulate: String,
}
