//! How a venue answers, for the tape: strategies hold their limits on round trips and failures against it.
use crate::http_client::HttpClient;
use crate::inputs::Inputs;
use onetape_engine::event::{ClockDrift, Event, VenueHealth};
use onetape_engine::time::SECOND_NS;
use onetape_venues::gateway::Request;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two requests, on the daemon's clock.
const EVERY_NS: u64 = 10 * SECOND_NS;
/// However fast that clock is: ten requests a second at the most.
const PAUSE: Duration = Duration::from_millis(100);
/// Requests that a word on the venue's health is about.
const REQUESTS: usize = 20;

/// Drift above which somebody should look, in ms; the core halts at its own limit (requirements, five systems, 2.3).
const DRIFT_WARNED_MS: u64 = 100;

/// How far our clock is off by each venue's answers, in ms.
pub(crate) type Drifts = Arc<Mutex<BTreeMap<String, i64>>>;

/// By how much our clock is off: what the venue says that agrees with it most. One venue's wrong clock is not ours.
pub(crate) fn drift_ms(drifts: &BTreeMap<String, i64>) -> Option<i64> {
    drifts.values().copied().min_by_key(|ms| ms.unsigned_abs())
}

/// Asks a venue on schedule and tells the tape how long it took, and what its answers say about our clock.
pub(crate) struct Probe {
    pub(crate) venue: String,
    pub(crate) request: Request,
    pub(crate) http: HttpClient,
    pub(crate) inputs: Inputs,
    pub(crate) drifts: Drifts,
}

impl Probe {
    /// Asks until the core is gone.
    pub(crate) async fn run(self) {
        let mut last = VecDeque::with_capacity(REQUESTS);
        loop {
            let asked_at = self.inputs.now();
            let began = Instant::now();
            let answer = self.http.send(self.request.clone()).await;
            let answered = answer.is_some_and(|answer| answer.response().status == 200);
            if last.len() == REQUESTS {
                last.pop_front();
            }
            // Round trips are the wall's, whatever the daemon's clock is.
            last.push_back((began.elapsed(), answered));
            let health = Event::VenueHealth(Box::new(health(&self.venue, &last)));
            if !self.inputs.event(&health) {
                return;
            }
            if !self.tell_drift() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
            while self.inputs.now().since(asked_at) < EVERY_NS {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Probe {
    /// False when the core is gone.
    fn tell_drift(&self) -> bool {
        let Some(own) = self.http.drift_ms() else {
            return true;
        };
        let mut drifts = self.drifts.lock().unwrap_or_else(PoisonError::into_inner);
        drifts.insert(self.venue.clone(), own);
        let drift_ms = drift_ms(&drifts).unwrap_or(own);
        if drift_ms.unsigned_abs() >= DRIFT_WARNED_MS {
            tracing::warn!(drift_ms, "our clock is off: check the time service");
        }
        self.inputs
            .event(&Event::ClockDrift(ClockDrift { drift_ms }))
    }
}

fn health(venue: &str, last: &VecDeque<(Duration, bool)>) -> VenueHealth {
    let mut trips: Vec<Duration> = last.iter().map(|(trip, _)| *trip).collect();
    trips.sort_unstable();
    let place = (trips.len() * 95).div_ceil(100).saturating_sub(1);
    let latency = trips.get(place).copied().unwrap_or_default();
    let failed = last.iter().filter(|(_, answered)| !answered).count();
    VenueHealth {
        venue: venue.to_owned(),
        latency_ms: u32::try_from(latency.as_millis()).unwrap_or(u32::MAX),
        errors_per_million: (failed * 1_000_000 / last.len().max(1)) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_the_slow_end_of_round_trips_and_the_share_that_failed() {
        let trips = |of: &[(u64, bool)]| {
            let one = |(ms, ok): &(u64, bool)| (Duration::from_millis(*ms), *ok);
            health("x", &of.iter().map(one).collect())
        };
        let of = |health: VenueHealth| (health.latency_ms, health.errors_per_million);
        assert_eq!(of(trips(&[(7, true)])), (7, 0));
        assert_eq!(of(trips(&[(9, true), (5, false)])), (9, 500_000));
        // Of twenty the slowest one is left out.
        let mut twenty = vec![(3, true); 19];
        twenty.push((900, true));
        assert_eq!(of(trips(&twenty)), (3, 0));
    }
}
