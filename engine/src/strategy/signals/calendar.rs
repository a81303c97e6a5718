//! The exchange's days as the tape tells them, and the windows of a day in which patterns are looked for.
//!
//! Nothing here knows a time zone: each day brings its own offset, opening and close, so clock changes, half days and
//! holidays come out right as long as the facts are right.
use crate::event::TradingDay;
use crate::time::{DAY_NS, Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};

/// Days that closed longer ago than this are forgotten.
const KEPT_NS: u64 = 30 * DAY_NS;
/// No zone is further from UTC, in seconds.
const MAX_OFFSET_S: i32 = 15 * 3_600;

/// One day of regular trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    /// The local date, in days since 1970-01-01.
    pub day: i32,
    utc_offset_s: i32,
    /// First instant of regular trading.
    pub opens_at: Nanos,
    /// First instant after regular trading.
    pub closes_at: Nanos,
}

/// A part of the day in local time, half open: "09:30-11:00".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Seconds of the local day.
    pub starts_s: u32,
    /// Seconds of the local day.
    pub ends_s: u32,
}

impl Window {
    /// From "hour:minute" to "hour:minute".
    pub(super) const fn new(starts: (u32, u32), ends: (u32, u32)) -> Self {
        Self {
            starts_s: starts.0 * 3_600 + starts.1 * 60,
            ends_s: ends.0 * 3_600 + ends.1 * 60,
        }
    }
}

/// One window of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The local date, in days since 1970-01-01.
    pub day: i32,
    /// Which of the windows.
    pub window: u32,
    /// First instant, not before the day's opening.
    pub starts_at: Nanos,
    /// First instant after it, not after the day's close.
    pub ends_at: Nanos,
}

/// The days that are known, by date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Calendar {
    days: Vec<Day>,
}

impl Calendar {
    /// Takes a day in; a day told again replaces what was known. Days that can't be are not taken.
    pub(super) fn take(&mut self, fact: &TradingDay, now: Nanos) {
        let possible = fact.opens_at < fact.closes_at
            && fact.closes_at.since(fact.opens_at) <= DAY_NS
            && fact.utc_offset_s.abs() <= MAX_OFFSET_S;
        if !possible {
            return;
        }
        self.days
            .retain(|day| day.closes_at.after(KEPT_NS) >= now && day.day != fact.day);
        let place = self.days.partition_point(|day| day.day < fact.day);
        self.days.insert(
            place,
            Day {
                day: fact.day,
                utc_offset_s: fact.utc_offset_s,
                opens_at: fact.opens_at,
                closes_at: fact.closes_at,
            },
        );
    }

    /// The day in whose regular hours an instant lies.
    pub(super) fn open_at(&self, at: Nanos) -> Option<&Day> {
        self.days
            .iter()
            .rev()
            .find(|day| day.opens_at <= at && at < day.closes_at)
    }

    /// The first day that opens after an instant.
    pub(super) fn next_after(&self, at: Nanos) -> Option<&Day> {
        self.days.iter().find(|day| at < day.opens_at)
    }

    /// The known day before a date.
    pub(super) fn before(&self, date: i32) -> Option<&Day> {
        self.days.iter().rev().find(|day| day.day < date)
    }

    /// The session in which an instant lies.
    pub(super) fn session(&self, windows: &[Window], at: Nanos) -> Option<Session> {
        let day = self.open_at(at)?;
        let local = |second: u32| {
            let seconds =
                i64::from(day.day) * 86_400 - i64::from(day.utc_offset_s) + i64::from(second);
            Nanos(
                u64::try_from(seconds)
                    .unwrap_or(0)
                    .saturating_mul(SECOND_NS),
            )
        };
        let sessions = windows.iter().enumerate().map(|(place, window)| Session {
            day: day.day,
            window: place as u32,
            starts_at: local(window.starts_s).max(day.opens_at),
            ends_at: local(window.ends_s).min(day.closes_at),
        });
        sessions
            .into_iter()
            .find(|session| session.starts_at <= at && at < session.ends_at)
    }

    /// How many bars of regular trading lie between two that begin at these times, the two left out.
    pub(super) fn bars_between(&self, earlier: Nanos, later: Nanos, interval_ns: u64) -> u64 {
        let after = earlier.after(interval_ns);
        let within = |day: &Day| {
            let from = day.opens_at.max(after);
            let to = day.closes_at.min(later);
            to.since(from).div_ceil(interval_ns)
        };
        self.days.iter().map(within).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * SECOND_NS;
    const WINDOWS: [Window; 2] = [Window::new((9, 30), (11, 0)), Window::new((14, 0), (15, 0))];

    fn day(day: i32, offset_h: i32, closes: (u64, u64)) -> TradingDay {
        let midnight = (day as u64 * DAY_NS) as i64 - i64::from(offset_h) * HOUR as i64;
        let local = |h: u64, m: u64| Nanos(midnight as u64 + h * HOUR + m * 60 * SECOND_NS);
        TradingDay {
            calendar: "XNYS".into(),
            day,
            utc_offset_s: offset_h * 3_600,
            opens_at: local(9, 30),
            closes_at: local(closes.0, closes.1),
        }
    }

    #[test]
    fn windows_follow_the_days_own_offset_and_its_early_close() {
        let mut calendar = Calendar::default();
        // 2026-03-06 (New York UTC-5) and 2026-03-09 (UTC-4, three weeks before Europe changes), the latter a half day.
        calendar.take(&day(20_518, -5, (16, 0)), Nanos(0));
        calendar.take(&day(20_521, -4, (13, 0)), Nanos(0));
        let at = |day: u64, h: u64, m: u64| Nanos(day * DAY_NS + h * HOUR + m * 60 * SECOND_NS);
        let window = |t| calendar.session(&WINDOWS, t).map(|s| s.window);
        assert_eq!(window(at(20_518, 14, 29)), None);
        assert_eq!(window(at(20_518, 14, 30)), Some(0));
        assert_eq!(window(at(20_518, 16, 0)), None, "half open");
        assert_eq!(window(at(20_518, 19, 0)), Some(1));
        assert_eq!(
            window(at(20_521, 13, 30)),
            Some(0),
            "an hour earlier in UTC"
        );
        assert_eq!(window(at(20_521, 15, 0)), None);
        assert_eq!(window(at(20_521, 18, 0)), None, "closed at 13:00");
    }

    #[test]
    fn nights_weekends_and_half_days_have_no_bars_to_miss() {
        let mut calendar = Calendar::default();
        calendar.take(&day(20_518, -5, (16, 0)), Nanos(0));
        calendar.take(&day(20_521, -4, (13, 0)), Nanos(0));
        let five = 300 * SECOND_NS;
        let last = Nanos(20_518 * DAY_NS + 20 * HOUR + 55 * 60 * SECOND_NS);
        let first = Nanos(20_521 * DAY_NS + 13 * HOUR + 30 * 60 * SECOND_NS);
        assert_eq!(calendar.bars_between(last, first, five), 0);
        assert_eq!(calendar.bars_between(last, first.after(five), five), 1);
        assert_eq!(
            calendar.bars_between(Nanos(last.0 - five), first.after(five), five),
            2
        );
    }
}
