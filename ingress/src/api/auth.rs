//! Registering and logging in.
use crate::exchange::{Exchange, Outcome};
use crate::fields::{Fields, Wrong, parsed};
use crate::idempotency;
use crate::json::Json;
use crate::login::sign_login;
use crate::passwords::PASSWORD_BYTES;
use crate::problem::{Code, Problem};
use crate::response;
use crate::usernames::{FIRST_ADMIN, normalise_username};
use http::StatusCode;
use ledger::books::AccountCreated;
use ledger::{Account, AccountId, Role};
use serde::Serialize;

struct Credentials {
    username: String,
    password: String,
}

#[derive(Serialize)]
struct Registered<'a> {
    message: &'static str,
    user_id: &'a AccountId,
}

#[derive(Serialize)]
struct LoggedIn {
    token: String,
    token_type: &'static str,
    expires_in: u32,
}

pub(crate) async fn register(mut exchange: Exchange) -> Outcome {
    exchange.app().limits.register(exchange.client)?;
    exchange.no_query()?;
    let received = exchange.receive().await?;
    let credentials = received.read(new_credentials)?;
    // Nobody is logged in yet: a key belongs to the name it is used for.
    let scope = format!("register:{}", credentials.username);
    idempotency::once(&exchange, &scope, &received, create(&exchange, credentials)).await
}

async fn create(exchange: &Exchange, credentials: Credentials) -> Outcome {
    let app = exchange.app();
    let Credentials { username, password } = credentials;
    let password_hash = Some(app.passwords.hash(password).await?);
    if username == FIRST_ADMIN {
        return Err(Problem::new(Code::UsernameTaken, "the username is taken"));
    }
    let now = exchange.now();
    let id = app.ids.account(now);
    let account =
        Account { id: id.clone(), username, password_hash, role: Role::User, created_at: now };
    match app.books.accounts.create(&[account]).await?.first() {
        Some(AccountCreated::Created) => {
            let body = Registered { message: "User registered successfully!", user_id: &id };
            Ok(response::json(StatusCode::CREATED, &body))
        }
        Some(AccountCreated::Taken) | None => {
            Err(Problem::new(Code::UsernameTaken, "the username is taken"))
        }
    }
}

pub(crate) async fn login(mut exchange: Exchange) -> Outcome {
    exchange.app().limits.login(exchange.client)?;
    exchange.no_query()?;
    let Credentials { username, password } = exchange.receive().await?.read(credentials)?;
    let app = exchange.app();
    let account = app.books.accounts.by_name(&username).await?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    // An unknown name takes as long as a wrong password, and gets the same answer.
    let fits = app.passwords.fits(password, hash).await?;
    let Some(account) = account.filter(|_| fits) else {
        return Err(Problem::new(Code::Unauthenticated, "the username or password is wrong"));
    };
    let expires_in = app.config.login_seconds;
    let token = sign_login(&app.keys, &account.id, account.role, exchange.now(), expires_in)?;
    Ok(response::json(StatusCode::OK, &LoggedIn { token, token_type: "Bearer", expires_in }))
}

fn new_credentials(fields: &mut Fields<'_>) -> Option<Credentials> {
    let username = fields.required("username", parsed(normalise_username));
    let password = fields.required("password", |json| password(json, PASSWORD_BYTES));
    Some(Credentials { username: username?, password: password? })
}

/// The same shape; a password that no account can have is just wrong.
fn credentials(fields: &mut Fields<'_>) -> Option<Credentials> {
    let username = fields.required("username", parsed(normalise_username));
    let password = fields.required("password", |json| password(json, 0..=*PASSWORD_BYTES.end()));
    Some(Credentials { username: username?, password: password? })
}

/// A password may hold any characters.
fn password(json: Json, bytes: std::ops::RangeInclusive<usize>) -> Result<String, Wrong> {
    match json {
        Json::Text(text) if bytes.contains(&text.len()) => Ok(text),
        Json::Text(_) => {
            Err(format!("must have {} to {} bytes", bytes.start(), bytes.end()).into())
        }
        Json::Null
        | Json::Bool(_)
        | Json::Whole(_)
        | Json::Fraction(_)
        | Json::List(_)
        | Json::Object(_) => Err("must be a text".into()),
    }
}
