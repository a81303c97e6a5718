//! Parameters: every default is written out here, and what can't work is refused with the rule that it breaks.
use crate::number::{Decimals, Money, Qty};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Where won per dollar come from. It stands in the session's first frame, so the tape says which one was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FxSource {
    /// The book of the instrument `fx`: the only one that trades.
    Book,
    /// A fixed rate. Refused: at 1350 instead of 1430 the whole "edge" is the wrong rate.
    Constant,
    /// Won price of the coin divided by its dollar price. Refused: the spread is zero by definition.
    Coin,
}

/// In which currency profit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numeraire {
    /// The dollar venue's currency.
    Usdt,
    /// Won.
    Krw,
}

/// Parameters. Defaults are those of requirements, five systems, 4.1 (AL-05, AL-06) and 4.2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The coin for won, "venue:symbol".
    pub upbit: String,
    /// The same coin for dollars.
    pub binance: String,
    /// Dollars for won.
    pub fx: String,
    /// Where won per dollar come from; only "book" trades.
    pub fx_source: FxSource,
    /// Whether won proceeds are really turned into dollars, so that both turns of a round trip pay the FX fee. This strategy
    /// does not turn them itself: with coin and cash on both sides FX is an accounting rate.
    pub fx_converted: bool,
    /// In which currency profit is counted.
    pub numeraire: Numeraire,

    /// Coin on the won venue at the start.
    pub coin_upbit: Decimal,
    /// Coin on the dollar venue at the start.
    pub coin_binance: Decimal,
    /// Won on the won venue at the start.
    pub krw: Decimal,
    /// Dollars on the dollar venue at the start.
    pub usdt: Decimal,

    /// Deviation of the premium from its slow mean that opens, in basis points, costs not yet taken off.
    pub entry_bps: Decimal,
    /// What opening must bring net of its own two fees and slippage, in basis points. Above the sum of both fees (AL-12), so
    /// that it also pays for closing.
    pub min_profit_bps: Decimal,
    /// Expected slippage of both legs when opening, in basis points.
    pub slip_in_bps: Decimal,
    /// Expected slippage of both legs when closing, in basis points.
    pub slip_out_bps: Decimal,
    /// Expected drift of FX against us while held, in basis points.
    pub fx_drift_bps: Decimal,
    /// Length of the premium's slow mean, in sampled seconds.
    pub mean_s: u32,
    /// Sampled seconds before the mean is relied on.
    pub warm_up_s: u32,

    /// Closes when the round trip has gained this much net of all four fees, in basis points of what was opened.
    pub take_profit_bps: Decimal,
    /// Closes when it has lost this much before fees, in basis points of what was opened.
    pub stop_loss_bps: Decimal,
    /// Closes when the premium is this far on the other side of its mean, in basis points.
    pub reversal_bps: Decimal,
    /// Closes after this long, in seconds.
    pub max_hold_s: u64,

    /// Largest round trip, in dollars.
    pub max_position_usdt: Decimal,
    /// Largest round trip, in percent of all that is held on both venues: one coin's share and that of both venues, of
    /// which the stricter is the default.
    pub max_exposure_pct: Decimal,
    /// Largest value of every strategy's positions paid in won or dollars, a round trip's two included, in dollars.
    pub max_total_exposure_usdt: Decimal,
    /// Largest value of the positions of all instances of this strategy, a round trip's two included, in dollars.
    pub max_coins_exposure_usdt: Decimal,
    /// Largest part of it that one coin may take, in percent.
    pub max_coin_exposure_pct: Decimal,
    /// Most round trips open at once, of all instances of this strategy.
    pub max_open_positions: u32,
    /// Largest difference between the venues' values, in percent of both.
    pub max_imbalance_pct: Decimal,
    /// Largest share of all coin that may lie on one venue after a trade, in percent.
    pub skew_cap_pct: Decimal,
    /// Largest share of one direction among all positions on the won venue, of every strategy, in percent.
    pub max_bias_pct: Decimal,
    /// Fewer positions than this have no direction.
    pub bias_positions: u32,
    /// Displayed on the won venue's side that is hit, in won, at least.
    pub min_liquidity_krw: Decimal,
    /// Smallest order of the won venue after rounding, in won; the venue's own rule counts where it is higher.
    pub min_notional_krw: Decimal,
    /// Smallest order of the dollar venue after rounding, in dollars; the venue's own rule counts where it is higher.
    pub min_notional_usdt: Decimal,

    /// Least score of a route, 0 to 100: four parts what it earns net, three parts health, two parts fees, one part
    /// inventory.
    pub min_route_score: Decimal,
    /// A spread above this is abnormal: nobody trades it, somebody looks at it; in basis points.
    pub abnormal_spread_bps: Decimal,
    /// Whether a venue that says nothing of its health counts as unhealthy.
    pub require_venue_health: bool,
    /// A venue's word on its health older than this is none, in milliseconds.
    pub health_max_age_ms: u64,
    /// Degraded: round trip above this, in milliseconds. No entry.
    pub degraded_latency_ms: u32,
    /// Degraded: failed requests above this, in percent. No entry.
    pub degraded_errors_pct: Decimal,
    /// Degraded: market data older than this, in milliseconds. No entry.
    pub degraded_age_ms: u64,
    /// Down: round trip above this, in milliseconds. Closes what is open.
    pub down_latency_ms: u32,
    /// Down: failed requests above this, in percent. Closes what is open.
    pub down_errors_pct: Decimal,
    /// Down: market data older than this, in milliseconds. Nothing is sent there.
    pub down_age_ms: u64,
    /// Frozen: round trip above this, in milliseconds. Nothing is sent there.
    pub frozen_latency_ms: u32,
    /// Frozen: a coin's best prices and quantities unchanged for this long, in milliseconds. No entry.
    pub frozen_book_ms: u64,
    /// FX market data older than this are stale, in milliseconds. No entry.
    pub fx_max_age_ms: u64,
    /// FX is frozen when its best prices and quantities are unchanged for this long, in milliseconds. No entry.
    pub fx_frozen_ms: u64,

    /// Orders that the won venue takes in a second.
    pub upbit_orders_per_s: u32,
    /// Orders that the dollar venue takes in a second: 1,200 a minute.
    pub binance_orders_per_s: u32,
    /// What entries leave of both for exits, in percent.
    pub rate_buffer_pct: u32,

    /// Round trips lost in a row that pause everything.
    pub loss_streak: u32,
    /// How long, in seconds.
    pub loss_pause_s: u64,
    /// Round trips lost in a row on one route that pause it.
    pub route_losses: u32,
    /// How long, in seconds.
    pub route_pause_s: u64,
    /// Loss of a UTC day, open round trip included, that ends entries for the day, in won.
    pub max_day_loss_krw: Decimal,
    /// And for at least this long, in seconds: a loss just before midnight pauses past it.
    pub day_loss_pause_s: u64,
    /// Loss of a UTC day of all instances of this strategy, open round trips included, that ends entries for the day, in
    /// dollars.
    pub max_day_loss_usdt: Decimal,
    /// The same loss that also closes what is open, in dollars.
    pub emergency_loss_usdt: Decimal,
    /// Loss of a UTC day on one venue, every strategy's, that ends entries for the day, in dollars.
    pub max_venue_day_loss_usdt: Decimal,
    /// Loss of a UTC day on all positions paid in won or dollars, every strategy's, that ends entries for the day, in dollars.
    pub max_total_day_loss_usdt: Decimal,
    /// How far the profit of all round trips may lie below its highest, in percent of all that is held on both venues.
    pub max_drawdown_pct: Decimal,

    /// How far through the price that was seen the second leg's limit may go, in basis points.
    pub leg2_slip_bps: Decimal,
    /// Deadline of each leg, in milliseconds from its decision.
    pub leg_timeout_ms: u64,
    /// How often the second leg is sent again within its limit.
    pub leg2_retries: u32,
    /// How long one leg stands alone before it is traded back (or, when closing, completed), in milliseconds.
    pub unwind_after_ms: u64,
    /// The largest loss that this may cost, in dollars; beyond it somebody has to decide.
    pub max_unwind_loss_usdt: Decimal,
    /// How often somebody is called while one leg stands alone, in seconds.
    pub alarm_every_s: u64,
    /// Pause after a refusal, in milliseconds.
    pub retry_ms: u64,
}

/// `value` x 10^-`scale`.
const fn decimal(value: u32, scale: u32) -> Decimal {
    Decimal::from_parts(value, 0, 0, false, scale)
}

impl Default for Params {
    fn default() -> Self {
        Self {
            upbit: "upbit:KRW-BTC".to_owned(),
            binance: "binance:BTCUSDT".to_owned(),
            fx: "upbit:KRW-USDT".to_owned(),
            fx_source: FxSource::Book,
            fx_converted: false,
            numeraire: Numeraire::Usdt,
            coin_upbit: decimal(5, 1),
            coin_binance: decimal(5, 1),
            krw: decimal(70_000_000, 0),
            usdt: decimal(50_000, 0),
            entry_bps: decimal(50, 0),
            min_profit_bps: decimal(20, 0),
            slip_in_bps: decimal(5, 0),
            slip_out_bps: decimal(5, 0),
            fx_drift_bps: decimal(2, 0),
            mean_s: 1_800,
            warm_up_s: 300,
            take_profit_bps: decimal(20, 0),
            stop_loss_bps: decimal(30, 0),
            reversal_bps: decimal(10, 0),
            max_hold_s: 3_600,
            max_position_usdt: decimal(1_000, 0),
            max_exposure_pct: decimal(50, 0),
            max_total_exposure_usdt: decimal(100_000, 0),
            max_coins_exposure_usdt: decimal(10_000, 0),
            max_coin_exposure_pct: decimal(30, 0),
            max_open_positions: 5,
            max_imbalance_pct: decimal(50, 0),
            skew_cap_pct: decimal(70, 0),
            max_bias_pct: decimal(70, 0),
            bias_positions: 3,
            min_liquidity_krw: decimal(100_000_000, 0),
            min_notional_krw: decimal(5_000, 0),
            min_notional_usdt: decimal(5, 0),
            min_route_score: decimal(50, 0),
            abnormal_spread_bps: decimal(500, 0),
            require_venue_health: true,
            health_max_age_ms: 30_000,
            degraded_latency_ms: 100,
            degraded_errors_pct: decimal(1, 0),
            degraded_age_ms: 1_000,
            down_latency_ms: 500,
            down_errors_pct: decimal(5, 0),
            down_age_ms: 3_000,
            frozen_latency_ms: 2_000,
            frozen_book_ms: 10_000,
            fx_max_age_ms: 10_000,
            fx_frozen_ms: 60_000,
            upbit_orders_per_s: 8,
            binance_orders_per_s: 20,
            rate_buffer_pct: 20,
            loss_streak: 5,
            loss_pause_s: 900,
            route_losses: 3,
            route_pause_s: 300,
            max_day_loss_krw: decimal(5_000_000, 0),
            day_loss_pause_s: 3_600,
            max_day_loss_usdt: decimal(500, 0),
            emergency_loss_usdt: decimal(1_000, 0),
            max_venue_day_loss_usdt: decimal(10_000, 0),
            max_total_day_loss_usdt: decimal(50_000, 0),
            max_drawdown_pct: decimal(20, 0),
            leg2_slip_bps: decimal(5, 0),
            leg_timeout_ms: 2_000,
            leg2_retries: 2,
            unwind_after_ms: 3_000,
            max_unwind_loss_usdt: decimal(20, 0),
            alarm_every_s: 60,
            retry_ms: 1_000,
        }
    }
}

/// The parameters that are compared on ticks, as integers: ratios in parts per billion, money in 1e-18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) entry: i64,
    pub(super) min_profit: i64,
    pub(super) slip_in: i64,
    pub(super) slip_out: i64,
    pub(super) fx_drift: i64,
    pub(super) take_profit: i64,
    pub(super) stop_loss: i64,
    pub(super) reversal: i64,
    pub(super) abnormal: i64,
    pub(super) leg2_slip: i64,
    pub(super) max_exposure: i64,
    pub(super) max_imbalance: i64,
    pub(super) skew_cap: i64,
    pub(super) max_bias: i64,
    pub(super) max_drawdown: i64,
    pub(super) min_score: i64,
    /// By venue: orders of a second that an entry may be the last of.
    pub(super) orders_per_s: [u32; 2],
    /// Failed requests per million.
    pub(super) degraded_errors: i64,
    pub(super) down_errors: i64,
    pub(super) max_position: Money,
    pub(super) min_liquidity: Money,
    pub(super) min_notional_krw: Money,
    pub(super) min_notional_usdt: Money,
    pub(super) max_day_loss: Money,
    pub(super) max_coins_day_loss: Money,
    pub(super) emergency_loss: Money,
    pub(super) max_total_exposure: Money,
    pub(super) max_coins_exposure: Money,
    pub(super) max_coin_exposure: Money,
    pub(super) max_venue_day_loss: Money,
    pub(super) max_total_day_loss: Money,
    pub(super) max_unwind_loss: Money,
    pub(super) krw: Money,
    pub(super) usdt: Money,
}

impl Params {
    pub(in crate::strategy) fn instruments(&self) -> Vec<&str> {
        vec![&self.upbit, &self.binance, &self.fx]
    }

    pub(in crate::strategy) const fn bars(&self) -> Vec<crate::market::BarRequest> {
        Vec::new()
    }

    /// Checks ranges and contradictions.
    pub(super) fn check(&self) -> Result<Limits, String> {
        self.check_fx()?;
        let bps =
            |name, value, least| ratio(name, value, 5, Decimal::from(least), Decimal::from(10_000));
        let pct = |name, value| ratio(name, value, 7, Decimal::ZERO, Decimal::ONE_HUNDRED);
        let limits = Limits {
            entry: positive(
                "entry_bps",
                self.entry_bps,
                bps("entry_bps", self.entry_bps, 0)?,
            )?,
            min_profit: bps("min_profit_bps", self.min_profit_bps, 0)?,
            slip_in: bps("slip_in_bps", self.slip_in_bps, 0)?,
            slip_out: bps("slip_out_bps", self.slip_out_bps, 0)?,
            fx_drift: bps("fx_drift_bps", self.fx_drift_bps, 0)?,
            take_profit: bps("take_profit_bps", self.take_profit_bps, 0)?,
            stop_loss: positive(
                "stop_loss_bps",
                self.stop_loss_bps,
                bps("stop_loss_bps", self.stop_loss_bps, 0)?,
            )?,
            reversal: bps("reversal_bps", self.reversal_bps, 0)?,
            abnormal: bps("abnormal_spread_bps", self.abnormal_spread_bps, 0)?,
            leg2_slip: bps("leg2_slip_bps", self.leg2_slip_bps, 0)?,
            max_exposure: pct("max_exposure_pct", self.max_exposure_pct)?,
            max_imbalance: pct("max_imbalance_pct", self.max_imbalance_pct)?,
            skew_cap: pct("skew_cap_pct", self.skew_cap_pct)?,
            max_bias: pct("max_bias_pct", self.max_bias_pct)?,
            max_drawdown: pct("max_drawdown_pct", self.max_drawdown_pct)?,
            min_score: pct("min_route_score", self.min_route_score)?,
            orders_per_s: [
                self.entries_per_s("upbit_orders_per_s", self.upbit_orders_per_s)?,
                self.entries_per_s("binance_orders_per_s", self.binance_orders_per_s)?,
            ],
            // Percent to parts per million.
            degraded_errors: pct("degraded_errors_pct", self.degraded_errors_pct)? / 1_000,
            down_errors: pct("down_errors_pct", self.down_errors_pct)? / 1_000,
            max_position: money("max_position_usdt", self.max_position_usdt)?,
            min_liquidity: money("min_liquidity_krw", self.min_liquidity_krw)?,
            min_notional_krw: money("min_notional_krw", self.min_notional_krw)?,
            min_notional_usdt: money("min_notional_usdt", self.min_notional_usdt)?,
            max_day_loss: money("max_day_loss_krw", self.max_day_loss_krw)?,
            max_coins_day_loss: money("max_day_loss_usdt", self.max_day_loss_usdt)?,
            emergency_loss: money("emergency_loss_usdt", self.emergency_loss_usdt)?,
            max_total_exposure: money("max_total_exposure_usdt", self.max_total_exposure_usdt)?,
            max_coins_exposure: money("max_coins_exposure_usdt", self.max_coins_exposure_usdt)?,
            max_coin_exposure: {
                let part = pct("max_coin_exposure_pct", self.max_coin_exposure_pct)?;
                let all = money("max_coins_exposure_usdt", self.max_coins_exposure_usdt)?;
                Money(all.0 / super::spread::ONE * i128::from(part))
            },
            max_venue_day_loss: money("max_venue_day_loss_usdt", self.max_venue_day_loss_usdt)?,
            max_total_day_loss: money("max_total_day_loss_usdt", self.max_total_day_loss_usdt)?,
            max_unwind_loss: money("max_unwind_loss_usdt", self.max_unwind_loss_usdt)?,
            krw: money("krw", self.krw)?,
            usdt: money("usdt", self.usdt)?,
        };
        self.check_tiers(&limits)?;
        Ok(limits)
    }

    fn check_fx(&self) -> Result<(), String> {
        match self.fx_source {
            FxSource::Book => {}
            FxSource::Constant => {
                return Err(
                    "fx_source = \"constant\": a rate that nobody quotes is the whole signal; use \"book\""
                        .to_owned(),
                );
            }
            FxSource::Coin => {
                return Err(
                    "fx_source = \"coin\": FX from the coin itself is circular, its spread is zero by definition; use \"book\""
                        .to_owned(),
                );
            }
        }
        if self.upbit == self.binance || self.fx == self.upbit || self.fx == self.binance {
            return Err(format!(
                "upbit, binance and fx must be three instruments, found '{}', '{}' and '{}'",
                self.upbit, self.binance, self.fx
            ));
        }
        Ok(())
    }

    fn check_tiers(&self, limits: &Limits) -> Result<(), String> {
        if limits.abnormal <= limits.entry {
            return Err(format!(
                "abnormal_spread_bps must be above entry_bps, found {} and {}",
                self.abnormal_spread_bps, self.entry_bps
            ));
        }
        if self.emergency_loss_usdt < self.max_day_loss_usdt {
            return Err(format!(
                "emergency_loss_usdt must be at least max_day_loss_usdt, found {} and {}",
                self.emergency_loss_usdt, self.max_day_loss_usdt
            ));
        }
        let rising = |what: &str, values: &[u64]| {
            if values.is_sorted_by(|a, b| a < b) {
                Ok(())
            } else {
                Err(format!(
                    "{what} must rise from tier to tier, found {values:?}"
                ))
            }
        };
        rising(
            "degraded_latency_ms, down_latency_ms and frozen_latency_ms",
            &[
                self.degraded_latency_ms.into(),
                self.down_latency_ms.into(),
                self.frozen_latency_ms.into(),
            ],
        )?;
        rising(
            "degraded_age_ms, down_age_ms and frozen_book_ms",
            &[self.degraded_age_ms, self.down_age_ms, self.frozen_book_ms],
        )?;
        rising(
            "degraded_errors_pct and down_errors_pct (per million)",
            &[
                limits.degraded_errors.unsigned_abs(),
                limits.down_errors.unsigned_abs(),
            ],
        )?;
        let at_least_one = |name: &str, value: u64| {
            if value == 0 {
                Err(format!("{name} must be at least 1, found 0"))
            } else {
                Ok(())
            }
        };
        at_least_one("mean_s", self.mean_s.into())?;
        at_least_one("warm_up_s", self.warm_up_s.into())?;
        at_least_one("loss_streak", self.loss_streak.into())?;
        at_least_one("route_losses", self.route_losses.into())?;
        at_least_one("max_open_positions", self.max_open_positions.into())?;
        at_least_one("max_hold_s", self.max_hold_s)?;
        at_least_one("leg_timeout_ms", self.leg_timeout_ms)?;
        at_least_one("alarm_every_s", self.alarm_every_s)?;
        at_least_one("retry_ms", self.retry_ms)
    }

    /// What the buffer leaves of a venue's rate.
    fn entries_per_s(&self, name: &str, rate: u32) -> Result<u32, String> {
        let buffer = self.rate_buffer_pct;
        if buffer >= 100 {
            return Err(format!("rate_buffer_pct must be below 100, found {buffer}"));
        }
        let left = u64::from(rate) * u64::from(100 - buffer) / 100;
        match u32::try_from(left) {
            Ok(left @ 1..) => Ok(left),
            _ => Err(format!(
                "{name} must leave at least one order beside rate_buffer_pct ({buffer}), found {rate}"
            )),
        }
    }

    /// What the strategy starts with of the coin, in an instrument's units.
    pub(super) fn coin(name: &str, coin: Decimal, decimals: Decimals) -> Result<Qty, String> {
        let qty = decimals
            .qty_from(coin)
            .map_err(|e| format!("{name}: {e}"))?;
        if qty.0 < 0 {
            return Err(format!("{name} must not be negative, found {coin}"));
        }
        Ok(qty)
    }
}

/// A share with `decimals` decimals down to parts per billion: 5 for basis points, 7 for percent.
fn ratio(
    name: &str,
    value: Decimal,
    decimals: u8,
    least: Decimal,
    most: Decimal,
) -> Result<i64, String> {
    if value < least || value > most {
        return Err(format!(
            "{name} must be from {least} to {most}, found {value}"
        ));
    }
    let d = Decimals {
        price: decimals,
        qty: 0,
    };
    let ratio = d.price_from(value).map_err(|e| format!("{name}: {e}"))?;
    Ok(ratio.0)
}

fn positive(name: &str, value: Decimal, ratio: i64) -> Result<i64, String> {
    if ratio > 0 {
        Ok(ratio)
    } else {
        Err(format!("{name} must be positive, found {value}"))
    }
}

fn money(name: &str, value: Decimal) -> Result<Money, String> {
    if value.is_sign_negative() && !value.is_zero() {
        return Err(format!("{name} must not be negative, found {value}"));
    }
    Money::from_decimal(value).map_err(|e| format!("{name}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Params)) -> String {
        let mut params = Params::default();
        change(&mut params);
        params.check().unwrap_err()
    }

    #[test]
    fn the_defaults_work() {
        let limits = Params::default().check().unwrap();
        assert_eq!(limits.entry, 5_000_000, "50 bps in parts per billion");
        assert_eq!(limits.skew_cap, 700_000_000);
        assert_eq!(limits.max_coin_exposure.to_string(), "3000");
        assert_eq!(limits.down_errors, 50_000, "5 % in parts per million");
    }

    /// Requirements, five systems, 4.3.5 and the golden row of 4.3: with the fixed rate 1350 instead of 1430 the "edge" would
    /// be +6.52 %. Neither such a rate nor the coin's own can be configured.
    #[test]
    fn a_constant_rate_and_the_coins_own_rate_are_refused() {
        assert!(refused(|p| p.fx_source = FxSource::Constant).contains("whole signal"));
        assert!(refused(|p| p.fx_source = FxSource::Coin).contains("circular"));
        assert!(refused(|p| p.fx = p.upbit.clone()).contains("three instruments"));
        let number = serde_json::from_str::<Params>(r#"{"fx_source": 1350}"#);
        assert!(number.is_err());
        let unknown = serde_json::from_str::<Params>(r#"{"fx_rate": 1350}"#);
        assert!(unknown.unwrap_err().to_string().contains("fx_rate"));
    }

    #[test]
    fn contradictions_are_refused_by_name_value_and_rule() {
        assert_eq!(
            refused(|p| p.abnormal_spread_bps = Decimal::from(40)),
            "abnormal_spread_bps must be above entry_bps, found 40 and 50"
        );
        assert!(refused(|p| p.down_latency_ms = 50).contains("[100, 50, 2000]"));
        assert!(refused(|p| p.entry_bps = Decimal::ZERO).contains("entry_bps must be positive"));
        assert!(refused(|p| p.skew_cap_pct = Decimal::from(101)).contains("from 0 to 100"));
        assert!(refused(|p| p.slip_in_bps = Decimal::NEGATIVE_ONE).contains("slip_in_bps"));
        assert!(refused(|p| p.krw = Decimal::NEGATIVE_ONE).contains("krw must not be negative"));
        assert!(refused(|p| p.mean_s = 0).contains("mean_s"));
        assert!(refused(|p| p.max_open_positions = 0).contains("max_open_positions"));
        assert_eq!(
            refused(|p| p.emergency_loss_usdt = Decimal::from(499)),
            "emergency_loss_usdt must be at least max_day_loss_usdt, found 499 and 500"
        );
    }
}
