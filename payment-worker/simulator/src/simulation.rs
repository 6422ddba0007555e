//! How the simulated gateway behaves: its rates, and what they make of one charge. Pure.

/// The longest latency that may be asked for, in milliseconds.
const LATENCY_MS_MAX: u64 = 600_000;

/// The rates of a simulation. Draws derive from the seed and the key, so a run repeats itself
/// whatever order the requests come in.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// How long every charge and refund takes, in milliseconds.
    pub latency_ms: u64,
    /// The share of charges that are declined.
    pub decline: f64,
    /// The share of charges and refunds that take effect while their first reply is lost.
    pub unknown: f64,
    /// The share of charge requests that reach the gateway twice.
    pub duplicate: f64,
    pub seed: u64,
}

/// Why a query string is no simulation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the simulated gateway's parameter {parameter:?} {reason}")]
pub struct InvalidSimulation {
    pub parameter: String,
    pub reason: &'static str,
}

/// What becomes of one charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) decline_code: Option<&'static str>,
    /// The first reply never arrives; the effect is there.
    pub(super) reply_lost: bool,
    /// The request arrives twice.
    pub(super) twice: bool,
}

impl Default for Simulation {
    fn default() -> Self {
        Self { latency_ms: 50, decline: 0.0, unknown: 0.0, duplicate: 0.0, seed: 0 }
    }
}

impl Simulation {
    /// Reads `latency_ms=50&decline=0.1&unknown=0.02&duplicate=0.05&seed=7`; what is left out
    /// keeps its default.
    pub fn parse(query: &str) -> Result<Self, InvalidSimulation> {
        let mut simulation = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let refuse = |reason| InvalidSimulation { parameter: name.to_owned(), reason };
            if seen.contains(&name) {
                return Err(refuse("is given twice"));
            }
            seen.push(name);
            let rate = || rate(value).ok_or(refuse("must be a rate from 0 to 1"));
            match name {
                "latency_ms" => {
                    let latency = value.parse().ok().filter(|ms| *ms <= LATENCY_MS_MAX);
                    simulation.latency_ms =
                        latency.ok_or(refuse("must be milliseconds from 0 to 600000"))?;
                }
                "decline" => simulation.decline = rate()?,
                "unknown" => simulation.unknown = rate()?,
                "duplicate" => simulation.duplicate = rate()?,
                "seed" => {
                    simulation.seed =
                        value.parse().map_err(|_| refuse("must be a whole number from 0"))?;
                }
                _ => return Err(refuse("is not known")),
            }
        }
        Ok(simulation)
    }

    pub(super) fn fate(&self, token: &str, key: &str) -> Fate {
        let sure = |decline_code| Fate { decline_code, reply_lost: false, twice: false };
        match token {
            "tok_default" => Fate {
                decline_code: self.draws("decline", key, self.decline).then_some("card_declined"),
                reply_lost: self.loses_reply(key),
                twice: self.draws("duplicate", key, self.duplicate),
            },
            "tok_good" => sure(None),
            "tok_decline" => sure(Some("card_declined")),
            "tok_unknown" => Fate { reply_lost: true, ..sure(None) },
            _ => sure(Some("invalid_payment_token")),
        }
    }

    /// Whether the first reply to the request with this key is lost.
    pub(super) fn loses_reply(&self, key: &str) -> bool {
        self.draws("unknown", key, self.unknown)
    }

    /// True for a share of all keys, the same ones for the same seed.
    fn draws(&self, what: &str, key: &str, share: f64) -> bool {
        // The upper 53 bits make an even fraction of 1.
        let fraction = (hash(self.seed, &[what, key]) >> 11) as f64 / (1u64 << 53) as f64;
        fraction < share
    }

    /// The gateway's own id for what `key` asked for.
    pub(super) fn id(&self, prefix: &str, key: &str) -> String {
        format!("{prefix}{:016x}{:016x}", hash(self.seed, &["id", key]), hash(!self.seed, &[key]))
    }
}

fn rate(value: &str) -> Option<f64> {
    value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate))
}

/// FNV-1a with a splitmix64 finish: unlike the standard hasher it never changes between releases,
/// so a seed means the same tomorrow.
fn hash(seed: u64, parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0x1f]));
    let folded = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (folded ^ (folded >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let check = |query: &str, expected: Result<Simulation, &str>| {
            let got = Simulation::parse(query).map_err(|error| error.parameter);
            assert_eq!(got, expected.map_err(str::to_owned), "{query}");
        };
        let plain = Simulation::default();
        check("", Ok(plain.clone()));
        check(
            "latency_ms=5&decline=0.1&unknown=0.02&duplicate=1&seed=7",
            Ok(Simulation { latency_ms: 5, decline: 0.1, unknown: 0.02, duplicate: 1.0, seed: 7 }),
        );
        check("seed=7", Ok(Simulation { seed: 7, ..plain }));
        for (query, parameter) in [
            ("colour=red", "colour"),
            ("decline", "decline"),
            ("decline=1.01", "decline"),
            ("decline=-0.1", "decline"),
            ("unknown=NaN", "unknown"),
            ("duplicate=often", "duplicate"),
            ("latency_ms=-1", "latency_ms"),
            ("latency_ms=600001", "latency_ms"),
            ("seed=x", "seed"),
            ("seed=1&seed=1", "seed"),
        ] {
            check(query, Err(parameter));
        }
    }

    #[test]
    fn rates_are_met_and_repeat() {
        let simulation = Simulation { decline: 0.25, seed: 7, ..Simulation::default() };
        let declined = |simulation: &Simulation| -> Vec<bool> {
            let fates = (0..4_000).map(|n| simulation.fate("tok_default", &format!("bkg_{n}")));
            fates.map(|fate| fate.decline_code.is_some()).collect()
        };
        let first = declined(&simulation);
        let count = first.iter().filter(|declined| **declined).count();
        assert!((900..1_100).contains(&count), "{count} of 4000 declined at a rate of a quarter");
        assert_eq!(first, declined(&simulation), "the same seed repeats itself");
        assert_ne!(first, declined(&Simulation { seed: 8, ..simulation }), "another seed differs");
    }

    #[test]
    fn tokens_decide_before_rates() {
        let certain =
            Simulation { decline: 1.0, unknown: 1.0, duplicate: 1.0, ..Simulation::default() };
        let never = Simulation::default();
        let check = |simulation: &Simulation, token: &str, code: Option<&str>, lost, twice| {
            let fate = simulation.fate(token, "bkg_1");
            let got = (fate.decline_code, fate.reply_lost, fate.twice);
            assert_eq!(got, (code, lost, twice), "{token}");
        };
        check(&certain, "tok_default", Some("card_declined"), true, true);
        check(&never, "tok_default", None, false, false);
        check(&certain, "tok_good", None, false, false);
        check(&never, "tok_decline", Some("card_declined"), false, false);
        check(&never, "tok_unknown", None, true, false);
        check(&never, "4242424242424242", Some("invalid_payment_token"), false, false);
    }
}
