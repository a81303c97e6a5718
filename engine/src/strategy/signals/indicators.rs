//! Indicators on daily bars: integers in 1e-9 of a price unit or of a point, each division rounded to the nearest, half up.
//! What the steps round adds up to less than 1e-7 of a point.
//!
//! - *Wilder's average* of n values (J. W. Wilder, New Concepts in Technical Trading Systems, 1978): the mean of the first n,
//!   then `(average x (n - 1) + value) / n`. ATR(n) is that of true ranges, from the second day on.
//! - *ADX(n)* (the same): directional movement is the larger of high minus high before and low before minus low, if it is
//!   positive, for its side; both sides are averaged, `DX = 100 x |up - down| / (up + down)` (0 where there is no movement:
//!   the true range that both are divided by cancels out), and ADX is Wilder's average of n DX.
//! - *RSI(n)* (the same): `100 x gain / (gain + loss)` of Wilder's averages of gains and losses; 50 where nothing moved.
//! - *ConnorsRSI(r, p, s)* (Connors Research, An Introduction to ConnorsRSI, 2012; the order of the numbers is RealTest's):
//!   the mean of RSI(p) of closes, RSI(s) of the streak (days of rising closes in a row, negative for falling ones, 0 for
//!   an equal one) and the percentage of the r one-day returns before today's that are below today's.
use crate::event::DailyBar;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Decimals beyond those of what is averaged.
pub(super) const SCALE: u32 = 9;
const UNIT: i128 = 1_000_000_000;

/// Closes kept: 200 for the mean, which is more than the returns need.
const CLOSES: usize = 200;
/// Returns that today's is ranked among.
const RANKED: usize = 100;
/// Days of the mean volume.
const VOLUMES: usize = 50;

/// `n / d` to the nearest, half up; for `n` not negative and `d` positive.
const fn rounded(n: i128, d: i128) -> i128 {
    (2 * n + d) / (2 * d)
}

/// Wilder's average of values that are not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wilder {
    n: i128,
    seen: i128,
    /// The sum of the first n, then the average, in 1e-9.
    value: i128,
}

impl Wilder {
    const fn new(n: i128) -> Self {
        Self {
            n,
            seen: 0,
            value: 0,
        }
    }

    /// Takes a value in 1e-9.
    fn add(&mut self, value: i128) {
        self.seen += 1;
        if self.seen < self.n {
            self.value += value;
        } else if self.seen == self.n {
            self.value = rounded(self.value + value, self.n);
        } else {
            self.value = rounded(self.value * (self.n - 1) + value, self.n);
        }
    }

    /// The average, once there were n values.
    fn get(&self) -> Option<i128> {
        (self.seen >= self.n).then_some(self.value)
    }
}

/// `100 x part / (part + rest)` in 1e-9; `empty` where both are zero.
fn percent(part: i128, rest: i128, empty: i128) -> i128 {
    if part + rest == 0 {
        empty * UNIT
    } else {
        rounded(100 * UNIT * part, part + rest)
    }
}

/// RSI of a series of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rsi {
    gains: Wilder,
    losses: Wilder,
}

impl Rsi {
    const fn new(n: i128) -> Self {
        Self {
            gains: Wilder::new(n),
            losses: Wilder::new(n),
        }
    }

    fn add(&mut self, change: i128) {
        self.gains.add(change.max(0) * UNIT);
        self.losses.add((-change).max(0) * UNIT);
    }

    fn get(&self) -> Option<i128> {
        Some(percent(self.gains.get()?, self.losses.get()?, 50))
    }
}

/// What is known of one symbol's days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Daily {
    /// The last day's open, high, low and date.
    last: Option<(i64, i64, i64, i32)>,
    /// Closes, oldest first.
    closes: VecDeque<i64>,
    /// Dates, as many.
    days: VecDeque<i32>,
    volumes: VecDeque<i64>,
    atr2: Wilder,
    atr10: Wilder,
    atr40: Wilder,
    up: Wilder,
    down: Wilder,
    adx: Wilder,
    rsi: Rsi,
    streak: i64,
    streak_rsi: Rsi,
}

/// What one day shows. Averages and points are in 1e-9 of their unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The date.
    pub day: i32,
    pub open: i64,
    pub close: i64,
    /// Sum of the last 200 closes.
    pub sum200: i128,
    /// Sum of the last 50 volumes.
    pub volume50: i128,
    pub atr2: i128,
    pub atr10: i128,
    pub atr40: i128,
    pub adx: i128,
    /// ConnorsRSI times 3, so that nothing is lost.
    pub crsi_times_3: i128,
    /// The close five days before.
    pub close5: i64,
    /// The longest step between two dates of the last 200 days.
    pub widest_gap: i32,
}

impl Daily {
    pub(super) fn new() -> Self {
        Self {
            last: None,
            closes: VecDeque::with_capacity(CLOSES),
            days: VecDeque::with_capacity(CLOSES),
            volumes: VecDeque::with_capacity(VOLUMES),
            atr2: Wilder::new(2),
            atr10: Wilder::new(10),
            atr40: Wilder::new(40),
            up: Wilder::new(5),
            down: Wilder::new(5),
            adx: Wilder::new(5),
            rsi: Rsi::new(2),
            streak: 0,
            streak_rsi: Rsi::new(2),
        }
    }

    /// Takes a day in. One that is not later than the last, or that can't be, changes nothing: what was decided on stands.
    pub(super) fn take(&mut self, bar: &DailyBar) {
        let (open, high, low, close) = (bar.open.0, bar.high.0, bar.low.0, bar.close.0);
        let is_bar =
            low > 0 && low <= open.min(close) && open.max(close) <= high && bar.volume.0 >= 0;
        let is_next = self.last.is_none_or(|(_, _, _, day)| day < bar.day);
        if !is_bar || !is_next {
            return;
        }
        if let (Some((_, high_before, low_before, _)), Some(before)) =
            (self.last, self.closes.back())
        {
            let wide = |price: i64| i128::from(price);
            let before = wide(*before);
            let range = (wide(high) - wide(low))
                .max((wide(high) - before).abs())
                .max((wide(low) - before).abs());
            for atr in [&mut self.atr2, &mut self.atr10, &mut self.atr40] {
                atr.add(range * UNIT);
            }
            let (up, down) = (wide(high) - wide(high_before), wide(low_before) - wide(low));
            self.up.add(if up > down { up.max(0) * UNIT } else { 0 });
            self.down
                .add(if down > up { down.max(0) * UNIT } else { 0 });
            if let (Some(up), Some(down)) = (self.up.get(), self.down.get()) {
                let (more, less) = (up.max(down), up.min(down));
                let sum = more + less;
                self.adx.add(if sum == 0 {
                    0
                } else {
                    rounded(100 * UNIT * (more - less), sum)
                });
            }
            let change = wide(close) - before;
            self.rsi.add(change);
            let streak = match change.signum() {
                1 => self.streak.max(0) + 1,
                -1 => self.streak.min(0) - 1,
                _ => 0,
            };
            self.streak_rsi
                .add(i128::from(streak) - i128::from(self.streak));
            self.streak = streak;
        }
        push(&mut self.closes, CLOSES, close);
        push(&mut self.days, CLOSES, bar.day);
        push(&mut self.volumes, VOLUMES, bar.volume.0);
        self.last = Some((open, high, low, bar.day));
    }

    /// How many days there are, 200 at the most.
    pub(super) fn len(&self) -> usize {
        self.closes.len()
    }

    /// What the last day shows, once there are 200.
    pub(super) fn shown(&self) -> Option<Shown> {
        if self.closes.len() < CLOSES {
            return None;
        }
        let (open, _, _, day) = self.last?;
        let gaps = self.days.iter().zip(self.days.iter().skip(1));
        Some(Shown {
            day,
            open,
            close: *self.closes.back()?,
            sum200: self.closes.iter().map(|close| i128::from(*close)).sum(),
            volume50: self.volumes.iter().map(|volume| i128::from(*volume)).sum(),
            atr2: self.atr2.get()?,
            atr10: self.atr10.get()?,
            atr40: self.atr40.get()?,
            adx: self.adx.get()?,
            crsi_times_3: self.rsi.get()? + self.streak_rsi.get()? + self.percent_rank(RANKED)?,
            close5: *self.closes.get(CLOSES - 6)?,
            widest_gap: gaps.map(|(a, b)| b.saturating_sub(*a)).max()?,
        })
    }

    /// The percentage of the `ranked` returns before the last that are below it; returns are compared as fractions.
    fn percent_rank(&self, ranked: usize) -> Option<i128> {
        let from = self.closes.len().checked_sub(ranked + 2)?;
        let mut returns = self
            .closes
            .range(from..)
            .zip(self.closes.range(from + 1..))
            .map(|(before, close)| (i128::from(*close), i128::from(*before)));
        let last = returns.next_back()?;
        let below = returns.filter(|(close, before)| close * last.1 < last.0 * before);
        Some(rounded(100 * UNIT * below.count() as i128, ranked as i128))
    }
}

fn push<T>(queue: &mut VecDeque<T>, keep: usize, value: T) {
    if queue.len() == keep {
        queue.pop_front();
    }
    queue.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstrumentId;
    use crate::number::{Price, Qty};

    fn bar(day: i32, [open, high, low, close]: [i64; 4], volume: i64) -> DailyBar {
        DailyBar {
            instrument: InstrumentId(0),
            day,
            open: Price(open),
            high: Price(high),
            low: Price(low),
            close: Price(close),
            volume: Qty(volume),
        }
    }

    /// By hand, n = 3: 3, 6, 3 have the mean 4; then (4 x 2 + 10) / 3 = 6; then (6 x 2 + 5) / 3 = 5.666666667.
    #[test]
    fn wilders_average_by_hand() {
        let mut average = Wilder::new(3);
        let mut seen = Vec::new();
        for value in [3, 6, 3, 10, 5] {
            average.add(value * UNIT);
            seen.push(average.get());
        }
        assert_eq!(
            seen,
            [
                None,
                None,
                Some(4_000_000_000),
                Some(6_000_000_000),
                Some(5_666_666_667)
            ]
        );
    }

    /// By hand, RSI(2) of changes 2, -1, 3: gains (2 + 0) / 2 = 1, losses (0 + 1) / 2 = .5: 66.67; then gains
    /// (1 + 3) / 2 = 2, losses .25: 200 / 2.25 = 88.888888889. Nothing moves: 50.
    #[test]
    fn rsi_by_hand() {
        let mut rsi = Rsi::new(2);
        rsi.add(2);
        assert_eq!(rsi.get(), None);
        rsi.add(-1);
        assert_eq!(rsi.get(), Some(66_666_666_667));
        rsi.add(3);
        assert_eq!(rsi.get(), Some(88_888_888_889));
        let mut still = Rsi::new(2);
        still.add(0);
        still.add(0);
        assert_eq!(still.get(), Some(50 * UNIT));
    }

    /// By hand: before the last return of 4.71 % came 10 %, 0 %, -10 % and 5.05 %; two of four are below it.
    #[test]
    fn the_percent_rank_counts_returns_below_the_last() {
        let mut daily = Daily::new();
        for (day, close) in [1000, 1100, 1100, 990, 1040, 1089].into_iter().enumerate() {
            daily.take(&bar(day as i32, [close, close, close, close], 1));
        }
        assert_eq!(daily.percent_rank(4), Some(50 * UNIT));
        assert_eq!(daily.percent_rank(5), None);
        assert_eq!(daily.streak, 2);
    }

    /// A steady climb of 10 a day: every movement is up, so ADX is 100, the RSIs of closes 100, that of the streak, which
    /// grows by one a day, 100.
    #[test]
    fn a_steady_climb() {
        let mut daily = Daily::new();
        for day in 0..250 {
            let low = 10_000 + i64::from(day) * 10;
            daily.take(&bar(day, [low, low + 20, low, low + 15], 7));
        }
        let shown = daily.shown().unwrap();
        assert_eq!((shown.adx, shown.volume50), (100 * UNIT, 350));
        // True range: high minus low is 20, and high minus the close before 15.
        assert_eq!([shown.atr2, shown.atr10, shown.atr40], [20 * UNIT; 3]);
        // Returns shrink while the price climbs, so today's is below all before it.
        assert_eq!(shown.crsi_times_3, 200 * UNIT);
        assert_eq!(shown.close5, shown.close - 50);
    }

    #[test]
    fn days_out_of_order_and_bars_that_can_not_be_change_nothing() {
        let mut daily = Daily::new();
        daily.take(&bar(5, [10, 12, 9, 11], 1));
        let before = daily.clone();
        daily.take(&bar(5, [10, 13, 9, 11], 1));
        daily.take(&bar(4, [10, 12, 9, 11], 1));
        daily.take(&bar(6, [10, 9, 9, 11], 1));
        daily.take(&bar(6, [0, 12, 0, 11], 1));
        assert_eq!(daily, before);
    }

    /// Against an independent computation with fractions (Python's `fractions`, the definitions above, rounded only at the
    /// end) on a pseudo-random walk of 260 days: the same to 1e-7.
    #[test]
    fn an_independent_computation_agrees() {
        let mut daily = Daily::new();
        let (mut seed, mut close) = (12_345u64, 10_000i64);
        let mut draw = |below: u64| {
            seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
            (seed >> 8) % below
        };
        for day in 0..260 {
            let open = close + draw(201) as i64 - 100;
            let next = open + draw(401) as i64 - 200;
            let high = open.max(next) + draw(100) as i64;
            let low = open.min(next) - draw(100) as i64;
            daily.take(&bar(day, [open, high, low, next], 1_000 + draw(500) as i64));
            close = next;
        }
        let shown = daily.shown().unwrap();
        let near = |a: i128, b: i128| (a - b).abs() <= 100;
        assert_eq!((shown.close, shown.sum200, shown.volume50), PYTHON_EXACT);
        for (ours, theirs) in [
            shown.atr2,
            shown.atr10,
            shown.atr40,
            shown.adx,
            shown.crsi_times_3,
        ]
        .into_iter()
        .zip(PYTHON)
        {
            assert!(near(ours, theirs), "{ours} {theirs}");
        }
    }

    const PYTHON_EXACT: (i64, i128, i128) = (12_767, 2_243_969, 64_713);
    const PYTHON: [i128; 5] = [
        158_692_682_797,
        200_493_084_223,
        208_856_409_581,
        55_648_070_620,
        276_116_875_186,
    ];
}
