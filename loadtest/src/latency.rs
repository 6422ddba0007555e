//! How long each kind of request took, counted from when it was due, not from when it was sent.
use hdrhistogram::Histogram;
use ledger::lock;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a request asks for, as reports name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Join,
    Watch,
    Me,
    Claim,
    Seats,
    Lock,
    Holds,
    Book,
    Booking,
    Release,
    Leave,
    Cancel,
    /// Not a request: from the join to the ticket.
    JoinToTicket,
    /// Not a request: from the accepted booking to its end.
    BookToEnd,
}

impl Route {
    pub(crate) const ALL: [Self; 14] = [
        Self::Join,
        Self::Watch,
        Self::Me,
        Self::Claim,
        Self::Seats,
        Self::Lock,
        Self::Holds,
        Self::Book,
        Self::Booking,
        Self::Release,
        Self::Leave,
        Self::Cancel,
        Self::JoinToTicket,
        Self::BookToEnd,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Watch => "watch",
            Self::Me => "me",
            Self::Claim => "claim",
            Self::Seats => "seats",
            Self::Lock => "lock",
            Self::Holds => "holds",
            Self::Book => "book",
            Self::Booking => "booking",
            Self::Release => "release",
            Self::Leave => "leave",
            Self::Cancel => "cancel",
            Self::JoinToTicket => "join_to_ticket",
            Self::BookToEnd => "book_to_end",
        }
    }
}

/// One route's line of the report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// An hour; whatever takes longer counts as that.
const MICROS_MAX: u64 = 3_600_000_000;

/// A histogram a route.
pub(crate) struct Latencies(Vec<Mutex<Histogram<u64>>>);

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("sound bounds");
        Self(Route::ALL.iter().map(|_| Mutex::new(histogram.clone())).collect())
    }

    pub(crate) fn record(&self, route: Route, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut histogram = lock(&self.0[route as usize]);
        histogram.saturating_record(micros);
    }

    /// Milliseconds by route; routes that nobody asked are left out.
    pub(crate) fn figures(&self) -> BTreeMap<&'static str, Figures> {
        let figures = Route::ALL.iter().filter_map(|&route| {
            let histogram = lock(&self.0[route as usize]);
            let millis = |micros: u64| micros as f64 / 1_000.0;
            let figures = Figures {
                count: histogram.len(),
                p50: millis(histogram.value_at_quantile(0.5)),
                p99: millis(histogram.value_at_quantile(0.99)),
                max: millis(histogram.max()),
            };
            (figures.count > 0).then_some((route.as_str(), figures))
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_milliseconds_within_the_precision() {
        let latencies = Latencies::new();
        for millis in 1..=1_000 {
            latencies.record(Route::Join, Duration::from_millis(millis));
        }
        let figures = latencies.figures();
        assert_eq!(figures.keys().copied().collect::<Vec<_>>(), ["join"]);
        let join = figures["join"];
        assert_eq!(join.count, 1_000);
        for (got, expected) in [(join.p50, 500.0), (join.p99, 990.0), (join.max, 1_000.0)] {
            assert!((got - expected).abs() <= expected * 0.002, "{got} for {expected}");
        }
    }

    #[test]
    fn every_route_has_its_own_histogram() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
        }
    }
}
