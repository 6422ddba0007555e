//! Registering and logging in.
use crate::exchange::{Exchange, Outcome};
use crate::fields::Fields;
use crate::idempotency;
use crate::login::sign_login;
use crate::passwords::PASSWORD_BYTES;
use crate::problem::{Code, Problem};
use crate::response;
use crate::rules::{Form, parsed_as, secret};
use crate::schemas::{answer, describe_enum};
use crate::usernames::{FIRST_ADMIN, normalise_username};
use http::StatusCode;
use ledger::books::AccountCreated;
use ledger::{Account, AccountId, Role};
use serde::Serialize;
use serde_json::json;
use std::ops::RangeInclusive;

pub(crate) struct Credentials {
    username: String,
    password: String,
}

answer! {
    /// An account that was made.
    struct Registered<'a> as "Registered", such as
        r#"{"message": "User registered successfully!", "user_id": "acc_01JZ3"}"# {
        /// A line for people.
        message: &'static str,
        /// The account's id.
        user_id: &'a AccountId,
    }
}

answer! {
    /// A login.
    struct LoggedIn as "LoggedIn", such as
        r#"{"token": "eyJhbGciOi.eyJzdWIi.c2ln", "token_type": "Bearer", "expires_in": 86400}"# {
        /// What to send as `Authorization: Bearer`.
        token: String,
        /// How to send it.
        token_type: TokenType,
        /// How long it is valid, in seconds.
        expires_in: u32,
    }
}

#[derive(Serialize)]
pub(crate) enum TokenType {
    Bearer,
}

describe_enum!(TokenType: Bearer);

/// The credentials of a new account.
pub(crate) static REGISTRATION: Form<Credentials> = Form {
    name: "Registration",
    says: "The name and password of a new account.",
    example: r#"{"username": "alice", "password": "correct horse"}"#,
    fields: |fields| credentials(fields, PASSWORD_BYTES),
};

/// The same shape; a password that no account can have is just wrong.
pub(crate) static CREDENTIALS: Form<Credentials> = Form {
    name: "Credentials",
    says: "Who logs in.",
    example: r#"{"username": "alice", "password": "correct horse"}"#,
    fields: |fields| credentials(fields, 0..=*PASSWORD_BYTES.end()),
};

pub(crate) async fn register(mut exchange: Exchange) -> Outcome {
    exchange.app().limits.register(exchange.client)?;
    let received = exchange.receive().await?;
    let credentials = received.read(&REGISTRATION)?;
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
    let Credentials { username, password } = exchange.receive().await?.read(&CREDENTIALS)?;
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
    Ok(response::json(
        StatusCode::OK,
        &LoggedIn { token, token_type: TokenType::Bearer, expires_in },
    ))
}

fn credentials(
    fields: &mut Fields<'_>,
    password_bytes: RangeInclusive<usize>,
) -> Option<Credentials> {
    let username = fields.required(
        "username",
        parsed_as(
            normalise_username,
            |_| json!({ "type": "string", "pattern": "^[A-Za-z0-9_.@+-]{1,64}$" }),
        ),
        "The account's name; upper and lower case are the same.",
    );
    let says = "The account's password, of 6 to 256 bytes when it is made.";
    let password = fields.required("password", secret(password_bytes), says);
    Some(Credentials { username: username?, password: password? })
}
