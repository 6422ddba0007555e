//! Relations between limits: what each value alone cannot tell.
mod backends;

pub(crate) use backends::only_alone;

use super::{Configuration, GatewayUrl, Profile};
use anyhow::{Context, anyhow, ensure};
use payment_simulator::Simulation;
use std::net::IpAddr;

/// RFC 7519 lets a verifier be lenient; five seconds is what the invariants allow.
const LEEWAY_SECONDS_MAX: u32 = 5;

/// Fails with a message that names the keys.
pub(super) fn check(config: &Configuration) -> anyhow::Result<()> {
    super::compiled::check(&config.stores)?;
    backends::check(config)?;
    for (key, address) in [("listen", &config.listen), ("admin_listen", &config.admin_listen)] {
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>().is_ok());
        ensure!(port == Some(true), "{key}: {address:?} is not an address such as 127.0.0.1:8080");
    }
    config.ingress.check().map_err(|message| anyhow!(message))?;
    ensure!(
        config.ingress.connections_max >= 1_000,
        "ingress.connections_max must be at least 1000"
    );
    config.payment_worker.validate()?;
    config.ledger.consumer.validate()?;
    let room = &config.waiting_room;
    ensure!(
        room.leeway_seconds <= LEEWAY_SECONDS_MAX,
        "waiting_room.leeway_seconds must be at most {LEEWAY_SECONDS_MAX}"
    );
    ensure!(
        room.poll.last().is_some_and(|(ahead, _)| ahead.is_none()),
        "waiting_room.poll must end with an entry for everyone farther away"
    );
    ensure!(
        config.allocator.seats_age_max_ms <= 1_000,
        "allocator.seats_age_max_ms must be at most 1000"
    );
    for (key, recovery) in
        [("waiting_room", &room.recovery), ("allocator", &config.allocator.recovery)]
    {
        ensure!(
            recovery.winner_ms > recovery.wait_ms && recovery.wait_ms >= recovery.poll_ms,
            "{key}.recovery: poll_ms must be at most wait_ms, and wait_ms less than winner_ms"
        );
    }
    if config.profile == Profile::Production {
        check_production(config)?;
    }
    if let GatewayUrl::Simulated(query) = &config.payment.gateway {
        Simulation::parse(query).context("payment.gateway")?;
    }
    Ok(())
}

/// What must not be in production, however it came into the configuration.
fn check_production(config: &Configuration) -> anyhow::Result<()> {
    ensure!(
        !matches!(config.payment.gateway, GatewayUrl::Simulated(_)),
        "payment.gateway: the simulated gateway does not run under profile = \"production\""
    );
    let ingress = &config.ingress;
    // What everybody together may send has no limit by default: it depends on the machine.
    for (key, limit) in [
        ("limit_address_per_second", ingress.limit_address_per_second),
        ("limit_address_burst", ingress.limit_address_burst),
        ("limit_account_per_second", ingress.limit_account_per_second),
        ("limit_account_burst", ingress.limit_account_burst),
        ("limit_login_per_minute", ingress.limit_login_per_minute),
        ("limit_register_per_minute", ingress.limit_register_per_minute),
    ] {
        ensure!(limit > 0, "ingress.{key} must not be 0 under profile = \"production\"");
    }
    let host = config.admin_listen.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let everywhere = host.is_empty() || host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    ensure!(
        !everywhere || config.admin_listen_everywhere,
        "admin_listen {:?} is open on every address; set admin_listen_everywhere = true if that is \
         meant",
        config.admin_listen
    );
    Ok(())
}
