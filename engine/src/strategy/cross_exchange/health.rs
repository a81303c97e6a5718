//! How the venues do: their own word on it, and how old and how frozen their data are.
//!
//! Requirements, five systems, 4.2, in one table; the strictest column counts:
//!
//! | tier     | round trip   | failed requests | data older than | best prices unchanged for | what follows |
//! |----------|--------------|-----------------|-----------------|---------------------------|--------------|
//! | degraded | over 100 ms  | over 1 %        | 1 s             |                           | no entry |
//! | down     | over 500 ms  | over 5 %        | 3 s             |                           | what is open is closed; nothing goes out on data that old |
//! | frozen   | over 2000 ms |                 |                 | 10 s                      | nothing goes out by that round trip; no entry on that book |
//!
//! A venue that says nothing is not healthy: no entry.
use super::params::{Limits, Params};
use crate::event::VenueHealth;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// A venue's tier by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Nothing is wrong, or nothing is known.
    Healthy,
    /// No entry.
    Degraded,
    /// Closes what is open.
    Down,
    /// Nothing is sent.
    Frozen,
}

/// A venue's last word on its health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    pub(super) latency_ms: u32,
    pub(super) errors_per_million: u32,
    /// When; none while it has said nothing.
    pub(super) at: Option<Nanos>,
}

impl Word {
    pub(super) const fn of(health: &VenueHealth, now: Nanos) -> Self {
        Self {
            latency_ms: health.latency_ms,
            errors_per_million: health.errors_per_million,
            at: Some(now),
        }
    }

    /// How old it is in milliseconds; the end of time where there is none.
    pub(super) fn age_ms(&self, now: Nanos) -> u64 {
        self.at.map_or(u64::MAX, |at| now.since(at) / 1_000_000)
    }

    pub(super) fn tier(&self, params: &Params, limits: &Limits) -> Tier {
        let errors = i64::from(self.errors_per_million);
        if self.latency_ms > params.frozen_latency_ms {
            Tier::Frozen
        } else if self.latency_ms > params.down_latency_ms || errors > limits.down_errors {
            Tier::Down
        } else if self.latency_ms > params.degraded_latency_ms || errors > limits.degraded_errors {
            Tier::Degraded
        } else {
            Tier::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_column_counts() {
        let params = Params::default();
        let limits = params.check().unwrap();
        for (latency_ms, errors_per_million, tier) in [
            (100, 10_000, Tier::Healthy),
            (101, 0, Tier::Degraded),
            (0, 10_001, Tier::Degraded),
            (501, 0, Tier::Down),
            (0, 50_001, Tier::Down),
            (2_000, 0, Tier::Down),
            (2_001, 0, Tier::Frozen),
        ] {
            let word = Word {
                latency_ms,
                errors_per_million,
                at: Some(Nanos(0)),
            };
            assert_eq!(word.tier(&params, &limits), tier, "{word:?}");
        }
        assert_eq!(
            Word::default().age_ms(Nanos(5)),
            u64::MAX,
            "no word is no health"
        );
    }
}
