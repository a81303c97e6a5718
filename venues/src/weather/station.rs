//! A station and its days.
use onetape_engine::time::{Nanos, SECOND_NS};

const DAY_S: i64 = 86_400;

/// A place whose weather contracts pay on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its name in contracts and on the tape: "NYC".
    pub name: String,
    /// Its name in observations: "KNYC".
    pub observations: String,
    /// The location whose climate reports settle it: "NYC".
    pub reports: String,
    /// What those reports call the place, upper case: "CENTRAL PARK". A report that does not name it is another place's.
    pub place: String,
    /// Degrees north, as the services are asked: "40.7829".
    pub latitude: String,
    /// Degrees east: "-73.9654".
    pub longitude: String,
    /// Local standard time minus UTC in minutes, the same all year: -300 for New York.
    pub standard_offset_min: i32,
}

impl Station {
    const fn offset_s(&self) -> i64 {
        self.standard_offset_min as i64 * 60
    }

    /// The climate day that an instant belongs to, in days since 1970-01-01. In summer it runs from 01:00 to 00:59 on the
    /// clock.
    pub const fn day_of(&self, at: Nanos) -> i32 {
        let local_s = (at.0 / SECOND_NS) as i64 + self.offset_s();
        local_s.div_euclid(DAY_S) as i32
    }

    /// The first instant of a climate day; the beginning of time for days before it.
    pub const fn day_start(&self, day: i32) -> Nanos {
        let utc_s = day as i64 * DAY_S - self.offset_s();
        if utc_s < 0 {
            Nanos(0)
        } else {
            Nanos((utc_s as u64).saturating_mul(SECOND_NS))
        }
    }
}

#[cfg(test)]
pub(super) fn new_york() -> Station {
    Station {
        name: "NYC".into(),
        observations: "KNYC".into(),
        reports: "NYC".into(),
        place: "CENTRAL PARK".into(),
        latitude: "40.7829".into(),
        longitude: "-73.9654".into(),
        standard_offset_min: -300,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::fields::nanos;

    fn at(text: &str) -> Nanos {
        nanos(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_summer_day_begins_at_one_on_the_clock() {
        let station = new_york();
        let day = station.day_of(at("2026-06-30T12:00:00-04:00"));
        assert_eq!(station.day_of(at("2026-06-30T01:00:00-04:00")), day);
        assert_eq!(station.day_of(at("2026-06-30T00:59:59-04:00")), day - 1);
        assert_eq!(station.day_of(at("2026-07-01T00:59:59-04:00")), day);
        assert_eq!(station.day_start(day), at("2026-06-30T01:00:00-04:00"));
        let winter = station.day_of(at("2026-11-21T00:00:00-05:00"));
        assert_eq!(station.day_start(winter), at("2026-11-21T00:00:00-05:00"));
    }
}
