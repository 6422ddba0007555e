//! `tidegate account`: roles, and accounts in bulk.
use super::print;
use crate::cli::AccountAction;
use crate::config::{Configuration, Profile};
use crate::stores::Opener;
use crate::{Failure, keyfile};
use anyhow::{Context, anyhow};
use ledger::books::{AccountCreated, Accounts};
use ledger::keys::Keyring;
use ledger::{Account, Clock, IdSource, Role};

/// Accounts made in one transaction.
const MINT_BATCH: usize = 1_000;

pub(crate) async fn account(config: &Configuration, action: AccountAction) -> Result<(), Failure> {
    match action {
        AccountAction::Role { username, role } => set_role(config, &username, &role).await,
        AccountAction::Mint { count, prefix } => mint(config, count, &prefix).await,
    }
}

async fn set_role(config: &Configuration, username: &str, role: &str) -> Result<(), Failure> {
    let role = Role::parse(role)
        .ok_or_else(|| Failure::usage(anyhow!("{role:?} is none of admin, gate, user")))?;
    let username = normalised(username)?;
    let mut opener = Opener::existing(config)?;
    let books = opener.books(&config.stores.books).await?;
    let found = books.accounts.set_role(&username, role).await;
    opener.close().await;
    if found.context("changing the role")? {
        print(&format!("{username} is {} now\n", role.as_str()))
    } else {
        Err(Failure::failed(anyhow!("there is no account {username:?}")))
    }
}

async fn mint(config: &Configuration, count: u32, prefix: &str) -> Result<(), Failure> {
    if config.profile == Profile::Production {
        let refused = anyhow!("`account mint` does not run under profile = \"production\"");
        return Err(Failure::Usage(refused));
    }
    let prefix = normalised(prefix)?;
    let mut opener = Opener::existing(config)?;
    let books = opener.books(&config.stores.books).await?;
    let done = mint_into(config, books.accounts.as_ref(), count, &prefix).await;
    opener.close().await;
    done
}

async fn mint_into(
    config: &Configuration,
    accounts: &dyn Accounts,
    count: u32,
    prefix: &str,
) -> Result<(), Failure> {
    let (clock, ids) = (Clock::System, IdSource::system());
    let keys = keyfile::open(&config.keys_file(), clock.now())?;
    let mut left = count as usize;
    while left > 0 {
        let batch: Vec<Account> =
            (0..left.min(MINT_BATCH)).map(|_| minted(prefix, &ids, &clock)).collect();
        let made = accounts.create(&batch).await.context("making accounts")?;
        let mut lines = String::new();
        for (account, made) in batch.iter().zip(made) {
            match made {
                AccountCreated::Created => lines.push_str(&token(account, &keys, config, &clock)?),
                // Another mint drew the same random name: draw again.
                AccountCreated::Taken => continue,
            }
            lines.push('\n');
            left -= 1;
        }
        print(&lines)?;
    }
    Ok(())
}

fn minted(prefix: &str, ids: &IdSource, clock: &Clock) -> Account {
    let now = clock.now();
    Account {
        id: ids.account(now),
        username: format!("{prefix}-{:016x}", ids.random()),
        password_hash: None,
        role: Role::User,
        created_at: now,
    }
}

fn token(
    account: &Account,
    keys: &Keyring,
    config: &Configuration,
    clock: &Clock,
) -> Result<String, Failure> {
    let seconds = config.ingress.login_seconds;
    let signed = ingress::sign_login(keys, &account.id, account.role, clock.now(), seconds);
    Ok(signed.context("signing a login token")?)
}

fn normalised(name: &str) -> Result<String, Failure> {
    ingress::normalise_username(name)
        .map_err(|error| Failure::usage(anyhow!("the name {name:?} {error}")))
}
