//! How often we copied of late, and how often in vain.
use super::params::Rules;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The copies of the window, the last entries' outcomes and the breaker that they open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Brakes {
    copies: VecDeque<Nanos>,
    /// Of the last entry orders: whether they failed.
    outcomes: VecDeque<bool>,
    open_until: Nanos,
}

impl Brakes {
    /// An entry order went out.
    pub(super) fn copied(&mut self, rules: &Rules, now: Nanos) {
        let is_old = |at: &Nanos| now.since(*at) >= rules.copies_window_ns;
        while self.copies.front().is_some_and(is_old) {
            self.copies.pop_front();
        }
        self.copies.push_back(now);
    }

    /// Copies within the window that ends now.
    pub(super) fn copies(&self, rules: &Rules, now: Nanos) -> usize {
        let counts = |at: &&Nanos| now.since(**at) < rules.copies_window_ns;
        self.copies.iter().filter(counts).count()
    }

    /// An entry order ended: the breaker opens when too many of the last ones failed, and then they are forgotten.
    pub(super) fn ended(&mut self, rules: &Rules, now: Nanos, failed: bool) {
        self.outcomes.push_back(failed);
        if self.outcomes.len() > rules.breaker_orders as usize {
            self.outcomes.pop_front();
        }
        let orders = self.outcomes.len() as u64;
        let failures = self.failures() as u64;
        if orders >= u64::from(rules.breaker_orders)
            && failures >= u64::from(rules.breaker_failures)
            && failures * 100 >= orders * u64::from(rules.breaker_pct)
        {
            self.open_until = now.after(rules.breaker_ns);
            self.outcomes.clear();
        }
    }

    /// How many of the last entry orders failed.
    pub(super) fn failures(&self) -> usize {
        self.outcomes.iter().filter(|failed| **failed).count()
    }

    /// How long the breaker stays open, in milliseconds, rounded up; 0 when it is closed.
    pub(super) const fn open_ms(&self, now: Nanos) -> u64 {
        self.open_until.since(now).div_ceil(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::Params;
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn ended(brakes: &mut Brakes, outcomes: &[bool]) {
        let rules = Params::default().rules().unwrap();
        for failed in outcomes {
            brakes.ended(&rules, Nanos(0), *failed);
        }
    }

    /// 5 failures of 10 or more at 50 %, for an hour (requirements, five systems, 6.2).
    #[test]
    fn five_failures_of_ten_open_the_breaker_for_an_hour() {
        let mut brakes = Brakes::default();
        ended(&mut brakes, &[true; 9]);
        assert_eq!(brakes.open_ms(Nanos(0)), 0, "nine are too few");
        ended(&mut brakes, &[false]);
        assert_eq!(brakes.open_ms(Nanos(0)), 3_600_000);
        assert_eq!(brakes.open_ms(Nanos(60 * MINUTE)), 0);
        let mut brakes = Brakes::default();
        ended(
            &mut brakes,
            &[
                true, false, true, false, true, false, true, false, false, false,
            ],
        );
        assert_eq!(brakes.open_ms(Nanos(0)), 0, "four of ten");
        ended(&mut brakes, &[true]);
        assert_eq!(brakes.open_ms(Nanos(0)), 0, "the first failure fell out");
        ended(&mut brakes, &[true]);
        assert_eq!(brakes.open_ms(Nanos(0)), 3_600_000);
    }

    #[test]
    fn copies_count_for_an_hour() {
        let rules = Params::default().rules().unwrap();
        let mut brakes = Brakes::default();
        for minute in 0..5 {
            brakes.copied(&rules, Nanos(minute * MINUTE));
        }
        assert_eq!(brakes.copies(&rules, Nanos(59 * MINUTE)), 5);
        assert_eq!(brakes.copies(&rules, Nanos(61 * MINUTE)), 3);
        brakes.copied(&rules, Nanos(70 * MINUTE));
        assert_eq!(brakes.copies(&rules, Nanos(70 * MINUTE)), 1);
    }
}
