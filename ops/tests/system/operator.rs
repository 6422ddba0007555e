//! What an operator meets: verbs, exit codes, refusals with a clear message.
use crate::harness::{Node, serve_refuses, tidegate, verb};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn a_second_serve_on_the_folder_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    serve_refuses(folder.path(), &[], &[], 1, "another `tidegate serve` is running").await;
    node.client().get("/api/events").await.expect(200);
    // Whoever takes the file away does not take the lock away.
    std::fs::remove_file(folder.path().join("serve.lock")).unwrap();
    serve_refuses(folder.path(), &[], &[], 1, "another `tidegate serve` is running").await;
    assert!(node.stop().await.success());
    assert!(Node::start(folder.path(), &[]).await.stop().await.success());
}

#[tokio::test]
async fn lost_books_beside_a_gateway_with_charges_are_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &[]).await;
    let event = json!({"name": "N", "date": "2030-01-01", "venue": "V", "total_seats": 3});
    let event = node.client().event(event).await;
    let ada = node.client().register("ada").await;
    let seat = json!({"event_id": event, "seat_number": 1});
    ada.post("/api/tickets/lock", seat.clone()).await.expect(200);
    let booked = ada.post("/api/tickets/book", seat).await.expect(202);
    ada.settled(booked["booking_id"].as_str().unwrap()).await;
    assert!(node.stop().await.success());
    let database = folder.path().join("tidegate.db");
    let sound = std::fs::read(&database).unwrap();
    for file in ["tidegate.db", "tidegate.db-wal", "tidegate.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    serve_refuses(folder.path(), &[], &[], 1, "put the books back").await;
    assert!(!database.exists(), "nothing is made in its place");
    std::fs::write(&database, "").unwrap();
    serve_refuses(folder.path(), &[], &[], 1, "put the books back").await;
    // Books of another sale, with a schema and nothing sold, are not these books either.
    let other = tempfile::tempdir().unwrap();
    assert!(verb(other.path(), &["migrate"]).await.status.success());
    std::fs::copy(other.path().join("tidegate.db"), &database).unwrap();
    serve_refuses(folder.path(), &[], &[], 1, "put the books back").await;
    std::fs::write(&database, &sound).unwrap();
    assert!(Node::start(folder.path(), &[]).await.stop().await.success());
}

#[tokio::test]
async fn damaged_files_are_refused_and_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Node::start(folder.path(), &["--demo"]).await.stop().await.success());
    let database = folder.path().join("tidegate.db");
    let sound = std::fs::read(&database).unwrap();
    let mut damaged = sound.clone();
    damaged[..64].fill(0x5a);
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x5a);
    std::fs::write(&database, &damaged).unwrap();
    serve_refuses(folder.path(), &[], &[], 1, "tidegate.db").await;
    assert!(std::fs::read(&database).unwrap() == damaged, "a damaged file is not written to");
    std::fs::write(&database, &sound).unwrap();
    assert!(Node::start(folder.path(), &[]).await.stop().await.success());

    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, "{}").unwrap();
    serve_refuses(folder.path(), &[], &[], 1, "keys.json").await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // A plain file where the folder should be: refused for every user, root included.
    let file = folder.path().join("data");
    std::fs::write(&file, "").unwrap();
    serve_refuses(&file, &[], &[], 1, "making the data folder").await;
    serve_refuses(Path::new("/proc/tidegate"), &[], &[], 1, "/proc/tidegate").await;
}

#[tokio::test]
async fn wrong_use_and_wrong_configuration_exit_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let path = data.join("t.toml");
    let file = path.to_str().unwrap();
    let shared = "[stores]\nbookings = \"kafka://h\"\nbooks = \"postgres://h/d\"\n\
                  [payment]\ngateway = \"http://h\"\n";
    let table: &[(&str, &str)] = &[
        ("nonsense = 1", "unknown key \"nonsense\""),
        ("[ingress]\nbody_bytes_max = \"x\"", "body_bytes_max"),
        ("[ingress]\nheader_read_timeout_ms = 60000", "header_read_timeout_ms"),
        ("[ingress]\nconnections_max = 10", "connections_max"),
        ("[stores]\nqueue = \"mysql://x\"", "mysql://x"),
        ("[payment]\ngateway = \"simulated:?decline=2\"", "decline"),
        ("roles = [\"ingress\"]", "roles"),
        ("profile = \"production\"", "simulated gateway"),
        ("[stores]\nbookings = \"kafka://h\"", "stores.books"),
        ("[stores]\nbookings = \"kafka://h\"\nbooks = \"postgres://h/d\"", "payment.gateway"),
        ("[stores]\nviews = \"scylla://h\"", "scylla://h"),
        ("[stores]\nbooks = \"postgres://u:secret@h/d\"\nviews = \"kafka://h\"", "kafka://h"),
        (&format!("{shared}[ledger.kafka]\nsession_timeout_ms = 30000"), "payment deadline"),
        (&format!("roles = [\"ingress\"]\n{shared}"), "stores.queue"),
        ("[ledger.postgres]\nlock_timeout_ms = 60000", "lock_timeout_ms"),
        ("[ledger.scylla]\nttl_days = 9000", "ttl_days"),
        ("[ledger.redis]\ninflight_max = 0", "inflight_max"),
    ];
    for (text, words) in table.iter().copied() {
        std::fs::write(&path, text).unwrap();
        serve_refuses(data, &["--config", file], &[], 2, words).await;
    }
    serve_refuses(data, &[], &[("TIDEGATE_NOPE", "1")], 2, "TIDEGATE_NOPE").await;
    serve_refuses(data, &["--nope"], &[], 2, "--nope").await;
    for looking in [
        ["audit"].as_slice(),
        ["event", "list"].as_slice(),
        ["account", "role", "ada", "gate"].as_slice(),
        ["account", "mint", "--count", "1"].as_slice(),
        ["keys", "rotate"].as_slice(),
        ["replay", "--views"].as_slice(),
    ] {
        let nowhere = verb(&data.join("typo"), looking).await;
        assert_eq!(nowhere.status.code(), Some(1), "{looking:?}");
        assert!(!data.join("typo").exists(), "a mistyped folder is not made by {looking:?}");
    }
}

#[tokio::test]
async fn production_refuses_what_is_only_for_tests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    let file = path.to_str().unwrap();
    let text = "profile = \"production\"\n[payment]\ngateway = \"http://127.0.0.1:9\"\n";
    std::fs::write(&path, text).unwrap();
    let config = ["--config", file];
    serve_refuses(folder.path(), &["--config", file, "--no-limits"], &[], 2, "--no-limits").await;
    serve_refuses(folder.path(), &["--config", file, "--demo"], &[], 2, "--demo").await;
    for (name, value, words) in [
        ("TIDEGATE_INGRESS_LIMIT_LOGIN_PER_MINUTE", "0", "ingress.limit_login_per_minute"),
        ("TIDEGATE_INGRESS_LIMIT_ADDRESS_BURST", "0", "ingress.limit_address_burst"),
        ("TIDEGATE_PAYMENT_GATEWAY", "simulated:", "simulated gateway"),
    ] {
        serve_refuses(folder.path(), &config, &[(name, value)], 2, words).await;
    }
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let mut command = tidegate(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.args(config).args(["--admin-listen", everywhere]);
        let output = command.output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("admin_listen_everywhere"), "{errors}");
    }
    let shown = verb(folder.path(), &["config", "--config", file]).await;
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("ingress.cookies_secure = true  # profile"), "{shown}");
    let weak = [("TIDEGATE_ADMIN_PASSWORD", "password")];
    serve_refuses(folder.path(), &config, &weak, 2, "TIDEGATE_ADMIN_PASSWORD").await;
    for arguments in [
        ["account", "mint", "--count", "1"].as_slice(),
        ["gateway", "--listen", "127.0.0.1:0"].as_slice(),
    ] {
        let output = verb(folder.path(), &[arguments, &config].concat()).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("production"), "{errors}");
    }
}

#[tokio::test]
async fn the_first_admin_is_made_once_and_its_password_is_kept_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let bare = || {
        let mut command = tidegate(folder.path(), &arguments);
        command.env_remove("TIDEGATE_ADMIN_USERNAME").env_remove("TIDEGATE_ADMIN_PASSWORD");
        command
    };
    let node = Node::run(bare()).await;
    let file = folder.path().join("admin-password");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap();
    node.client().login("admin", password.trim()).await;
    let said = node.stop_and_read().await;
    assert!(said.contains("admin-password") && !said.contains(password.trim()), "{said}");
    let node = Node::run(bare()).await;
    node.client().login("admin", password.trim()).await;
    assert!(node.stop().await.success());
}

/// An admin by another name is enough, and nobody gets the name that would be made by itself.
#[tokio::test]
async fn nobody_becomes_the_first_admin_by_being_early() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let named = |name: &str| {
        let mut command = tidegate(folder.path(), &arguments);
        command.env("TIDEGATE_ADMIN_USERNAME", name);
        command
    };
    let node = Node::run(named("boss")).await;
    let body = json!({"username": "Admin", "password": "correct horse"});
    let refused = node.client().post("/api/auth/register", body).await.expect(409);
    assert_eq!(refused["code"], "username_taken");
    node.client().register("eve").await;
    assert!(node.stop().await.success());

    let mut bare = tidegate(folder.path(), &arguments);
    bare.env_remove("TIDEGATE_ADMIN_USERNAME").env_remove("TIDEGATE_ADMIN_PASSWORD");
    assert!(Node::run(bare).await.stop().await.success());
    assert!(!folder.path().join("admin-password").exists(), "there is an admin already");

    let demoted = verb(folder.path(), &["account", "role", "boss", "user"]).await;
    assert!(demoted.status.success());
    let eve = [("TIDEGATE_ADMIN_USERNAME", "eve")];
    serve_refuses(folder.path(), &[], &eve, 1, "account role eve admin").await;
}

#[tokio::test]
async fn the_configuration_tells_where_each_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, "[ingress]\nbody_bytes_max = 5000\n").unwrap();
    let arguments = ["config", "--config", path.to_str().unwrap()];
    let mut command = tidegate(folder.path(), &arguments);
    command.env("TIDEGATE_ALLOCATOR_SEATS_PER_LOCK_MAX", "3");
    command.env("TIDEGATE_STORES_BOOKS", "postgres://tidegate:hushhush@h/d");
    command.env("TIDEGATE_LEDGER_KAFKA_PROPERTIES", "sasl.username=u,sasl.password=hushhush");
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ingress.body_bytes_max = 5000  # file"), "{text}");
    assert!(text.contains("allocator.seats_per_lock_max = 3  # environment"), "{text}");
    assert!(text.contains("\"postgres://tidegate:…@h/d\"  # environment"), "{text}");
    assert!(text.contains("\"sasl.username=u\", \"sasl.password=…\"") && !text.contains("hush"));
    assert!(text.contains("# default") && text.contains("# flag"), "{text}");
}

/// Whatever is wrong with a configuration, what is said of it never holds the password in it.
#[tokio::test]
async fn no_error_and_no_listing_shows_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    let file = path.to_str().unwrap();
    for text in [
        "[stores]\nbooks = \"postgres://u:hushhush@h/d",
        "[stores]\nbooks = \"mysql://u:hush?hush@h/d\"",
        "[stores]\nbooks = \"postgres://u:hush?hush@h/d\"",
        "[ledger.kafka]\nproperties = [\"sasl.password:hushhush\"]",
        "[ledger.kafka]\nproperties = \"sasl.password=hushhush\"",
        "[ledger.kafka]\nproperties = [\"sasl.jaas.config=password=hushhush\"]",
        "[payment]\ngateway = \"http://hushhush@h\"",
        "[payment]\ngateway = \"https://hushhush@h\"",
    ] {
        std::fs::write(&path, text).unwrap();
        let output = verb(folder.path(), &["config", "--config", file]).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.is_empty() && !said.contains("hush"), "{text}: {said}");
    }
}

#[tokio::test]
async fn keys_are_made_once_and_rotated_without_losing_anyone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(verb(folder.path(), &["keys", "make"]).await.status.success());
    let again = verb(folder.path(), &["keys", "make"]).await;
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("keys.json is there already") && said.contains("rotate"), "{said}");
    let node = Node::start(folder.path(), &["--demo"]).await;
    let ada = node.client().register("ada").await;
    assert!(verb(folder.path(), &["keys", "rotate"]).await.status.success());
    let keys: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("keys.json")).unwrap()).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 8);
    ada.get("/api/bookings").await.expect(200);
    assert!(node.stop().await.success());
    let node = Node::start(folder.path(), &[]).await;
    // The login was signed by the older key, which still counts.
    let answer = crate::harness::Client::new(&node.base);
    answer.login("ada", "correct horse").await.get("/api/bookings").await.expect(200);
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn health_and_metrics_are_on_the_admin_port_only() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), &["--demo"]).await;
    let operator = crate::harness::Client::new(&node.admin);
    for path in ["/livez", "/readyz"] {
        operator.get(path).await.expect_text(200);
    }
    node.client().get("/api/events").await.expect(200);
    let metrics = operator.get("/metrics").await.expect_text(200);
    for krate in ["ingress", "waiting_room", "allocator", "payment_worker", "ledger", "ops"] {
        assert!(metrics.contains(&format!("\ntidegate_{krate}_")), "{krate}: {metrics}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        node.client().get(path).await.expect(404);
    }
    operator.get("/api/events").await.expect_text(404);
    assert!(node.stop().await.success());
}

#[tokio::test]
async fn verbs_say_what_they_did() {
    let folder = tempfile::tempdir().unwrap();
    let said = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let migrated = said(verb(folder.path(), &["migrate"]).await);
    assert!(migrated.contains("stores.books sqlite: is at this version's schema"), "{migrated}");
    assert!(migrated.contains("made ") && migrated.contains("tidegate.db"), "{migrated}");
    let again = said(verb(folder.path(), &["migrate"]).await);
    assert!(again.contains("stores.books") && !again.contains("made "), "{again}");
    let node = Node::start(folder.path(), &[]).await;
    node.client().register("ada").await;
    let promoted = said(verb(folder.path(), &["account", "role", "Ada", "gate"]).await);
    assert_eq!(promoted, "ada is gate now\n");
    assert!(node.stop().await.success());
}

/// Who reads the help and pastes an example has an event.
#[tokio::test]
async fn the_events_in_the_help_can_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let help = verb(folder.path(), &["event", "create", "--help"]).await;
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, examples) = help.split_once("Examples:").unwrap();
    let bodies: Vec<Value> =
        serde_json::Deserializer::from_str(examples).into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(bodies.len(), 2);
    for body in bodies {
        let file = folder.path().join("event.json");
        std::fs::write(&file, body.to_string()).unwrap();
        let made = verb(folder.path(), &["event", "create", file.to_str().unwrap()]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

#[tokio::test]
async fn events_are_made_and_listed_by_verbs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    let event = json!({"name": "Verb", "date": "2030-01-01", "venue": "Hall", "total_seats": 3});
    std::fs::write(&file, event.to_string()).unwrap();
    let made = verb(folder.path(), &["event", "create", file.to_str().unwrap()]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let id = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let listed = verb(folder.path(), &["event", "list"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&id) && listed.contains("Verb"), "{listed}");
    std::fs::write(&file, r#"{"name": "Verb", "seats": 3}"#).unwrap();
    let refused = verb(folder.path(), &["event", "create", file.to_str().unwrap()]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("seats"));
}
