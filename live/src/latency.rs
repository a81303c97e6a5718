//! How long things took: a histogram that one thread writes and others look at.
use hdrhistogram::Histogram;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What takes longer counts as this long.
const LONGEST_NS: u64 = 60 * 1_000_000_000;
/// Each value is kept to three digits.
const DIGITS: u8 = 3;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Latency(Mutex<Option<Histogram<u64>>>);

/// What a histogram says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// Durations in it.
    pub count: u64,
    /// Their sum, in ns.
    pub sum_ns: u64,
    /// Half took no longer, in ns.
    pub p50_ns: u64,
    /// 99 of 100 took no longer, in ns.
    pub p99_ns: u64,
    /// 999 of 1,000 took no longer, in ns.
    pub p999_ns: u64,
    /// The longest, in ns.
    pub max_ns: u64,
}

impl Latency {
    /// Counts one.
    pub fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(LONGEST_NS);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Histogram::new_with_max(LONGEST_NS, DIGITS).ok();
        }
        if let Some(histogram) = kept.as_mut() {
            histogram.saturating_record(ns.min(LONGEST_NS));
        }
    }

    /// What it says so far.
    pub fn quantiles(&self) -> Quantiles {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(histogram) = kept.as_ref() else {
            return Quantiles::default();
        };
        Quantiles {
            count: histogram.len(),
            sum_ns: (histogram.mean() * histogram.len() as f64) as u64,
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_how_long_is_told_to_three_digits() {
        let latency = Latency::default();
        assert_eq!(latency.quantiles(), Quantiles::default());
        for us in 1..=1_000 {
            latency.record(Duration::from_micros(us));
        }
        latency.record(Duration::MAX);
        let said = latency.quantiles();
        assert_eq!(said.count, 1_001);
        assert!((501_000..502_000).contains(&said.p50_ns), "{said:?}");
        assert!((991_000..992_000).contains(&said.p99_ns), "{said:?}");
        assert!(said.max_ns >= LONGEST_NS, "{said:?}");
    }
}
