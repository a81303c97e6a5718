//! Days and hours in a station's local standard time, all year round.
//!
//! Climate reports know no daylight saving time: in summer a station's day runs from 01:00 to 01:00 on the clock.
use crate::time::{Nanos, SECOND_NS};

const DAY_S: i64 = 86_400;

const fn local_s(at: Nanos, offset_min: i32) -> i64 {
    // Below 2^35 for every stamp: the division makes room for the sign.
    (at.0 / SECOND_NS) as i64 + offset_min as i64 * 60
}

/// Days since 1970-01-01.
pub(super) const fn local_day(at: Nanos, offset_min: i32) -> i32 {
    local_s(at, offset_min).div_euclid(DAY_S) as i32
}

/// Minutes since midnight.
pub(super) const fn local_minute(at: Nanos, offset_min: i32) -> u32 {
    (local_s(at, offset_min).rem_euclid(DAY_S) / 60) as u32
}

/// When it is `hour` o'clock on a day; the beginning of time for days before it.
pub(super) const fn instant(day: i32, hour: u8, offset_min: i32) -> Nanos {
    let seconds = day as i64 * DAY_S + hour as i64 * 3_600 - offset_min as i64 * 60;
    if seconds < 0 {
        Nanos(0)
    } else {
        Nanos((seconds as u64).saturating_mul(SECOND_NS))
    }
}

/// Weeks, counted so that the number changes on Monday (1970-01-01 was a Thursday).
pub(super) const fn week(day: i64) -> i64 {
    (day + 3).div_euclid(7)
}

/// Year and month (1 to 12) of a day since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
pub(super) const fn year_and_month(day: i64) -> (i64, u8) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + (month <= 2) as i64;
    (year, month as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * SECOND_NS;
    /// 2025-07-02 00:00 UTC.
    const JULY_2: u64 = 20_271 * 24 * HOUR;
    const NEW_YORK: i32 = -300;

    #[test]
    fn a_summer_day_ends_at_one_in_the_morning() {
        // 00:30 daylight time on July 2 is 04:30 UTC and 23:30 standard time on July 1.
        let half_past_midnight = Nanos(JULY_2 + 9 * HOUR / 2);
        assert_eq!(local_day(half_past_midnight, NEW_YORK), 20_270);
        assert_eq!(local_minute(half_past_midnight, NEW_YORK), 23 * 60 + 30);
        assert_eq!(local_day(Nanos(JULY_2 + 5 * HOUR), NEW_YORK), 20_271);
        assert_eq!(instant(20_271, 0, NEW_YORK), Nanos(JULY_2 + 5 * HOUR));
    }

    #[test]
    fn the_calendar_is_the_calendar() {
        assert_eq!(year_and_month(0), (1970, 1));
        assert_eq!(year_and_month(20_000), (2024, 10));
        assert_eq!(year_and_month(20_270), (2025, 7));
        assert_eq!(year_and_month(19_782), (2024, 2));
        assert_eq!(year_and_month(19_783), (2024, 3));
        // 2024-10-06 was a Sunday, the day after it a Monday.
        assert_eq!(week(20_002) + 1, week(20_003));
        assert_eq!(week(20_003), week(20_009));
    }
}
