//! Who comes: every person's character, drawn from the seed before the run begins.
use crate::scenario::Scenario;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// What somebody is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persona {
    /// Takes the best 1 to 4 seats there are, and pays.
    Buyer,
    /// Picks one seat from the map, and pays.
    Picker,
    /// Sends every lock and every booking twice at once, and joins twice.
    DoubleClicker,
    /// Gives the queue token and the pass to a friend, who must get nothing for them.
    Sharer,
    /// Pays when the hold has expired.
    LatePayer,
    /// Has a declined card first, and another one then.
    Retrier,
    /// Has a declined card, and gives up.
    Decliner,
    /// Leaves while waiting.
    LeavesLine,
    /// Leaves with seats in hand.
    LeavesShop,
    /// Buys, and gives the tickets back at once.
    Canceller,
}

impl Persona {
    /// The mix, in percent. Who gives tickets back comes before everybody else and never later: a
    /// latecomer may find nothing to buy, and seats that come back when everybody has gone home
    /// would stay unsold.
    pub(crate) const MIX: [(Self, u32); 10] = [
        (Self::Canceller, 0),
        (Self::Buyer, 50),
        (Self::Picker, 18),
        (Self::DoubleClicker, 8),
        (Self::Sharer, 5),
        (Self::LatePayer, 4),
        (Self::Retrier, 6),
        (Self::Decliner, 3),
        (Self::LeavesLine, 3),
        (Self::LeavesShop, 3),
    ];

    /// True for those who pay for what they hold, if they get the chance.
    pub(crate) fn buys(self) -> bool {
        match self {
            Self::Buyer | Self::Picker | Self::DoubleClicker | Self::Sharer | Self::Retrier => true,
            Self::LatePayer
            | Self::Decliner
            | Self::LeavesLine
            | Self::LeavesShop
            | Self::Canceller => false,
        }
    }

    /// How many declined cards come before a good one.
    pub(crate) fn bad_cards(self) -> u32 {
        match self {
            Self::Decliner => u32::MAX,
            Self::Retrier => 1,
            Self::Buyer | Self::Picker | Self::DoubleClicker | Self::Sharer => 0,
            Self::LatePayer | Self::LeavesLine | Self::LeavesShop | Self::Canceller => 0,
        }
    }

    fn drawn(rng: &mut StdRng) -> Self {
        let mut at = rng.random_range(0..100);
        for (persona, percent) in Self::MIX {
            match percent.checked_sub(at + 1) {
                Some(_) => return persona,
                None => at -= percent,
            }
        }
        Self::Buyer
    }
}

/// One person, before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) index: u32,
    pub(crate) arrive: Duration,
    pub(crate) persona: Persona,
    /// Seats wanted, 1 to 4.
    pub(crate) quantity: u32,
    /// Joins with the login; the others' tokens bind at their first claim.
    pub(crate) joins_with_login: bool,
    /// Tells the server when leaving.
    pub(crate) politely: bool,
    /// Looks at the queue that often before leaving it, if leaving.
    pub(crate) looks: u32,
    pub(crate) seed: u64,
}

/// Everybody, in order of arrival. The first two of each kind come first, so that every
/// behaviour is seen however few are let in.
pub(crate) fn plans(scenario: &Scenario) -> Vec<Plan> {
    let mut rng = StdRng::seed_from_u64(scenario.seed);
    let kinds = Persona::MIX.len();
    let plan = |index: u32| {
        let drawn = Persona::drawn(&mut rng);
        let turn = index as usize;
        let persona = if turn < 2 * kinds { Persona::MIX[turn % kinds].0 } else { drawn };
        let single = matches!(persona, Persona::Picker | Persona::LatePayer);
        Plan {
            index,
            arrive: scenario.arrival(index, rng.random()),
            persona,
            quantity: if single { 1 } else { rng.random_range(1..=4) },
            joins_with_login: rng.random_bool(0.5),
            politely: rng.random_bool(0.5),
            looks: rng.random_range(0..4),
            seed: rng.random(),
        }
    };
    (0..scenario.users).map(plan).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Wanted;

    fn scenario(seed: u64) -> Scenario {
        Scenario::new(Wanted {
            users: 10_000,
            seats: 100,
            arrive: Duration::from_secs(10),
            rate_per_minute: None,
            capacity: None,
            seed,
        })
    }

    #[test]
    fn the_mix_is_as_stated_and_repeats_by_seed() {
        assert_eq!(Persona::MIX.iter().map(|(_, percent)| percent).sum::<u32>(), 100);
        let people = plans(&scenario(7));
        assert_eq!(people, plans(&scenario(7)));
        assert_ne!(people, plans(&scenario(8)));
        for (persona, percent) in Persona::MIX {
            let count = people.iter().filter(|plan| plan.persona == persona).count() as f64;
            let expected = f64::from(percent) * 100.0;
            // Five standard deviations of a binomial draw, and the two who always come.
            let slack = 5.0 * expected.sqrt() + 2.5;
            assert!((count - expected).abs() < slack, "{persona:?}: {count} for {expected}");
        }
    }

    #[test]
    fn every_kind_is_among_the_first() {
        let people = plans(&scenario(7));
        for (persona, _) in Persona::MIX {
            assert_eq!(people[..20].iter().filter(|p| p.persona == persona).count(), 2);
        }
        assert!(people.iter().all(|plan| (1..=4).contains(&plan.quantity)));
    }
}
