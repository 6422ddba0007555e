//! Limits, proxies and other origins.
use crate::fixture::Fixture;
use ingress::Network;
use ledger::Role;
use serde_json::json;

#[tokio::test]
async fn logins_and_registrations_are_limited_by_address() {
    let fixture = Fixture::with(|config| {
        config.limit_login_per_minute = 1;
        config.limit_register_per_minute = 1;
    })
    .await;
    let form = json!({ "username": "alice", "password": "correct horse" });
    for (path, first) in [("/api/auth/register", 201), ("/api/auth/login", 200)] {
        let post = || fixture.request("POST", path).json(&form).send();
        post().await.expect(first);
        let refused = post().await;
        assert_eq!(refused.refusal(), (429, "rate_limited".into()), "{path}");
        assert!(refused.header("retry-after").is_some());
        // Nobody buys more tries with a header of their own.
        let posing = fixture.request("POST", path).header("x-forwarded-for", "198.51.100.9");
        assert_eq!(posing.json(&form).send().await.status, 429);
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_counts_alone() {
    let fixture = Fixture::with(|config| {
        config.limit_login_per_minute = 1;
        config.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
    })
    .await;
    let form = json!({ "username": "alice", "password": "correct horse" });
    let login = |client: &str| {
        let request = fixture.request("POST", "/api/auth/login").header("x-forwarded-for", client);
        request.json(&form).send()
    };
    assert_eq!(login("198.51.100.1").await.status, 401);
    assert_eq!(login("198.51.100.2").await.status, 401);
    assert_eq!(login("198.51.100.1").await.status, 429);
    // What the client wrote before the proxy's own entry does not count.
    assert_eq!(login("203.0.113.5, 198.51.100.1").await.status, 429);
}

#[tokio::test]
async fn an_account_is_limited_wherever_it_comes_from() {
    let fixture = Fixture::with(|config| {
        config.limit_account_per_second = 1;
        config.limit_account_burst = 1;
    })
    .await;
    let (login, other) = (fixture.login(Role::User).await, fixture.login(Role::User).await);
    let list = |login: &str| fixture.request("GET", "/api/bookings").login(login).send();
    list(&login).await.expect(200);
    let mut refused = list(&login).await;
    while refused.status == 200 {
        refused = list(&login).await;
    }
    assert_eq!(refused.refusal(), (429, "rate_limited".into()));
    list(&other).await.expect(200);
}

#[tokio::test]
async fn only_listed_origins_may_call() {
    let origin = "https://tickets.example";
    let fixture = Fixture::with(|config| config.cors_origins = vec![origin.to_owned()]).await;
    let from = |origin: &str| fixture.request("GET", "/api/events").header("origin", origin).send();
    let listed = from(origin).await.expect(200);
    assert_eq!(listed.header("access-control-allow-origin"), Some(origin));
    assert!(listed.header("vary").unwrap().contains("Origin"));
    let stranger = from("https://evil.example").await.expect(200);
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    let preflight = |origin: &str| {
        let request = fixture.request("OPTIONS", "/api/tickets/lock").header("origin", origin);
        request.header("access-control-request-method", "POST").send()
    };
    let allowed = preflight(origin).await.expect(204);
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Idempotency-Key"));
    let refused = preflight("https://evil.example").await.expect(204);
    assert_eq!(refused.header("access-control-allow-methods"), None);
}
