//! The numbers of one spike: how fast people come, how fast they are let in, how long holds last.
use std::time::Duration;

/// What the operator asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) users: u32,
    pub(crate) seats: u32,
    pub(crate) arrive: Duration,
    pub(crate) rate_per_minute: Option<u32>,
    pub(crate) capacity: Option<u32>,
    pub(crate) seed: u64,
}

/// Every number of the run; all follow from what was wanted, so that a small run is a short one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) users: u32,
    pub(crate) seats: u32,
    pub(crate) arrive: Duration,
    pub(crate) seed: u64,
    pub(crate) rate_per_minute: u32,
    pub(crate) capacity: u32,
    pub(crate) hold_ttl_seconds: u32,
    pub(crate) claim_window_seconds: u32,
    pub(crate) return_seconds: u32,
    pub(crate) session_seconds: u32,
    /// Until then people misbehave as drawn; later ones buy straight, so that the sale ends.
    pub(crate) mischief: Duration,
    /// The longest that somebody with seats in hand thinks before paying.
    pub(crate) think: Duration,
    /// How long somebody in the shop tries to get any seat.
    pub(crate) hunt: Duration,
    /// When everybody who is still in line goes home.
    pub(crate) last_call: Duration,
    /// Servers fail on purpose during the run: half of what is due otherwise must be sold.
    pub(crate) disturbed: bool,
}

impl Scenario {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let arrive = wanted.arrive.max(Duration::from_millis(100));
        // A full bucket lets in one second's worth at once, so this lets in half of those who come
        // while they come: a line forms. And no more than two shared cores carry.
        let seconds = arrive.as_secs_f64() + 1.0;
        let per_second = (f64::from(wanted.users) / seconds / 2.0).clamp(5.0, 300.0);
        let rate_per_minute = wanted.rate_per_minute.unwrap_or((per_second * 60.0) as u32);
        let per_second = f64::from(rate_per_minute) / 60.0;
        let capacity = wanted.capacity.unwrap_or((per_second * 30.0).clamp(50.0, 10_000.0) as u32);
        let hold_ttl = (arrive.as_secs_f64() * 2.0).clamp(5.0, 60.0).round();
        let admit_all = Duration::from_secs_f64(f64::from(wanted.users) / per_second * 2.0);
        Self {
            users: wanted.users,
            seats: wanted.seats,
            arrive,
            seed: wanted.seed,
            rate_per_minute,
            capacity,
            hold_ttl_seconds: hold_ttl as u32,
            claim_window_seconds: 20,
            return_seconds: 600,
            session_seconds: hold_ttl as u32 * 4 + 20,
            mischief: arrive + Duration::from_secs_f64(hold_ttl / 2.0),
            think: Duration::from_secs_f64(hold_ttl / 10.0),
            hunt: Duration::from_secs_f64(hold_ttl + 5.0),
            last_call: arrive + admit_all + Duration::from_secs_f64(hold_ttl * 3.0 + 60.0),
            disturbed: false,
        }
    }

    /// When person `index` arrives: an open-loop schedule, evenly spread with each somewhere in
    /// their own slice (`within` from 0 to 1), whatever the server does.
    pub(crate) fn arrival(&self, index: u32, within: f64) -> Duration {
        self.arrive.mul_f64((f64::from(index) + within.clamp(0.0, 1.0)) / f64::from(self.users))
    }
}

/// Seats in a row of an ordinary hall, and the most rows that a section may well have.
const ROW_SEATS: u32 = 20;
const ROWS_MAX: u32 = 1_500;

/// The hall as `POST /api/events` takes it: stalls for two thirds, a balcony for the rest.
pub(crate) fn sections(seats: u32) -> serde_json::Value {
    let balcony = seats / 3;
    let section = |id: &str, name: &str, minor: u32, seats: u32| {
        let row_seats = ROW_SEATS.max(seats.div_ceil(ROWS_MAX));
        let rows = (0..seats.div_ceil(row_seats)).map(|row| {
            let in_row = row_seats.min(seats - row * row_seats);
            serde_json::json!({"name": format!("R{}", row + 1), "seats": in_row})
        });
        serde_json::json!({
            "id": id, "name": name, "price": {"minor": minor, "currency": "EUR"},
            "rows": rows.collect::<Vec<_>>(),
        })
    };
    let mut sections = vec![section("stalls", "Stalls", 7_500, seats - balcony)];
    if balcony > 0 {
        sections.push(section("balcony", "Balcony", 4_500, balcony));
    }
    sections.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(users: u32, seats: u32, arrive: u64) -> Scenario {
        let arrive = Duration::from_secs(arrive);
        let (rate_per_minute, capacity) = (None, None);
        Scenario::new(Wanted { users, seats, arrive, rate_per_minute, capacity, seed: 1 })
    }

    #[test]
    fn a_small_run_is_a_short_one() {
        for (users, seats, arrive, rate, capacity, ttl) in [
            (200, 50, 2, 2_000, 1_000, 5),
            (20_000, 5_000, 30, 18_000, 9_000, 60),
            (10, 5, 20, 300, 150, 40),
        ] {
            let s = scenario(users, seats, arrive);
            let got = (s.rate_per_minute, s.capacity, s.hold_ttl_seconds);
            assert_eq!(got, (rate, capacity, ttl), "{users} users");
        }
    }

    #[test]
    fn arrivals_are_spread_evenly_and_in_order() {
        let s = scenario(1_000, 100, 10);
        let mut buckets = [0; 10];
        let mut last = Duration::ZERO;
        for index in 0..1_000 {
            let at = s.arrival(index, f64::from(index % 10) / 10.0);
            assert!(at >= last && at < s.arrive, "{index} at {at:?}");
            buckets[at.as_secs() as usize] += 1;
            last = at;
        }
        assert_eq!(buckets, [100; 10]);
    }

    #[test]
    fn the_hall_has_as_many_seats_as_asked_for() {
        for seats in [1, 2, 3, 20, 50, 61, 5_000, 200_000] {
            let hall = sections(seats);
            let rows = hall.as_array().unwrap().iter().flat_map(|s| s["rows"].as_array().unwrap());
            let total: u64 = rows.map(|row| row["seats"].as_u64().unwrap()).sum();
            assert_eq!(total, u64::from(seats));
        }
    }
}
