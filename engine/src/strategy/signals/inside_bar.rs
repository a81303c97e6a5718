//! The inside bar: a bar within the one before it, and the levels that follow (requirements, five systems, 5.3).
//!
//! Everything is integers: an average of n true ranges is compared as their sum, and a limit that is shown is rounded to
//! nine more decimals than prices have, up for a lower limit and down for an upper one, which decides like the exact fraction.
use super::history::{Bar, History};
use super::versions::{InsideMode, Ratio, Version};
use crate::number::Price;
use crate::order::Side;
use crate::strategy::Figure;

/// Further decimals of a limit.
const FINER: u32 = 9;
const FINER_UNIT: i128 = 1_000_000_000;

/// One question to a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// The gate's name.
    pub gate: &'static str,
    /// What it sees.
    pub value: Figure,
    /// Whether the limit is the least or the most.
    pub at_least: bool,
    /// What it allows.
    pub limit: Figure,
}

impl Check {
    /// A gate that passes when `value` is `limit` or more.
    pub(super) fn at_least(
        gate: &'static str,
        value: impl Into<Figure>,
        limit: impl Into<Figure>,
    ) -> Self {
        let (value, limit) = (value.into(), limit.into());
        Self {
            gate,
            value,
            at_least: true,
            limit,
        }
    }

    /// A gate that passes when `value` is `limit` or less.
    pub(super) fn at_most(
        gate: &'static str,
        value: impl Into<Figure>,
        limit: impl Into<Figure>,
    ) -> Self {
        let (value, limit) = (value.into(), limit.into());
        Self {
            gate,
            value,
            at_least: false,
            limit,
        }
    }

    /// Whether it lets pass.
    pub(super) fn passes(&self) -> bool {
        if self.at_least {
            self.value >= self.limit
        } else {
            self.value <= self.limit
        }
    }
}

/// `ratio x amount / n` in units finer than prices, rounded up; for amounts of prices, which are far from overflow.
fn share_up(ratio: Ratio, amount: i128, n: i128) -> i128 {
    -(-ratio.numerator * amount * FINER_UNIT).div_euclid(ratio.denominator * n)
}

/// The same rounded down.
fn share_down(ratio: Ratio, amount: i128, n: i128) -> i128 {
    (ratio.numerator * amount * FINER_UNIT).div_euclid(ratio.denominator * n)
}

/// The pattern's own gates, mother bar and inside bar being the last two; `decimals` are those of prices.
pub(super) fn checks(
    version: &Version,
    history: &History,
    mother: &Bar,
    inside: &Bar,
    decimals: u32,
) -> Vec<Check> {
    let price = |mantissa: i64| Figure::new(mantissa.into(), decimals);
    let size = |mantissa: i128| Figure::new(mantissa, decimals);
    let fine = |mantissa: i128| Figure::new(mantissa, decimals + FINER);
    let (upper, lower, top, bottom) = match version.mode {
        InsideMode::CloseInRange => (inside.high, inside.close, mother.high, mother.low),
        InsideMode::RangeInBody => (
            inside.high,
            inside.low,
            mother.body_high(),
            mother.body_low(),
        ),
        InsideMode::BodyInBody => {
            let (high, low) = (inside.body_high(), inside.body_low());
            (high, low, mother.body_high(), mother.body_low())
        }
        InsideMode::RangeInRange => (inside.high, inside.low, mother.high, mother.low),
    };
    let touch = i64::from(version.strict);
    let mut checks = vec![
        Check::at_most(
            "inside_high",
            price(upper),
            price(top.saturating_sub(touch)),
        ),
        Check::at_least(
            "inside_low",
            price(lower),
            price(bottom.saturating_add(touch)),
        ),
    ];
    let n = version.atr_bars as i128;
    // The average that ends with the mother bar, so that the inside bar does not judge its own mother.
    let Some(sum) = history.true_ranges(version.atr_bars, 1) else {
        checks.push(Check::at_least("atr_bars", 0, version.atr_bars));
        return checks;
    };
    let farthest = (i128::from(mother.high) - i128::from(inside.close))
        .abs()
        .max((i128::from(inside.close) - i128::from(mother.low)).abs());
    let body_of = |gate, bar: &Bar, least: Ratio| {
        // Without a range there is no fraction: such a bar fails, whatever the least one is.
        let least = share_up(least, bar.range(), 1).max(1);
        Check::at_least(gate, size(bar.body()), fine(least))
    };
    checks.extend([
        Check::at_least(
            "mother_range",
            size(mother.range()),
            fine(share_up(version.mother_min_atr, sum, n)),
        ),
        body_of("mother_body", mother, version.mother_min_body),
        body_of("inside_body", inside, version.inside_min_body),
        Check::at_most(
            "deviation",
            size(farthest),
            fine(share_down(version.max_deviation_atr, sum, n)),
        ),
    ]);
    checks
}

/// Where an entry, its stop-loss and its target stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Levels {
    /// The trigger.
    pub entry: Price,
    /// The stop-loss, at most the risk cap away.
    pub stop_loss: Price,
    /// The target, a multiple of the capped risk away.
    pub target: Price,
}

/// The levels of one side: entry at the mother's extreme, stop-loss at her other one or at the cap, target at `reward`
/// times that risk. Levels off the tick go outwards for entries, and towards the entry for stop-loss and target.
/// `None` where the levels do not fit or leave no risk.
pub(super) fn levels(
    version: &Version,
    side: Side,
    mother_high: i64,
    mother_low: i64,
    tick: i64,
) -> Option<Levels> {
    if tick <= 0 || mother_low > mother_high {
        return None;
    }
    let up = |price: i64| Some(price.checked_add(tick - 1)?.div_euclid(tick) * tick);
    let down = |price: i64| price.div_euclid(tick) * tick;
    let (high, low) = (up(mother_high)?, down(mother_low));
    let (entry, far) = match side {
        Side::Buy => (high, low),
        Side::Sell => (low, high),
    };
    let cap = version.risk_cap_ticks.checked_mul(tick)?;
    let risk = entry.abs_diff(far).min(cap.unsigned_abs());
    let risk = i64::try_from(risk).ok().filter(|risk| *risk > 0)?;
    let reward = i128::from(risk) * version.reward.numerator
        / (version.reward.denominator * i128::from(tick))
        * i128::from(tick);
    let reward = i64::try_from(reward).ok()?.max(tick);
    let sign = side.sign();
    let stop_loss = entry.checked_sub(sign * risk)?;
    let target = entry.checked_add(sign.checked_mul(reward)?)?;
    (stop_loss > 0 && target > 0).then_some(Levels {
        entry: Price(entry),
        stop_loss: Price(stop_loss),
        target: Price(target),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Nanos;
    use proptest::prelude::*;

    fn v(name: &str) -> &'static Version {
        Version::named(name).unwrap()
    }

    fn bar(open: i64, high: i64, low: i64, close: i64) -> Bar {
        Bar {
            starts_at: Nanos(0),
            open,
            high,
            low,
            close,
            minutes_missing: 0,
            late: 0,
            broken: false,
        }
    }

    /// Golden, requirements, five systems, 5.3: mother 10.50/10.00, tick .01, risk .50 capped to .40.
    #[test]
    fn golden_levels() {
        let buy = levels(v("1.0.1"), Side::Buy, 1050, 1000, 1).unwrap();
        assert_eq!(
            buy,
            Levels {
                entry: Price(1050),
                stop_loss: Price(1010),
                target: Price(1130)
            }
        );
        let sell = levels(v("1.0.1"), Side::Sell, 1050, 1000, 1).unwrap();
        assert_eq!(
            sell,
            Levels {
                entry: Price(1000),
                stop_loss: Price(1040),
                target: Price(920)
            }
        );
    }

    /// The cap of 1.0.2 is 90 ticks, so the whole range of .50 is at risk, and 1.5 times that is .75.
    #[test]
    fn another_version_has_other_levels() {
        let buy = levels(v("1.0.2"), Side::Buy, 1050, 1000, 1).unwrap();
        assert_eq!(
            buy,
            Levels {
                entry: Price(1050),
                stop_loss: Price(1000),
                target: Price(1125)
            }
        );
    }

    fn failing(version: &Version, mother: Bar, inside: Bar, before: &[Bar]) -> Vec<&'static str> {
        let history = History::of(before.iter().copied().chain([mother, inside]));
        let checks = checks(version, &history, &mother, &inside, 2);
        checks
            .iter()
            .filter(|check| !check.passes())
            .map(|check| check.gate)
            .collect()
    }

    /// Eight bars of range 20 that open and close in their middle, so that every true range is 20.
    fn calm() -> Vec<Bar> {
        vec![bar(1030, 1040, 1020, 1030); 8]
    }

    /// By hand: true ranges are seven times 20 and the mother's 50: ATR 190 / 8 = 23.75. Mother range 50 >= 11.875,
    /// body 30 >= .55 x 50 = 27.5; inside body 10 >= .40 x 20 = 8; deviation max(50 - 35, 35) = 35 <= 71.25.
    #[test]
    fn a_pattern_that_passes_and_what_stops_others() {
        let (mother, inside) = (bar(1010, 1050, 1000, 1040), bar(1025, 1040, 1020, 1035));
        assert!(failing(v("1.0.1"), mother, inside, &calm()).is_empty());
        let higher = Bar {
            high: 1051,
            open: 1020,
            ..inside
        };
        assert_eq!(
            failing(v("1.0.1"), mother, higher, &calm()),
            ["inside_high"]
        );
        let below = bar(1010, 1040, 990, 999);
        assert!(failing(v("1.0.1"), mother, below, &calm()).contains(&"inside_low"));
        let low_outside = bar(1030, 1040, 995, 1005);
        assert!(
            failing(v("1.0.1"), mother, low_outside, &calm()).is_empty(),
            "the close counts, not the low"
        );
        assert_eq!(
            failing(v("1.0.1"), bar(1010, 1050, 1000, 1037), inside, &calm()),
            ["mother_body"]
        );
        assert!(
            failing(v("1.0.1"), bar(1010, 1050, 1000, 1038), inside, &calm()).is_empty(),
            "28 >= 27.5"
        );
        assert_eq!(
            failing(
                v("1.0.1"),
                mother,
                Bar {
                    open: 1028,
                    ..inside
                },
                &calm()
            ),
            ["inside_body"]
        );
        assert_eq!(
            failing(v("1.0.1"), mother, bar(1030, 1030, 1030, 1030), &calm()),
            ["inside_body"]
        );
        let short = &calm()[..7];
        assert_eq!(failing(v("1.0.1"), mother, inside, short), ["atr_bars"]);
    }

    /// By hand: 14 true ranges of 100 and the mother's 50: ATR(15) 1450 / 15 = 96.67; half of it is 48.33 <= 50. With
    /// 104 instead: 1506 / 15 / 2 = 50.2 > 50.
    #[test]
    fn an_average_that_is_no_decimal_is_compared_exactly() {
        let (mother, inside) = (bar(1010, 1050, 1000, 1040), bar(1025, 1040, 1020, 1035));
        let before = |range: i64| vec![bar(1040, 1040 + range / 2, 1040 - range / 2, 1040); 15];
        assert!(failing(v("1.0.0"), mother, inside, &before(100)).is_empty());
        assert_eq!(
            failing(v("1.0.0"), mother, inside, &before(104)),
            ["mother_range"]
        );
    }

    #[test]
    fn every_mode_bounds_what_it_says() {
        let mother = bar(1010, 1050, 1000, 1040);
        let cases = [
            // Range, or body, beyond body or range.
            (bar(1025, 1041, 1020, 1035), InsideMode::RangeInBody, false),
            (bar(1025, 1040, 1020, 1035), InsideMode::RangeInBody, true),
            (bar(1025, 1049, 1001, 1040), InsideMode::BodyInBody, true),
            (bar(1025, 1049, 1001, 1041), InsideMode::BodyInBody, false),
            (bar(1025, 1050, 1000, 1035), InsideMode::RangeInRange, true),
            (bar(1025, 1050, 999, 1035), InsideMode::RangeInRange, false),
            (bar(1025, 1050, 999, 1000), InsideMode::CloseInRange, true),
        ];
        for (inside, mode, is_inside) in cases {
            let version = Version {
                mode,
                ..*v("1.0.1")
            };
            let stopped = failing(&version, mother, inside, &calm());
            let outside = stopped
                .iter()
                .any(|gate| gate.starts_with("inside_h") || *gate == "inside_low");
            assert_eq!(outside, !is_inside, "{inside:?} {mode:?}");
        }
        let strict = Version {
            strict: true,
            ..*v("1.0.1")
        };
        assert_eq!(
            failing(&strict, mother, bar(1035, 1050, 1020, 1020), &calm()),
            ["inside_high"]
        );
    }

    proptest! {
        #[test]
        fn stop_and_target_are_on_their_sides_on_the_tick_and_the_risk_within_the_cap(
            low in 1_000i64..1_000_000, range in 0i64..100_000, tick in 1i64..50,
            buy in any::<bool>(), name in prop::sample::select(vec!["1.0.0", "1.0.1", "1.0.2", "2.0.0"]),
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            if let Some(l) = levels(v(name), side, low + range, low, tick) {
                let s = side.sign();
                prop_assert!((l.entry.0 - l.stop_loss.0) * s > 0 && (l.target.0 - l.entry.0) * s > 0);
                prop_assert!((l.entry.0 - l.stop_loss.0) * s <= v(name).risk_cap_ticks * tick);
                prop_assert!([l.entry, l.stop_loss, l.target].iter().all(|p| p.0 % tick == 0 && p.0 > 0));
                let outwards = if buy { l.entry.0 - (low + range) } else { low - l.entry.0 };
                prop_assert!(outwards >= 0);
            }
        }

        /// The rounded limit decides like the products: value / 1 against numerator x sum / (denominator x n).
        #[test]
        fn a_shown_limit_decides_like_the_exact_fraction(
            value in 0i128..1_000_000, sum in 0i128..10_000_000, n in 1i128..60, numerator in 1i128..500,
        ) {
            let ratio = Ratio { numerator, denominator: 100 };
            let figure = Figure::new(value, 2);
            let exact = value * 100 * n;
            prop_assert_eq!(figure >= Figure::new(share_up(ratio, sum, n), 2 + FINER), exact >= numerator * sum);
            prop_assert_eq!(figure <= Figure::new(share_down(ratio, sum, n), 2 + FINER), exact <= numerator * sum);
        }
    }
}
