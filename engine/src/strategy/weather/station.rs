//! What is known of a station's days: the forecast in force and the maximum so far.
use super::calendar::local_day;
use super::params::thousandths;
use crate::event::{Forecast, Observation, ObservationQuality};
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Days kept behind the station's own, for reports that come late.
const DAYS_BEHIND: i32 = 3;
/// Days kept ahead: no forecast reaches further.
const DAYS_AHEAD: i32 = 30;
/// Degrees Fahrenheit that no station of the table ever left: what is beyond is a broken sensor.
const POSSIBLE: core::ops::RangeInclusive<i64> = -80_000..=140_000;

/// A forecast in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Expected {
    /// Thousandths of a degree.
    pub(super) high: i64,
    pub(super) issued_at: Nanos,
    /// When it was received last: a repetition keeps it fresh.
    pub(super) received_at: Nanos,
}

/// One local standard day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    day: i32,
    pub(super) expected: Option<Expected>,
    /// Highest official reading in whole degrees, rounded down: the maximum can't be below.
    pub(super) official: Option<i32>,
    /// The same of five-minute readings, their possible error taken off.
    pub(super) soft: Option<i32>,
}

/// The days of one station, by day.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Days {
    days: Vec<Day>,
}

impl Days {
    pub(super) fn get(&self, day: i32) -> Option<&Day> {
        let place = self.days.binary_search_by_key(&day, |known| known.day);
        place.ok().and_then(|place| self.days.get(place))
    }

    /// The day, made where it is new; none where it is too far from today. Days long past are dropped.
    fn get_mut(&mut self, day: i32, today: i32) -> Option<&mut Day> {
        if !(today - DAYS_BEHIND..=today + DAYS_AHEAD).contains(&day) {
            return None;
        }
        self.days.retain(|known| known.day >= today - DAYS_BEHIND);
        let place = match self.days.binary_search_by_key(&day, |known| known.day) {
            Ok(place) => place,
            Err(place) => {
                let new = Day {
                    day,
                    expected: None,
                    official: None,
                    soft: None,
                };
                self.days.insert(place, new);
                place
            }
        };
        self.days.get_mut(place)
    }

    /// Takes a forecast; one that was issued before the one in force changes nothing.
    pub(super) fn forecast(&mut self, forecast: &Forecast, now: Nanos, offset_min: i32) {
        let Some(high) = thousandths(forecast.high_f).filter(|high| POSSIBLE.contains(high)) else {
            return;
        };
        let new = Expected {
            high,
            issued_at: forecast.issued_at.min(now),
            received_at: now,
        };
        if let Some(day) = self.get_mut(forecast.day, local_day(now, offset_min))
            && day
                .expected
                .is_none_or(|known| known.issued_at <= new.issued_at)
        {
            day.expected = Some(new);
        }
    }

    /// Takes an observation. Returns the day that it belongs to.
    pub(super) fn observe(
        &mut self,
        seen: &Observation,
        now: Nanos,
        offset_min: i32,
        soft_margin: u8,
    ) -> Option<i32> {
        let temperature = thousandths(seen.temperature_f).filter(|t| POSSIBLE.contains(t))?;
        if seen.observed_at > now {
            return None;
        }
        let number = local_day(seen.observed_at, offset_min);
        let day = self.get_mut(number, local_day(now, offset_min))?;
        // A bound from below is rounded down.
        let degrees = i32::try_from(temperature.div_euclid(super::fair::DEGREE)).ok()?;
        let (maximum, degrees) = match seen.quality {
            ObservationQuality::Official => (&mut day.official, degrees),
            ObservationQuality::Soft => (&mut day.soft, degrees - i32::from(soft_margin)),
        };
        *maximum = (*maximum).max(Some(degrees));
        Some(number)
    }
}
