//! The last bars of one symbol's regular trading, with the places of those that are missing.
use super::calendar::Calendar;
use crate::event::BarClosed;
use crate::number::Price;
use crate::time::{Nanos, SECOND_NS};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const MINUTE_NS: u64 = 60 * SECOND_NS;

/// A bar of regular trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bar {
    /// First instant of its interval.
    pub starts_at: Nanos,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
    /// Minutes without a trade.
    pub minutes_missing: u32,
    /// Trades outside its range that came when it was closed.
    pub late: u32,
    /// Whether the feed of trades was known to be broken within it.
    pub broken: bool,
}

impl Bar {
    /// High minus low.
    pub(super) fn range(&self) -> i128 {
        i128::from(self.high) - i128::from(self.low)
    }

    /// Size of the body: close minus open, unsigned.
    pub(super) fn body(&self) -> i128 {
        (i128::from(self.close) - i128::from(self.open)).abs()
    }

    /// The body's upper end.
    pub(super) fn body_high(&self) -> i64 {
        self.open.max(self.close)
    }

    /// The body's lower end.
    pub(super) fn body_low(&self) -> i64 {
        self.open.min(self.close)
    }

    /// True range: the farthest of high and low from each other or from the close before (requirements, five systems, 5.3).
    pub(super) fn true_range(&self, close_before: i64) -> i128 {
        let (high, low) = (i128::from(self.high), i128::from(self.low));
        let before = i128::from(close_before);
        (high - low)
            .max((high - before).abs())
            .max((low - before).abs())
    }
}

/// The bars, oldest first; `None` is an interval of regular trading without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    slots: VecDeque<Option<Bar>>,
    keep: usize,
    /// Bars since the beginning.
    pub seen: u64,
    /// One bit for each minute of the bar under way in which there was a trade.
    minutes: u32,
    /// The feed of trades broke within the bar under way.
    broken: bool,
    /// It broke and no trade came since.
    breaks: bool,
}

impl History {
    /// A history of that many bars.
    pub(super) fn new(keep: usize) -> Self {
        Self {
            slots: VecDeque::with_capacity(keep),
            keep,
            seen: 0,
            minutes: 0,
            broken: false,
            breaks: false,
        }
    }

    /// A history of these bars, for tests of what looks at one.
    #[cfg(test)]
    pub(super) fn of(bars: impl Iterator<Item = Bar>) -> Self {
        let mut history = Self::new(64);
        bars.for_each(|bar| history.push(Some(bar)));
        history
    }

    /// Sees a trade that is not late.
    #[inline]
    pub(super) fn trade(&mut self, now: Nanos, interval_ns: u64) {
        let minute = now.0 % interval_ns / MINUTE_NS;
        self.minutes |= 1u32.wrapping_shl(minute as u32);
        self.breaks = false;
    }

    /// Sees a late trade: a closed bar that misses a price beyond its range is to be doubted. Bars never change otherwise.
    #[cold]
    pub(super) fn late_trade(&mut self, venue_time: Nanos, price: Price, interval_ns: u64) {
        let starts_at = Nanos(venue_time.0 - venue_time.0 % interval_ns);
        let bars = self.slots.iter_mut().rev().flatten();
        if let Some(bar) = bars.into_iter().find(|bar| bar.starts_at == starts_at)
            && (price.0 > bar.high || price.0 < bar.low)
        {
            bar.late = bar.late.saturating_add(1);
        }
    }

    /// Sees that the feed of trades broke.
    pub(super) const fn feed_broke(&mut self) {
        self.broken = true;
        self.breaks = true;
    }

    /// Takes a closed bar in. Bars outside regular trading are not kept.
    pub(super) fn take(&mut self, now: Nanos, closed: &BarClosed, calendar: &Calendar) {
        let interval_ns = closed.interval_ns;
        let starts_at = Nanos(now.0.saturating_sub(interval_ns));
        let minutes = (interval_ns / MINUTE_NS) as u32;
        let minutes_missing = minutes.saturating_sub(self.minutes.count_ones());
        let broken = core::mem::replace(&mut self.broken, self.breaks);
        self.minutes = 0;
        if calendar.open_at(starts_at).is_none() {
            return;
        }
        if let Some(last) = self.last() {
            let missing = calendar.bars_between(last.starts_at, starts_at, interval_ns);
            for _ in 0..missing.min(self.keep as u64) {
                self.push(None);
            }
        }
        self.seen += 1;
        self.push(Some(Bar {
            starts_at,
            open: closed.open.0,
            high: closed.high.0,
            low: closed.low.0,
            close: closed.close.0,
            minutes_missing,
            late: 0,
            broken,
        }));
    }

    fn push(&mut self, slot: Option<Bar>) {
        if self.slots.len() == self.keep {
            self.slots.pop_front();
        }
        self.slots.push_back(slot);
    }

    /// The bar that closed last.
    pub(super) fn last(&self) -> Option<&Bar> {
        self.back(0)
    }

    /// The bar that many intervals before the last one, if there is one.
    pub(super) fn back(&self, intervals: usize) -> Option<&Bar> {
        let place = self.slots.len().checked_sub(intervals + 1)?;
        self.slots.get(place)?.as_ref()
    }

    fn look_back(&self, bars: usize) -> impl Iterator<Item = &Option<Bar>> {
        self.slots.iter().rev().take(bars)
    }

    /// Bars missing among the last `bars` intervals.
    pub(super) fn missing(&self, bars: usize) -> usize {
        self.look_back(bars).filter(|slot| slot.is_none()).count()
    }

    /// Minutes without a trade in the bars among the last `bars` intervals.
    pub(super) fn minutes_missing(&self, bars: usize) -> u32 {
        let minutes = |bar: &Bar| bar.minutes_missing;
        self.look_back(bars).flatten().map(minutes).sum()
    }

    /// Bars among the last `bars` intervals in which the feed was broken.
    pub(super) fn broken(&self, bars: usize) -> usize {
        let broken = self.look_back(bars).flatten().filter(|bar| bar.broken);
        broken.count()
    }

    /// The sum of the `n` true ranges that end that many intervals before the last bar; `None` where a bar is missing.
    pub(super) fn true_ranges(&self, n: usize, intervals: usize) -> Option<i128> {
        let mut sum = 0i128;
        for place in intervals..intervals + n {
            let before = self.back(place + 1)?.close;
            sum += self.back(place)?.true_range(before);
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TradingDay;
    use crate::id::{InstrumentId, Sequence};
    use crate::number::Qty;
    use crate::time::DAY_NS;

    const FIVE: u64 = 5 * MINUTE_NS;

    fn calendar() -> Calendar {
        let mut calendar = Calendar::default();
        let fact = TradingDay {
            calendar: "XNYS".into(),
            day: 20_000,
            utc_offset_s: 0,
            opens_at: Nanos(20_000 * DAY_NS),
            closes_at: Nanos(20_001 * DAY_NS),
        };
        calendar.take(&fact, Nanos(0));
        calendar
    }

    fn closed(high: i64, low: i64, close: i64) -> BarClosed {
        BarClosed {
            cause: Sequence(0),
            instrument: InstrumentId(0),
            interval_ns: FIVE,
            open: Price(low),
            high: Price(high),
            low: Price(low),
            close: Price(close),
            volume: Qty(1),
        }
    }

    /// By hand: bars (12, 10, 11), (13, 12, 12) and (11, 9, 10): true ranges 13 - 11 = 2 and 12 - 9 = 3.
    #[test]
    fn true_ranges_reach_to_the_close_before() {
        let (mut history, calendar) = (History::new(8), calendar());
        let open = 20_000 * DAY_NS;
        for (place, (high, low, close)) in
            [(12, 10, 11), (13, 12, 12), (11, 9, 10)].iter().enumerate()
        {
            let now = Nanos(open + (place as u64 + 1) * FIVE);
            history.take(now, &closed(*high, *low, *close), &calendar);
        }
        assert_eq!(history.true_ranges(2, 0), Some(5));
        assert_eq!(history.true_ranges(1, 1), Some(2));
        assert_eq!(
            history.true_ranges(3, 0),
            None,
            "the first bar has no close before it"
        );
    }

    #[test]
    fn missing_bars_and_minutes_are_counted() {
        let (mut history, calendar) = (History::new(8), calendar());
        let open = 20_000 * DAY_NS;
        for minute in [0, 1, 3, 4] {
            history.trade(Nanos(open + minute * MINUTE_NS), FIVE);
        }
        history.take(Nanos(open + FIVE), &closed(12, 10, 11), &calendar);
        for minute in 15..20 {
            history.trade(Nanos(open + minute * MINUTE_NS), FIVE);
        }
        history.take(Nanos(open + 4 * FIVE), &closed(12, 10, 11), &calendar);
        assert_eq!((history.missing(50), history.minutes_missing(50)), (2, 1));
        assert_eq!(history.seen, 2);
        assert!(history.back(1).is_none() && history.back(3).is_some());
    }

    #[test]
    fn a_late_trade_marks_the_bar_that_misses_it_and_changes_nothing_else() {
        let (mut history, calendar) = (History::new(8), calendar());
        let open = 20_000 * DAY_NS;
        history.take(Nanos(open + FIVE), &closed(12, 10, 11), &calendar);
        let before = *history.last().unwrap();
        history.late_trade(Nanos(open + 7), Price(11), FIVE);
        assert_eq!(
            *history.last().unwrap(),
            before,
            "within the range: nothing is missed"
        );
        history.late_trade(Nanos(open + 7), Price(13), FIVE);
        assert_eq!(*history.last().unwrap(), Bar { late: 1, ..before });
        history.late_trade(Nanos(open - 7), Price(13), FIVE);
        assert_eq!(history.last().unwrap().late, 1);
    }
}
