//! Which servers this build can use: each is a cargo feature, and a URL may name one left out.
use super::{BooksUrl, LogUrl, QueueUrl, SeatsUrl, StoreUrls, ViewsUrl};
use anyhow::ensure;

/// The server backends of this build, by the names of their cargo features.
const COMPILED: &[&str] = &[
    #[cfg(feature = "redis")]
    "redis",
    #[cfg(feature = "kafka")]
    "kafka",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "scylla")]
    "scylla",
];

/// Fails where a URL needs a backend that this build leaves out.
pub(super) fn check(urls: &StoreUrls) -> anyhow::Result<()> {
    check_in(urls, COMPILED)
}

fn check_in(urls: &StoreUrls, compiled: &[&str]) -> anyhow::Result<()> {
    for (key, feature) in needed(urls) {
        ensure!(
            compiled.contains(&feature),
            "stores.{key}: this build has no {feature} backend; build tidegate with \
             `--features {feature}`"
        );
    }
    Ok(())
}

/// The features that the URLs need, each with the key under `[stores]`.
fn needed(urls: &StoreUrls) -> Vec<(&'static str, &'static str)> {
    let queue = matches!(urls.queue, QueueUrl::Redis(_)).then_some(("queue", "redis"));
    let seats = matches!(urls.seats, SeatsUrl::Redis(_)).then_some(("seats", "redis"));
    let log = matches!(urls.bookings, LogUrl::Kafka(_)).then_some(("bookings", "kafka"));
    let books = matches!(urls.books, BooksUrl::Postgres(_)).then_some(("books", "postgres"));
    let views = match &urls.views {
        ViewsUrl::Postgres(_) => Some(("views", "postgres")),
        ViewsUrl::Scylla { .. } => Some(("views", "scylla")),
        ViewsUrl::WithBooks | ViewsUrl::Sqlite(_) => None,
    };
    [queue, seats, log, books, views].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(text: &str) -> StoreUrls {
        toml::from_str(text).unwrap()
    }

    const EMBEDDED: &str = r#"
        queue = "local:"
        seats = "local:"
        bookings = "sqlite:"
        books = "sqlite:"
        views = ""
    "#;

    /// One URL for each key and server, and the feature that it needs.
    const SERVERS: [(&str, &str, &str); 7] = [
        ("queue", "redis://h:1", "redis"),
        ("queue", "redis-cluster://h:1", "redis"),
        ("seats", "redis://h:1", "redis"),
        ("bookings", "kafka://h:1", "kafka"),
        ("books", "postgres://u@h/d", "postgres"),
        ("views", "postgres://u@h/d", "postgres"),
        ("views", "scylla://h/k", "scylla"),
    ];

    fn with(key: &str, url: &str) -> StoreUrls {
        let lines = EMBEDDED.lines().filter(|line| !line.trim().starts_with(key));
        urls(&format!("{}\n{key} = {url:?}", lines.collect::<Vec<_>>().join("\n")))
    }

    #[test]
    fn the_embedded_sale_needs_no_server() {
        check_in(&urls(EMBEDDED), &[]).unwrap();
    }

    #[test]
    fn a_url_whose_backend_was_left_out_names_the_feature() {
        for (key, url, feature) in SERVERS {
            let all = ["redis", "kafka", "postgres", "scylla"];
            check_in(&with(key, url), &all).unwrap();
            let rest: Vec<_> = all.into_iter().filter(|one| *one != feature).collect();
            let refused = check_in(&with(key, url), &rest).unwrap_err().to_string();
            assert!(refused.contains(&format!("stores.{key}")), "{refused}");
            assert!(refused.contains(&format!("--features {feature}")), "{refused}");
        }
    }

    /// Run in both builds: with every feature, and with `--no-default-features`.
    #[test]
    fn this_build_knows_its_own_features() {
        let built = [
            ("redis", cfg!(feature = "redis")),
            ("kafka", cfg!(feature = "kafka")),
            ("postgres", cfg!(feature = "postgres")),
            ("scylla", cfg!(feature = "scylla")),
        ];
        for (key, url, feature) in SERVERS {
            let compiled = built.contains(&(feature, true));
            assert_eq!(check(&with(key, url)).is_ok(), compiled, "{key} {feature}");
        }
    }
}
