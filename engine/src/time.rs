//! Time as the tape knows it: UTC nanoseconds in frame stamps. No code here reads a clock.
use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;
/// Nanoseconds in a UTC day (leap seconds are smeared or repeated by every venue we know of).
pub const DAY_NS: u64 = 86_400 * SECOND_NS;

impl Nanos {
    /// The time `ns` nanoseconds later; stays at the end of time rather than wrapping.
    pub const fn after(self, ns: u64) -> Nanos {
        Nanos(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub const fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Days since 1970-01-01 UTC.
    pub const fn utc_day(self) -> u64 {
        self.0 / DAY_NS
    }

    /// The first instant of the interval after the one that holds `self`; intervals start at the epoch.
    pub const fn next_multiple(self, interval_ns: u64) -> Nanos {
        Nanos(
            (self.0 / interval_ns)
                .saturating_add(1)
                .saturating_mul(interval_ns),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_boundary_belongs_to_the_interval_that_it_starts() {
        assert_eq!(Nanos(59).next_multiple(60), Nanos(60));
        assert_eq!(Nanos(60).next_multiple(60), Nanos(120));
    }

    #[test]
    fn the_day_turns_at_utc_midnight() {
        assert_eq!(Nanos(DAY_NS - 1).utc_day(), 0);
        assert_eq!(Nanos(DAY_NS).utc_day(), 1);
    }
}
