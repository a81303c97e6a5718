//! The premium's own slow mean: what a deviation is measured from, since a premium is not zero-mean (requirements, five
//! systems, 4.3.4).
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};

/// Binary digits kept below one part per billion, so that small steps are not lost.
const FRACTION_BITS: u32 = 20;

/// An exponential mean in event time, in integers: at most one sample a second, `mean += (x - mean) / n` rounded down, where
/// `n` is the number of samples so far until it reaches the mean's length. So it starts as the plain mean of what there is.
/// Seconds without a live market are no samples: a gap moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SlowMean {
    value: i64,
    samples: u32,
    length: u32,
    /// No sample before this.
    next: Nanos,
}

impl SlowMean {
    /// Over `length` samples, at least 1.
    pub(super) const fn new(length: u32) -> Self {
        Self {
            value: 0,
            samples: 0,
            length,
            next: Nanos(0),
        }
    }

    /// Whether a sample is due.
    #[inline]
    pub(super) const fn is_due(&self, now: Nanos) -> bool {
        now.0 >= self.next.0
    }

    /// Takes a sample in parts per billion; the next one is due in the next second.
    pub(super) fn add(&mut self, now: Nanos, premium: i64) {
        self.next = now.next_multiple(SECOND_NS);
        self.samples = self.samples.saturating_add(1);
        let n = i128::from(self.samples.min(self.length).max(1));
        let x = i128::from(premium) << FRACTION_BITS;
        let moved = i128::from(self.value) + (x - i128::from(self.value)).div_euclid(n);
        self.value = moved.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    }

    /// Nothing to sample in this second.
    pub(super) const fn skip(&mut self, now: Nanos) {
        self.next = now.next_multiple(SECOND_NS);
    }

    /// The mean in parts per billion.
    #[inline]
    pub(super) const fn value(&self) -> i64 {
        self.value >> FRACTION_BITS
    }

    /// How many samples there were.
    #[inline]
    pub(super) const fn samples(&self) -> u32 {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = SECOND_NS;

    /// By hand over 2: 10; then (10+20)/2 = 15; then 15 + (25-15)/2 = 20; then 20 + (20-20)/2 = 20.
    #[test]
    fn it_is_the_plain_mean_until_it_is_long_enough() {
        let mut mean = SlowMean::new(2);
        let mut values = Vec::new();
        for (second, x) in [(0, 10), (1, 20), (2, 25), (3, 20)] {
            assert!(mean.is_due(Nanos(second * S)));
            mean.add(Nanos(second * S), x);
            values.push(mean.value());
        }
        assert_eq!(values, [10, 15, 20, 20]);
    }

    #[test]
    fn it_is_sampled_once_a_second_and_a_gap_moves_nothing() {
        let mut mean = SlowMean::new(10);
        mean.add(Nanos(S / 2), 100);
        assert!(!mean.is_due(Nanos(S - 1)) && mean.is_due(Nanos(S)));
        mean.add(Nanos(3_600 * S), 0);
        assert_eq!(
            (mean.value(), mean.samples()),
            (50, 2),
            "one sample, not 3599"
        );
    }

    proptest! {
        #[test]
        fn it_stays_among_its_samples(xs in prop::collection::vec(-500_000_000i64..500_000_000, 1..200), length in 1u32..50) {
            let mut mean = SlowMean::new(length);
            for (second, x) in xs.iter().enumerate() {
                mean.add(Nanos(second as u64 * S), *x);
            }
            let (low, high) = (xs.iter().min().unwrap(), xs.iter().max().unwrap());
            prop_assert!(mean.value() >= low - 1 && mean.value() <= *high);
        }
    }
}
