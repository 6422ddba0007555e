//! Registering, logging in, and what is said to those who are not who they say.
use crate::fixture::Fixture;
use ledger::Role;
use serde_json::json;

#[tokio::test]
async fn an_account_is_made_once_and_logs_in() {
    let fixture = Fixture::open().await;
    let form = json!({ "username": "Alice@Example.org", "password": "correct horse" });
    let made = fixture.request("POST", "/api/auth/register").json(&form).send().await.expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let other_case = json!({ "username": "alice@example.ORG", "password": "correct horse" });
    let again = fixture.request("POST", "/api/auth/register").json(&other_case).send().await;
    assert_eq!(again.refusal(), (409, "username_taken".into()));

    let login =
        fixture.request("POST", "/api/auth/login").json(&other_case).send().await.expect(200);
    let token = login.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(login.json()["expires_in"], 3_600);
    fixture.request("GET", "/api/bookings").login(&token).send().await.expect(200);
    let (id, _) = fixture.account(Role::User).await;
    assert_ne!(made.json()["user_id"], id.as_str());
}

#[tokio::test]
async fn unknown_names_and_wrong_passwords_look_the_same() {
    let fixture = Fixture::open().await;
    let form = json!({ "username": "alice", "password": "correct horse" });
    fixture.request("POST", "/api/auth/register").json(&form).send().await.expect(201);
    // An account without a password, as imports make them.
    let (minted, _) = fixture.account(Role::User).await;
    let minted = minted.as_str().to_lowercase();
    let mut bodies = Vec::new();
    for (username, password) in [
        ("alice", "wrong horse"),
        ("nobody", "correct horse"),
        (minted.as_str(), "correct horse"),
        ("alice", "x"),
    ] {
        let form = json!({ "username": username, "password": password });
        let answer = fixture.request("POST", "/api/auth/login").json(&form).send().await;
        assert_eq!(answer.refusal(), (401, "unauthenticated".into()), "{username}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        bodies.push(answer.json());
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn bad_names_and_passwords_are_refused_by_field() {
    let fixture = Fixture::open().await;
    for (form, fields) in [
        (json!({}), vec!["username", "password"]),
        (json!({ "username": "a b", "password": "short" }), vec!["username", "password"]),
        (json!({ "username": "a\nb", "password": "long enough" }), vec!["username"]),
        (json!({ "username": 5, "password": true }), vec!["username", "password"]),
        (json!({ "username": "alice", "password": "long enough", "role": "admin" }), vec!["role"]),
        (json!({ "username": "alice", "password": "x".repeat(257) }), vec!["password"]),
    ] {
        let answer = fixture.request("POST", "/api/auth/register").json(&form).send().await;
        assert_eq!(answer.fields(), fields, "{form}");
    }
}

#[tokio::test]
async fn false_logins_open_nothing() {
    let fixture = Fixture::open().await;
    let token = fixture.login(Role::User).await;
    let elsewhere = Fixture::open().await.login(Role::Admin).await;
    for authorization in [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        "Basic YWRtaW46YWRtaW4=".into(),
        format!("Bearer {elsewhere}"),
        format!("Bearer {token}x"),
        token.clone(),
    ] {
        let request =
            fixture.request("GET", "/api/bookings").header("authorization", &authorization);
        assert_eq!(
            request.send().await.refusal(),
            (401, "unauthenticated".into()),
            "{authorization}"
        );
    }
    let twice = fixture.request("GET", "/api/bookings").login(&token).login(&token).send().await;
    assert_eq!(twice.refusal(), (401, "unauthenticated".into()));
}

#[tokio::test]
async fn each_role_may_do_its_own() {
    let fixture = Fixture::open().await;
    let event = fixture.event(json!({ "total_seats": 2 })).await;
    let [user, admin, gate] = [
        fixture.login(Role::User).await,
        fixture.login(Role::Admin).await,
        fixture.login(Role::Gate).await,
    ];
    let queue = format!("/api/events/{event}/queue");
    let event_form = json!({ "name": "N", "date": "2030-05-01", "venue": "V", "total_seats": 1 });
    let forged = json!({ "ticket": "forged" });
    let patch = json!({ "capacity": 5 });
    for (method, path, body, by_user, by_admin, by_gate) in [
        ("POST", "/api/events", &event_form, 403, 201, 403),
        ("PATCH", queue.as_str(), &patch, 403, 200, 403),
        ("POST", "/api/tickets/verify", &forged, 403, 403, 422),
    ] {
        for (login, expected) in [(&user, by_user), (&admin, by_admin), (&gate, by_gate)] {
            let answer = fixture.request(method, path).login(login).json(body).send().await;
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.json());
            if expected == 403 {
                assert_eq!(answer.refusal().1, "forbidden");
            }
        }
        let nobody = fixture.request(method, path).json(body).send().await;
        assert_eq!(nobody.refusal(), (401, "unauthenticated".into()), "{method} {path}");
    }
}
