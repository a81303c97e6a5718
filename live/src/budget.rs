//! How many requests a venue gets from us: our own bucket, and the venue's word when it says stop.
use onetape_venues::gateway::Bucket;
use std::time::{Duration, Instant};

/// A venue's allowance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Weight a second for orders and cancels together.
    pub write_per_s: u32,
    /// Weight a second for everything else.
    pub read_per_s: u32,
}

/// Buckets of one second's allowance; the last tenth of the write bucket is for cancels.
#[derive(Debug)]
pub struct Budget {
    allowance: Allowance,
    write: f64,
    read: f64,
    filled_at: Instant,
    quiet_until: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Budget {
    /// Full buckets.
    pub fn new(allowance: Allowance, now: Instant) -> Self {
        Self {
            allowance,
            write: allowance.write_per_s.into(),
            read: allowance.read_per_s.into(),
            filled_at: now,
            quiet_until: None,
            paused_until: None,
        }
    }

    /// Takes a request's weight; the time to wait where there is not enough.
    ///
    /// # Errors
    /// How long until there may be enough.
    pub fn take(&mut self, bucket: Bucket, weight: u32, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.quiet_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        let paused = self.paused_until.filter(|until| *until > now);
        if let Some(until) = paused.filter(|_| bucket != Bucket::Cancel) {
            return Err(until - now);
        }
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        let (write_max, read_max) = (
            f64::from(self.allowance.write_per_s),
            f64::from(self.allowance.read_per_s),
        );
        self.write = (self.write + passed * write_max).min(write_max);
        self.read = (self.read + passed * read_max).min(read_max);
        let weight = f64::from(weight);
        let (level, rate, reserve) = match bucket {
            Bucket::Write => (&mut self.write, write_max, write_max / 10.0),
            Bucket::Cancel => (&mut self.write, write_max, 0.0),
            Bucket::Public | Bucket::Read => (&mut self.read, read_max, 0.0),
        };
        let missing = weight + reserve - *level;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / rate.max(1.0)));
        }
        *level -= weight;
        Ok(())
    }

    /// The venue wants quiet.
    pub fn quiet(&mut self, for_ms: u64, now: Instant) {
        self.quiet_until = later(self.quiet_until, for_ms, now);
    }

    /// By the venue's own count there is room for cancels only.
    pub fn pause(&mut self, for_ms: u64, now: Instant) {
        self.paused_until = later(self.paused_until, for_ms, now);
    }
}

fn later(known: Option<Instant>, for_ms: u64, now: Instant) -> Option<Instant> {
    let until = now + Duration::from_millis(for_ms.min(600_000));
    Some(known.map_or(until, |known| known.max(until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        write_per_s: 10,
        read_per_s: 5,
    };

    #[test]
    fn the_last_tenth_is_for_cancels_and_comes_back_with_time() {
        let now = Instant::now();
        let mut budget = Budget::new(ALLOWANCE, now);
        for _ in 0..9 {
            assert_eq!(budget.take(Bucket::Write, 1, now), Ok(()));
        }
        let wait = budget.take(Bucket::Write, 1, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(budget.take(Bucket::Cancel, 1, now), Ok(()));
        assert!(budget.take(Bucket::Cancel, 1, now).is_err());
        let later = now + Duration::from_millis(200);
        assert_eq!(budget.take(Bucket::Write, 1, later), Ok(()));
    }

    #[test]
    fn when_the_venue_counts_us_full_only_cancels_go_out() {
        let now = Instant::now();
        let mut budget = Budget::new(ALLOWANCE, now);
        budget.pause(2_000, now);
        for bucket in [Bucket::Write, Bucket::Read, Bucket::Public] {
            assert_eq!(budget.take(bucket, 1, now), Err(Duration::from_secs(2)));
        }
        assert_eq!(budget.take(Bucket::Cancel, 1, now), Ok(()));
        let later = now + Duration::from_secs(2);
        assert_eq!(budget.take(Bucket::Write, 1, later), Ok(()));
    }

    #[test]
    fn when_the_venue_wants_quiet_nothing_goes_out() {
        let now = Instant::now();
        let mut budget = Budget::new(ALLOWANCE, now);
        budget.quiet(2_000, now);
        budget.quiet(1_000, now);
        for bucket in [Bucket::Write, Bucket::Cancel, Bucket::Read] {
            assert_eq!(budget.take(bucket, 1, now), Err(Duration::from_secs(2)));
        }
        assert_eq!(
            budget.take(Bucket::Write, 1, now + Duration::from_secs(2)),
            Ok(())
        );
    }
}
