//! The numbers that the pure core keeps to, under the names by which any other form of it knows
//! them: scripts that run it elsewhere are given [`BOUNDS`], and declare none of their own.

macro_rules! bounds {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $value:expr;)+) => {
        $($(#[doc = $doc])+ pub(crate) const $name: $kind = $value;)+

        /// Every bound by its name.
        pub const BOUNDS: &[(&str, u64)] = &[$((stringify!($name), $value)),+];
    };
}

bounds! {
    /// One token. A rate per minute then gives whole units a millisecond: exactly the rate.
    TOKEN: u64 = 60_000;
    /// Calls are kept at this resolution, in milliseconds of granting time, rounded up: nobody
    /// gets less than their window, and what is kept is bounded by the windows alone.
    RESOLUTION_MILLIS: i64 = 100;
    /// The measure of who shows up starts as if so many had all come, so that a few no-shows prove
    /// nothing.
    PRIOR: u64 = 20;
    /// The measure forgets by halves beyond so many calls.
    MEMORY: u64 = 1_000;
    /// So does the measure of how soon slots end.
    EARLY_ENDS_MEMORY: u64 = 256;
    /// In thousandths. However few come, at most four are called for one slot.
    SHOWING_MIN: u64 = 250;
    /// How long a slot that is over is remembered: until then its token answers `done` or
    /// `token_used`; after that it was missed long ago, and `Books` know its number.
    REMEMBERED_MILLIS: i64 = 24 * 60 * 60 * 1_000;
    /// The most given-up places that are remembered; beyond it they are no-shows like others.
    LEFT_MAX: usize = 100_000;
    /// The most late comers who have priority when they try again.
    RETRY_PRIORITY_MAX: usize = 1_000;
    /// For how long after the time at which they were told to ask again, and for a quarter of that
    /// time: clients spread their requests.
    RETRY_PRIORITY_MILLIS: i64 = 2_000;
    /// Nobody is told to ask again sooner.
    ASK_MILLIS_MIN: i64 = 1_000;
}
