//! What is forecast for each hour, and a day's high out of it.
use super::Station;
use onetape_engine::event::Forecast;
use onetape_engine::time::{Nanos, SECOND_NS};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const HOUR_NS: u64 = 3_600 * SECOND_NS;
/// Hours kept behind the first hour of a new forecast: a forecast made in the afternoon says nothing of the morning any
/// more, so what was forecast for it before stands.
const HOURS_BEHIND: u64 = 48;
/// Hours ahead that are looked at; no forecast in use reaches further.
const HOURS_AHEAD: u64 = 24 * 17;

/// Temperatures by hour, of one forecaster and station.
#[derive(Clone, Debug, Default)]
pub struct Hours {
    /// By hours since 1970, UTC.
    by_hour: BTreeMap<u64, Decimal>,
    issued_at: Nanos,
}

impl Hours {
    /// Takes a forecast: from when on and how many degrees Fahrenheit, for each hour. One that was issued before the last
    /// changes nothing.
    pub fn take(&mut self, issued_at: Nanos, hours: &[(Nanos, Decimal)]) {
        let Some(first) = hours.iter().map(|(from, _)| from.0 / HOUR_NS).min() else {
            return;
        };
        if issued_at < self.issued_at {
            return;
        }
        self.issued_at = issued_at;
        let kept = first.saturating_sub(HOURS_BEHIND)..first.saturating_add(HOURS_AHEAD);
        self.by_hour.retain(|hour, _| kept.contains(hour));
        let new = hours
            .iter()
            .map(|(from, degrees)| (from.0 / HOUR_NS, *degrees));
        self.by_hour
            .extend(new.filter(|(hour, _)| kept.contains(hour)));
    }

    /// The high of every climate day whose hours are all known. A day that is known in part has no high yet: the hottest
    /// hour may be missing.
    pub fn highs(&self, station: &Station, source: &str) -> Vec<Forecast> {
        let mut days: BTreeMap<i32, (u32, Decimal)> = BTreeMap::new();
        for (hour, degrees) in &self.by_hour {
            let day = station.day_of(Nanos(hour.saturating_mul(HOUR_NS)));
            let (known, high) = days.entry(day).or_insert((0, *degrees));
            *known += 1;
            *high = (*high).max(*degrees);
        }
        let whole = days.into_iter().filter(|(_, (known, _))| *known == 24);
        whole
            .map(|(day, (_, high_f))| Forecast {
                station: station.name.clone(),
                day,
                high_f,
                issued_at: self.issued_at,
                source: source.to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::station::new_york;

    fn hours(from: Nanos, degrees: impl IntoIterator<Item = i64>) -> Vec<(Nanos, Decimal)> {
        let hour = |(place, degrees): (u64, i64)| (from.after(place * HOUR_NS), degrees.into());
        (0..).zip(degrees).map(hour).collect()
    }

    #[test]
    fn a_day_has_a_high_once_all_of_its_hours_are_known() {
        let station = new_york();
        let day = 20_778;
        let midnight = station.day_start(day);
        let mut known = Hours::default();
        known.take(Nanos(1), &hours(midnight, 50..73));
        assert_eq!(known.highs(&station, "nws"), []);
        known.take(Nanos(2), &hours(midnight, 50..75));
        let highs = known.highs(&station, "nws");
        assert_eq!(highs.len(), 1);
        assert_eq!((highs[0].day, highs[0].high_f), (day, 73.into()));
        assert_eq!(
            (highs[0].issued_at, highs[0].station.as_str()),
            (Nanos(2), "NYC")
        );
    }

    #[test]
    fn a_forecast_of_the_afternoon_keeps_what_was_forecast_for_the_morning() {
        let station = new_york();
        let day = 20_778;
        let midnight = station.day_start(day);
        let mut known = Hours::default();
        let mut morning = vec![40; 24];
        morning[10] = 66;
        known.take(Nanos(5), &hours(midnight, morning));
        known.take(Nanos(6), &hours(midnight.after(15 * HOUR_NS), [50; 12]));
        assert_eq!(known.highs(&station, "nws")[0].high_f, 66.into());
        // Issued before the last: an old answer out of a cache.
        known.take(Nanos(4), &hours(midnight, [99; 24]));
        assert_eq!(known.highs(&station, "nws")[0].high_f, 66.into());
        // A day later nothing of it is left, whatever comes.
        known.take(Nanos(7), &hours(midnight.after(96 * HOUR_NS), [50; 24]));
        assert_eq!(known.by_hour.len(), 24);
        known.take(Nanos(8), &hours(Nanos(u64::MAX), [50; 1]));
        known.take(Nanos(9), &hours(Nanos(0), [50; 1]));
        assert!(known.by_hour.len() <= 2);
    }
}
