//! The first admin: from the environment, or with a random password that `serve` writes down.
use crate::folder;
use anyhow::{Context, ensure};
use ledger::books::{AccountCreated, Accounts};
use ledger::{Account, Clock, IdSource, Role};
use std::path::{Path, PathBuf};

const NAME: &str = "TIDEGATE_ADMIN_USERNAME";
const PASSWORD: &str = "TIDEGATE_ADMIN_PASSWORD";
/// Where a random password is written, under the data folder.
const FILE: &str = "admin-password";

/// What became of the first admin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstAdmin {
    /// There was one already; it is never reset.
    Kept,
    FromEnvironment,
    /// A random password was made; it is in this file.
    WrittenTo(PathBuf),
}

/// Credentials as the environment gives them.
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl Credentials {
    #[expect(clippy::disallowed_methods, reason = "secrets come from the environment")]
    pub(crate) fn from_environment() -> Self {
        Self { username: std::env::var(NAME).ok(), password: std::env::var(PASSWORD).ok() }
    }
}

/// Creates the admin if it is absent.
pub(crate) async fn ensure(
    accounts: &dyn Accounts,
    credentials: Credentials,
    data: &Path,
    ids: &IdSource,
    clock: &Clock,
) -> anyhow::Result<FirstAdmin> {
    let wanted = credentials.username.as_deref().unwrap_or(ingress::FIRST_ADMIN);
    let username = ingress::normalise_username(wanted)
        .with_context(|| format!("{NAME} is not a name that an account can have"))?;
    let there = accounts.by_name(&username).await?;
    // A sale that has an admin gets a second one only by a name that was asked for.
    if (there.is_some() || credentials.username.is_none())
        && accounts.any_of(Role::Admin).await?.is_some()
    {
        return Ok(FirstAdmin::Kept);
    }
    ensure!(
        there.is_none(),
        "the account {username:?} is no admin, and there is no other: choose another {NAME}, or run \
         `tidegate account role {username} admin` if it is yours"
    );
    let file = data.join(FILE);
    let (password, written) = match credentials.password {
        Some(password) => (password, false),
        None => (format!("{:016x}{:016x}", ids.random(), ids.random()), true),
    };
    let password_hash =
        ingress::hash_password(&password).with_context(|| format!("{PASSWORD} cannot be used"))?;
    if written && !file.exists() {
        folder::write_secret(&file, &format!("{password}\n"))?;
    } else if written {
        // A crash between the file and the account: what the file says stays true.
        std::fs::remove_file(&file).context("replacing an unused admin password")?;
        folder::write_secret(&file, &format!("{password}\n"))?;
    }
    let now = clock.now();
    let id = ids.account(now);
    let account = Account {
        id,
        username,
        password_hash: Some(password_hash),
        role: Role::Admin,
        created_at: now,
    };
    match accounts.create(&[account]).await?.as_slice() {
        [AccountCreated::Created] if written => Ok(FirstAdmin::WrittenTo(file)),
        [AccountCreated::Created] => Ok(FirstAdmin::FromEnvironment),
        // Another node was first, and the password that we made is nobody's.
        _ => {
            if written {
                std::fs::remove_file(&file).context("removing an unused admin password")?;
            }
            Ok(FirstAdmin::Kept)
        }
    }
}
