//! How far this machine's clock is off, by the `Date` that a venue puts on its answers.
//!
//! It is in whole seconds, so one answer tells the offset to a second and the round trip. Answers at other moments of their
//! seconds narrow that down: all of them together allow only what each of them allows.
use onetape_engine::time::{Nanos, SECOND_NS};

/// Answers after which it begins anew: clocks drift.
const ANSWERS: u32 = 60;
const MS_NS: i128 = 1_000_000;

/// What the answers so far allow: our clock minus the venue's, in ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockOffset {
    allowed: Option<(i128, i128)>,
    answers: u32,
}

impl ClockOffset {
    /// An answer with this `Date` header came: it was written between the two times of our clock.
    pub fn answered(&mut self, asked_at: Nanos, answered_at: Nanos, date: &str) {
        let Ok(date) = jiff::fmt::rfc2822::parse(date) else {
            return;
        };
        let date = date.timestamp().as_nanosecond();
        let least = i128::from(asked_at.0) - date - i128::from(SECOND_NS);
        let most = i128::from(answered_at.0) - date;
        let both = |(low, high): (i128, i128)| (low.max(least), high.min(most));
        let narrowed = self.allowed.map(both).filter(|(low, high)| low <= high);
        if self.answers >= ANSWERS || narrowed.is_none() {
            self.answers = 0;
        }
        self.answers += 1;
        self.allowed = Some(match narrowed {
            Some(narrowed) if self.answers > 1 => narrowed,
            _ => (least, most),
        });
    }

    /// By how much the clock is off at the least, in ms: positive where it is ahead of the venue's.
    pub fn drift_ms(&self) -> Option<i64> {
        let (low, high) = self.allowed?;
        let nearest = 0.clamp(low, high);
        i64::try_from(nearest / MS_NS).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 00:00:00 UTC.
    const MIDNIGHT: u64 = 1_795_219_200 * SECOND_NS;
    const MS: u64 = 1_000_000;

    #[test]
    fn one_answer_tells_it_to_a_second_and_several_to_their_round_trip() {
        let mut offset = ClockOffset::default();
        assert_eq!(offset.drift_ms(), None);
        // We are 300 ms ahead: at the venue's 00:00:05.900 our clock says 06.200.
        let at = |venue_ms: u64| Nanos(MIDNIGHT + (venue_ms + 300) * MS);
        offset.answered(at(5_890), at(5_900), "Sat, 21 Nov 2026 00:00:05 GMT");
        assert_eq!(offset.drift_ms(), Some(190));
        offset.answered(at(8_000), at(8_010), "Sat, 21 Nov 2026 00:00:08 GMT");
        assert_eq!(offset.drift_ms(), Some(190));
        offset.answered(at(9_985), at(9_995), "Sat, 21 Nov 2026 00:00:09 GMT");
        assert_eq!(offset.drift_ms(), Some(285));
        // What does not read says nothing.
        offset.answered(at(1), at(2), "yesterday");
        assert_eq!(offset.drift_ms(), Some(285));
    }

    #[test]
    fn a_clock_that_is_right_is_not_off_and_one_that_was_set_is_measured_anew() {
        let mut offset = ClockOffset::default();
        let at = |ms: u64| Nanos(MIDNIGHT + ms * MS);
        offset.answered(at(5_400), at(5_500), "Sat, 21 Nov 2026 00:00:05 GMT");
        assert_eq!(offset.drift_ms(), Some(0));
        offset.answered(at(66_400), at(66_500), "Sat, 21 Nov 2026 00:00:06 GMT");
        assert_eq!(offset.drift_ms(), Some(59_400));
        offset.answered(at(7_400), at(8_500), "Sat, 21 Nov 2026 00:01:08 GMT");
        assert_eq!(offset.drift_ms(), Some(-59_500));
    }
}
