//! Interleaved rounds: bare – ours – ours – bare, so that drift hits both alike.
use serde::Serialize;
use std::time::Duration;

/// One part of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) requests: u64,
    pub(super) wall: Duration,
    /// Processor time of what was measured …
    pub(super) cpu: Duration,
    /// … and of the generator.
    pub(super) own: Duration,
}

/// The four parts of a round, in the order in which they ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) bare: [Part; 2],
    pub(super) ours: [Part; 2],
}

/// Ours to bare over all rounds; `control` is bare to bare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Ratios {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) control: f64,
}

impl Part {
    /// Requests a CPU-second.
    fn per_cpu(self) -> f64 {
        self.requests as f64 / self.cpu.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            own: self.own + other.own,
        }
    }
}

impl Ratios {
    pub(super) fn of(rounds: &[Round]) -> Self {
        let ratio = |round: &Round| {
            let [ours, bare] = [round.ours, round.bare].map(|[one, two]| one.plus(two).per_cpu());
            ours / bare
        };
        let control = |round: &Round| round.bare[0].per_cpu() / round.bare[1].per_cpu();
        Self::from_ratios(rounds.iter().map(ratio).collect(), rounds.iter().map(control).collect())
    }

    pub(super) fn from_ratios(mut ratios: Vec<f64>, mut controls: Vec<f64>) -> Self {
        let median = median(&mut ratios);
        let (min, max) = (ratios[0], ratios[ratios.len() - 1]);
        Self { median, min, max, control: self::median(&mut controls) }
    }

    /// The same thing measured twice must be the same.
    pub(super) fn is_conclusive(&self) -> bool {
        (0.95..=1.05).contains(&self.control)
    }
}

/// One line on one side of the comparison.
pub(super) fn describe(name: &str, parts: impl Iterator<Item = Part>) -> String {
    let nothing =
        Part { requests: 0, wall: Duration::ZERO, cpu: Duration::ZERO, own: Duration::ZERO };
    let all = parts.fold(nothing, Part::plus);
    let wall = all.wall.as_secs_f64();
    format!(
        "{name}: {:.0} req/cpu-s, {:.0} req/s, {:.2} cores; generator {:.2} cores",
        all.per_cpu(),
        all.requests as f64 / wall,
        all.cpu.as_secs_f64() / wall,
        all.own.as_secs_f64() / wall,
    )
}

/// The middle one, or the mean of the two in the middle; sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(requests: u64, cpu: u64) -> Part {
        let second = Duration::from_secs(1);
        Part { requests, wall: second, cpu: Duration::from_secs(cpu), own: second }
    }

    #[test]
    fn the_ratio_is_by_cpu_and_the_median_of_rounds() {
        let round = |ours: u64| Round {
            bare: [part(100, 1), part(300, 3)],
            ours: [part(ours, 2), part(ours, 2)],
        };
        let ratios = Ratios::of(&[round(160), round(180), round(400)]);
        assert_eq!(ratios, Ratios { median: 0.9, min: 0.8, max: 2.0, control: 1.0 });
        assert!(ratios.is_conclusive());
    }

    #[test]
    fn medians_and_conclusions() {
        for (values, expected) in
            [(vec![3.0], 3.0), (vec![3.0, 1.0], 2.0), (vec![9.0, 1.0, 2.0], 2.0)]
        {
            assert_eq!(Ratios::from_ratios(values, vec![1.0]).median, expected);
        }
        for (control, conclusive) in [(0.94, false), (0.95, true), (1.05, true), (1.06, false)] {
            let ratios = Ratios::from_ratios(vec![1.0], vec![control]);
            assert_eq!(ratios.is_conclusive(), conclusive, "{control}");
        }
    }
}
