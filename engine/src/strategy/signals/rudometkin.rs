//! Rudometkin's market-on-close: after a day that overdid it, a limit order against it for the next day only, out at that
//! day's close (requirements, five systems, 5.3).
//!
//! - Universe: close at least `min_price`, mean volume of 50 days at least `min_volume`.
//! - Long: close above its mean of 200 days, ADX(5) above `min_adx`, close more than `min_drop_pct` below the open.
//! - Short: ADX(5) above `min_adx`, ConnorsRSI(100,2,2) above `min_crsi`, ATR(40) and ATR(2) from `min_atr_pct` to their
//!   largest percentages of the close.
//! - Rank: longs by ATR(10) / close, shorts by the change over five days; the highest `max_per_side` of each are taken.
//!
//! The decision falls once a day, a moment after the opening, on the bars of the trading day before. Who has no such bar
//! does not trade.
use super::account;
use super::calendar::Day;
use super::indicators::{SCALE, Shown};
use super::inside_bar::Check;
use super::sizing::least;
use super::{State, Symbol, ask};
use crate::event::SignalRaised;
use crate::id::{Sequence, StrategyId};
use crate::number::{Money, Price, pow10};
use crate::order::Side;
use crate::strategy::{Figure, View, Wishes};
use rust_decimal::Decimal;
use std::cmp::Ordering;

/// The detector's name on signals.
const NAME: &str = "rudometkin_moc 1.0.0";
/// The longest step between two trading days: a long weekend with a holiday at either end.
const WIDEST_GAP_DAYS: i32 = 5;
/// Days that the longest indicator needs.
const WARM_UP_DAYS: usize = 200;
/// Sides in the order of their candidates.
const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// A symbol that passed one side's conditions.
struct Setup<'a> {
    symbol: &'a Symbol,
    shown: Shown,
}

/// `percent x price / 100` with the scale of its mantissa.
fn percent_of(percent: Decimal, price: i64, decimals: u32) -> Option<(i128, u32)> {
    let mantissa = percent.mantissa().checked_mul(price.into())?;
    Some((mantissa, percent.scale() + 2 + decimals))
}

impl State {
    /// Decides on all symbols at once, `day` being the day under way.
    pub(super) fn consider_day(&self, day: &Day, view: &View<'_>, wishes: &mut Wishes) {
        let mut gross_used = Money::ZERO;
        for (number, side) in SIDES.into_iter().enumerate() {
            let asked: Vec<_> = self
                .symbols
                .iter()
                .map(|symbol| (symbol, self.day_checks(symbol, side, day)))
                .collect();
            let mut setups: Vec<_> = asked
                .iter()
                .filter(|(_, checks)| checks.iter().all(Check::passes))
                .filter_map(|(symbol, _)| {
                    let shown = symbol.daily.shown()?;
                    Some(Setup { symbol, shown })
                })
                .collect();
            // Ties stay in the order of the parameters.
            setups.sort_by(|a, b| {
                ranked(side, &b.shown, &a.shown).then(a.symbol.place.cmp(&b.symbol.place))
            });
            for (symbol, checks) in &asked {
                let rank = setups.iter().position(|setup| setup.symbol.id == symbol.id);
                let rank = rank.map_or(0, |rank| rank + 1);
                self.consider_setup(
                    (symbol, side, number as u32),
                    checks,
                    rank,
                    &mut gross_used,
                    view,
                    wishes,
                );
            }
        }
    }

    fn consider_setup(
        &self,
        (symbol, side, number): (&Symbol, Side, u32),
        checks: &[Check],
        rank: usize,
        gross_used: &mut Money,
        view: &View<'_>,
        wishes: &mut Wishes,
    ) {
        let mut gates = wishes.gates(symbol.candidate(number));
        if !checks.iter().all(|check| ask(&mut gates, check))
            || !gates.at_most("rank", rank, self.params.max_per_side)
        {
            return;
        }
        let Some(mut account) = account::gates(
            &self.params,
            (self.cash, self.peak),
            symbol,
            view,
            &mut gates,
        ) else {
            return;
        };
        let Some(shown) = symbol.daily.shown() else {
            return;
        };
        let entry = self.limit(
            side,
            shown.close,
            symbol.decimals.price.into(),
            account.rules.tick_at(Price(shown.close)).0,
        );
        if !gates.holds("limit_price", entry.is_some()) {
            return;
        }
        let Some(entry) = entry else { return };
        account.gross_room = Money(account.gross_room.0.saturating_sub(gross_used.0));
        let allowed = account.allowed(&self.params, entry, None);
        let least_order = account.qty(account.least_order());
        for (name, qty) in &allowed {
            if !gates.at_least(name, account.qty(*qty), least_order) {
                return;
            }
        }
        let qty = least(&allowed);
        let Ok(value) = symbol.decimals.notional(entry, qty) else {
            return;
        };
        account.uses(&self.params, entry, None, qty, &mut gates);
        let of = match side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        };
        gates.uses("max_per_side", Some(of), rank, self.params.max_per_side);
        if !gates.passed() {
            return;
        }
        *gross_used = Money(gross_used.0.saturating_add(value.0));
        wishes.signal(SignalRaised {
            cause: Sequence(0),
            strategy: StrategyId(0),
            instrument: symbol.id,
            detector: NAME.to_owned(),
            side,
            entry,
            stop_loss: Price(0),
            target: Price(0),
            qty,
        });
    }

    /// The limit: away from the close by its percentage, on the tick that is further away.
    fn limit(&self, side: Side, close: i64, decimals: u32, tick: i64) -> Option<Price> {
        let percent = match side {
            Side::Buy => self.params.long_discount_pct,
            Side::Sell => self.params.short_premium_pct,
        };
        let (part, scale) = percent_of(percent, close, decimals)?;
        let unit = pow10(scale.checked_sub(decimals)?)?;
        let whole = i128::from(close).checked_mul(unit)?;
        let exact = whole.checked_add(i128::from(side.opposite().sign()) * part)?;
        let step = unit.checked_mul(tick.max(1).into())?;
        let ticks = match side {
            Side::Buy => exact.div_euclid(step),
            Side::Sell => -(-exact).div_euclid(step),
        };
        let price = i64::try_from(ticks.checked_mul(tick.into())?).ok()?;
        (price > 0).then_some(Price(price))
    }

    /// The conditions of one side, the cheap ones first. "Above" is at least one unit of the last decimal more.
    fn day_checks(&self, symbol: &Symbol, side: Side, day: &Day) -> Vec<Check> {
        let p = &self.params;
        let mut checks = vec![Check::at_least(
            "warm_up_days",
            symbol.daily.len(),
            WARM_UP_DAYS,
        )];
        let before = self.calendar.before(day.day).map(|day| day.day);
        checks.push(Check::at_least(
            "day_before",
            u8::from(before.is_some()),
            1u8,
        ));
        let (Some(shown), Some(before)) = (symbol.daily.shown(), before) else {
            return checks;
        };
        let d = u32::from(symbol.decimals.price);
        let price = |mantissa: i64| Figure::new(mantissa.into(), d);
        let size = |mantissa: i128, scale: u32| Figure::new(mantissa, scale);
        let above = |limit: Decimal| {
            let limit = limit.mantissa() * pow10(SCALE.saturating_sub(limit.scale())).unwrap_or(1);
            Figure::new(limit + 1, SCALE)
        };
        // The mean of 50 is twice the sum with two more decimals.
        let volume = size(shown.volume50 * 2, u32::from(symbol.decimals.qty) + 2);
        checks.extend([
            Check::at_least("daily_bar", shown.day, before),
            Check::at_most("daily_bar_ahead", shown.day, before),
            Check::at_most("daily_gap_days", shown.widest_gap, WIDEST_GAP_DAYS),
            Check::at_least("min_price", price(shown.close), p.min_price),
            Check::at_least("min_volume", volume, p.min_volume),
            Check::at_least("min_adx", size(shown.adx, SCALE), above(p.min_adx)),
        ]);
        match side {
            Side::Buy => {
                let times_200 = i128::from(shown.close) * 200;
                // Both sides of "close above sum / 200" as they are, so that nothing is rounded.
                checks.push(Check::at_least(
                    "sma200_sum",
                    size(times_200, d),
                    size(shown.sum200 + 1, d),
                ));
                let drop = i128::from(shown.open) - i128::from(shown.close);
                let Some((part, scale)) = percent_of(p.min_drop_pct, shown.open, d) else {
                    checks.push(Check::at_least("min_drop_pct", 0u8, 1u8));
                    return checks;
                };
                checks.push(Check::at_least(
                    "min_drop_pct",
                    size(drop, d),
                    size(part + 1, scale),
                ));
            }
            Side::Sell => {
                let three = above(p.min_crsi * Decimal::from(3));
                checks.push(Check::at_least(
                    "min_crsi_times_3",
                    size(shown.crsi_times_3, SCALE),
                    three,
                ));
                for (name, atr, most) in [
                    ("atr40", shown.atr40, p.max_atr40_pct),
                    ("atr2", shown.atr2, p.max_atr2_pct),
                ] {
                    let bounds = percent_of(p.min_atr_pct, shown.close, d).zip(percent_of(
                        most,
                        shown.close,
                        d,
                    ));
                    let Some((low, high)) = bounds else {
                        checks.push(Check::at_least(name, 0u8, 1u8));
                        return checks;
                    };
                    let atr = size(atr, d + SCALE);
                    checks.push(Check::at_least(name, atr, size(low.0, low.1)));
                    checks.push(Check::at_most(name, atr, size(high.0, high.1)));
                }
            }
        }
        checks
    }
}

/// Compares two setups of a side by what they are ranked by, as fractions.
fn ranked(side: Side, a: &Shown, b: &Shown) -> Ordering {
    let fraction = |shown: &Shown| match side {
        Side::Buy => (shown.atr10, i128::from(shown.close)),
        Side::Sell => (shown.close.into(), shown.close5.into()),
    };
    let ((a, below_a), (b, below_b)) = (fraction(a), fraction(b));
    match (a.checked_mul(below_b), b.checked_mul(below_a)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Params;
    use super::super::params::Detector;
    use super::super::sizing::Sizing;
    use super::*;

    fn state() -> State {
        State::new(&Params {
            detector: Detector::RudometkinMoc,
            symbols: vec!["paper:X".into()],
            sizing: Sizing::EquityPct,
            ..Params::default()
        })
        .unwrap()
    }

    /// By hand: 101.37 x .965 = 97.82205, down to 97.82; 101.37 x 1.05 = 106.4385, up to 106.44; on a tick of .05 97.80
    /// and 106.45.
    #[test]
    fn limits_by_hand() {
        let state = state();
        assert_eq!(state.limit(Side::Buy, 10_137, 2, 1), Some(Price(9_782)));
        assert_eq!(state.limit(Side::Sell, 10_137, 2, 1), Some(Price(10_644)));
        assert_eq!(state.limit(Side::Buy, 10_137, 2, 5), Some(Price(9_780)));
        assert_eq!(state.limit(Side::Sell, 10_137, 2, 5), Some(Price(10_645)));
    }

    #[test]
    fn longs_rank_by_range_and_shorts_by_change() {
        let shown = |close: i64, atr10: i128, close5: i64| Shown {
            day: 0,
            open: close,
            close,
            sum200: 0,
            volume50: 0,
            atr2: 0,
            atr10,
            atr40: 0,
            adx: 0,
            crsi_times_3: 0,
            close5,
            widest_gap: 1,
        };
        let (calm, wild) = (shown(1_000, 20, 900), shown(2_000, 50, 1_900));
        assert_eq!(ranked(Side::Buy, &wild, &calm), Ordering::Greater);
        assert_eq!(ranked(Side::Sell, &wild, &calm), Ordering::Less);
    }
}
