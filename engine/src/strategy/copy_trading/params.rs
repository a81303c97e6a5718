//! What can be set, and the same as integers.
use crate::market::BarRequest;
use crate::number::{Money, pow10};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// How the size of a copy follows from the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizing {
    /// `fixed_usd` whatever the leader does.
    Fixed,
    /// `percent_pct` of the leader's USD.
    Percent,
    /// The leader's share of his portfolio, of our equity, times `multiplier`.
    Proportional,
    /// Refused: see [`Params::rules`].
    InverseRisk,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The venue whose instruments are copied.
    pub venue: String,
    /// What the strategy may work with, in USD; equity is this plus the profit so far.
    pub capital_usd: Decimal,
    /// How the size of a copy follows from the leader's.
    pub sizing: Sizing,
    /// For `sizing = "proportional"`: times the leader's share of his portfolio.
    pub multiplier: Decimal,
    /// For `sizing = "fixed"`: USD of every copy.
    pub fixed_usd: Decimal,
    /// For `sizing = "percent"`: percent of the leader's USD.
    pub percent_pct: Decimal,
    /// Most USD in one token, all leaders together.
    pub max_position_usd: Decimal,
    /// Most percent of equity in one market: the tokens of one event exclude each other and count as one.
    pub max_market_pct: Decimal,
    /// Most percent of equity in copies of one wallet.
    pub max_wallet_pct: Decimal,
    /// A leader's buy of less USD than this is no signal.
    pub min_leader_usd: Decimal,
    /// How much worse than the leader's a price may be, in percent of it.
    pub max_slippage_pct: Decimal,
    /// No buys above this price.
    pub max_ask: Decimal,
    /// What the target must bring after the fees of both ways, in USD.
    pub min_gain_usd: Decimal,
    /// Smallest confidence, 0 to 1.
    pub min_confidence: Decimal,
    /// Depth within the slippage that counts as fully liquid, in USD.
    pub liquid_usd: Decimal,
    /// Rows of one leader, token and side within this time are one decision, in milliseconds.
    pub window_ms: u64,
    /// A buy that is older than this is not copied, in milliseconds.
    pub max_age_ms: u64,
    /// A book or quote that is older than this is not bought from, in milliseconds.
    pub max_quote_age_ms: u64,
    /// A leader's portfolio that is older than this says nothing about his share, in milliseconds.
    pub max_portfolio_age_ms: u64,
    /// How long rows are remembered, in milliseconds; rows that are older when they come are ignored.
    pub remember_ms: u64,
    /// Most copies within `copies_window_ms`.
    pub max_copies: u32,
    /// See `max_copies`; in milliseconds.
    pub copies_window_ms: u64,
    /// Least time between two copies of one wallet, in milliseconds.
    pub wallet_gap_ms: u64,
    /// Most copies open at once.
    pub max_open_copies: u32,
    /// No entries when the day since 00:00 UTC has lost more, realised and at the bids, in USD.
    pub max_day_loss_usd: Decimal,
    /// The breaker looks at so many entry orders.
    pub breaker_orders: u32,
    /// It opens when at least so many of them failed ...
    pub breaker_failures: u32,
    /// ... and at least this percentage of them.
    pub breaker_pct: u32,
    /// For how long it stays open, in milliseconds.
    pub breaker_ms: u64,
    /// How long an entry's unfilled rest may stand in the book, in milliseconds; 0 for not at all.
    pub entry_rest_ms: u64,
    /// Everything is sold when the bid is this far below our average price, in percent of it.
    pub stop_pct: Decimal,
    /// Everything is sold when the bid is this far above our average price, in percent of it.
    pub target_pct: Decimal,
    /// Everything is sold this long after our first fill, in milliseconds.
    pub max_hold_ms: u64,
    /// One exit order goes no further below the best bid than this, in percent of it; the rest is sold next time.
    pub exit_guard_pct: Decimal,
    /// How long an exit waits after one that sold too little, in milliseconds. With every refusal it doubles, up to 64
    /// times, and with every exit that found nobody until the market shows something new.
    pub exit_retry_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            venue: "polymarket".to_owned(),
            capital_usd: Decimal::new(1_000, 0),
            sizing: Sizing::Proportional,
            multiplier: Decimal::ONE,
            fixed_usd: Decimal::TEN,
            percent_pct: Decimal::ONE,
            max_position_usd: Decimal::new(50, 0),
            max_market_pct: Decimal::new(25, 0),
            max_wallet_pct: Decimal::new(30, 0),
            min_leader_usd: Decimal::ONE,
            max_slippage_pct: Decimal::TWO,
            max_ask: Decimal::new(97, 2),
            min_gain_usd: Decimal::new(1, 2),
            min_confidence: Decimal::new(7, 1),
            liquid_usd: Decimal::new(500, 0),
            window_ms: 2_000,
            max_age_ms: 300_000,
            max_quote_age_ms: 60_000,
            max_portfolio_age_ms: 3_600_000,
            remember_ms: 86_400_000,
            max_copies: 10,
            copies_window_ms: 3_600_000,
            wallet_gap_ms: 300_000,
            max_open_copies: 10,
            max_day_loss_usd: Decimal::ONE_HUNDRED,
            breaker_orders: 10,
            breaker_failures: 5,
            breaker_pct: 50,
            breaker_ms: 3_600_000,
            entry_rest_ms: 10_000,
            stop_pct: Decimal::new(15, 0),
            target_pct: Decimal::new(25, 0),
            max_hold_ms: 86_400_000,
            exit_guard_pct: Decimal::TWO,
            exit_retry_ms: 1_000,
        }
    }
}

/// One, in millionths.
pub(super) const PPM: i64 = 1_000_000;

/// The parameters as integers: shares in millionths, times in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rules {
    pub(super) venue: String,
    pub(super) capital: Money,
    pub(super) size: SizeRule,
    pub(super) max_position: Money,
    pub(super) max_market_ppm: i64,
    pub(super) max_wallet_ppm: i64,
    pub(super) min_leader: Money,
    pub(super) max_slippage_ppm: i64,
    pub(super) max_ask: Decimal,
    pub(super) min_gain: Money,
    pub(super) min_confidence_ppm: i64,
    pub(super) liquid: Money,
    pub(super) window_ns: u64,
    pub(super) max_age_ms: u64,
    pub(super) max_quote_age_ms: u64,
    pub(super) max_portfolio_age_ms: u64,
    pub(super) remember_ns: u64,
    pub(super) max_copies: u32,
    pub(super) copies_window_ns: u64,
    pub(super) wallet_gap_ms: u64,
    pub(super) max_open_copies: u32,
    pub(super) max_day_loss: Money,
    pub(super) breaker_orders: u32,
    pub(super) breaker_failures: u32,
    pub(super) breaker_pct: u32,
    pub(super) breaker_ns: u64,
    pub(super) entry_rest_ns: u64,
    pub(super) stop_ppm: i64,
    pub(super) target_ppm: i64,
    pub(super) max_hold_ns: u64,
    pub(super) exit_guard_ppm: i64,
    pub(super) exit_retry_ns: u64,
}

/// [`Sizing`] with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SizeRule {
    /// USD.
    Fixed(Money),
    /// Of the leader's USD, in millionths.
    Percent(i64),
    /// Times the leader's share, in millionths.
    Proportional(i64),
}

impl Params {
    pub(in crate::strategy) fn instruments(&self) -> Vec<&str> {
        Vec::new()
    }

    pub(in crate::strategy) fn bars(&self) -> Vec<BarRequest> {
        Vec::new()
    }

    /// The parameters as integers, once they are found to make sense.
    pub(super) fn rules(&self) -> Result<Rules, String> {
        let within = |name: &str, value: Decimal, least: Decimal, most: Decimal| {
            if value < least || value > most {
                Err(format!("{name} must be {least} to {most}, found {value}"))
            } else {
                Ok(value)
            }
        };
        let usd = |name: &str, value: Decimal| {
            within(name, value, Decimal::ZERO, Decimal::new(1_000_000_000, 0))?;
            Money::from_decimal(value).map_err(|e| format!("{name}: {e}"))
        };
        let positive_usd = |name: &str, value: Decimal| match usd(name, value)? {
            Money(0) => Err(format!("{name} must be above 0, found {value}")),
            money => Ok(money),
        };
        let millionths = |name: &str, value: Decimal, per: u32| {
            let too_fine =
                || format!("{name} must have at most 6 decimals as a share, found {value}");
            let scale = value.scale() + per;
            let unit = 6u32
                .checked_sub(scale)
                .and_then(pow10)
                .ok_or_else(too_fine)?;
            i64::try_from(value.mantissa() * unit).map_err(|_| too_fine())
        };
        let pct = |name: &str, value: Decimal, least: Decimal, most: Decimal| {
            millionths(name, within(name, value, least, most)?.normalize(), 2)
        };
        let above_zero = |name: &str, value: u64| {
            if value == 0 {
                Err(format!("{name} must be at least 1, found 0"))
            } else {
                Ok(value)
            }
        };
        let (zero, one, hundred) = (Decimal::ZERO, Decimal::ONE, Decimal::ONE_HUNDRED);
        let cent = Decimal::new(1, 2);
        let ns = |ms: u64| ms.saturating_mul(1_000_000);
        if self.venue.is_empty() {
            return Err("venue must name a venue, found \"\"".to_owned());
        }
        let size = match self.sizing {
            Sizing::Fixed => SizeRule::Fixed(positive_usd("fixed_usd", self.fixed_usd)?),
            Sizing::Percent => {
                SizeRule::Percent(pct("percent_pct", self.percent_pct, cent, hundred)?)
            }
            Sizing::Proportional => {
                let most = Decimal::new(1_000, 0);
                let value = within("multiplier", self.multiplier, Decimal::new(1, 3), most)?;
                SizeRule::Proportional(millionths("multiplier", value.normalize(), 0)?)
            }
            // It divides by the distance to the leader's price: the size explodes where the price has not moved at all.
            Sizing::InverseRisk => {
                return Err(
                    "sizing must be \"fixed\", \"percent\" or \"proportional\": \"inverse_risk\" divides by the distance to \
                     the leader's price, so it is largest where there is none"
                        .to_owned(),
                );
            }
        };
        if self.remember_ms < self.max_age_ms {
            return Err(format!(
                "remember_ms must be at least max_age_ms, or a row could be copied twice, found {} and {}",
                self.remember_ms, self.max_age_ms
            ));
        }
        if self.breaker_failures > self.breaker_orders {
            return Err(format!(
                "breaker_failures must be at most breaker_orders, found {} and {}",
                self.breaker_failures, self.breaker_orders
            ));
        }
        above_zero("breaker_failures", self.breaker_failures.into())?;
        within("breaker_pct", self.breaker_pct.into(), one, hundred)?;
        within(
            "breaker_orders",
            self.breaker_orders.into(),
            one,
            Decimal::new(1_000, 0),
        )?;
        within(
            "max_copies",
            self.max_copies.into(),
            one,
            Decimal::new(10_000, 0),
        )?;
        above_zero("max_open_copies", self.max_open_copies.into())?;
        above_zero("max_hold_ms", self.max_hold_ms)?;
        above_zero("exit_retry_ms", self.exit_retry_ms)?;
        Ok(Rules {
            venue: self.venue.clone(),
            capital: positive_usd("capital_usd", self.capital_usd)?,
            size,
            max_position: positive_usd("max_position_usd", self.max_position_usd)?,
            max_market_ppm: pct("max_market_pct", self.max_market_pct, cent, hundred)?,
            max_wallet_ppm: pct("max_wallet_pct", self.max_wallet_pct, cent, hundred)?,
            min_leader: usd("min_leader_usd", self.min_leader_usd)?,
            max_slippage_ppm: pct("max_slippage_pct", self.max_slippage_pct, zero, hundred)?,
            max_ask: within("max_ask", self.max_ask, zero, one)?,
            min_gain: usd("min_gain_usd", self.min_gain_usd)?,
            min_confidence_ppm: millionths(
                "min_confidence",
                within("min_confidence", self.min_confidence, zero, one)?.normalize(),
                0,
            )?,
            liquid: positive_usd("liquid_usd", self.liquid_usd)?,
            window_ns: ns(self.window_ms),
            max_age_ms: above_zero("max_age_ms", self.max_age_ms)?,
            max_quote_age_ms: above_zero("max_quote_age_ms", self.max_quote_age_ms)?,
            max_portfolio_age_ms: above_zero("max_portfolio_age_ms", self.max_portfolio_age_ms)?,
            remember_ns: ns(self.remember_ms),
            max_copies: self.max_copies,
            copies_window_ns: ns(above_zero("copies_window_ms", self.copies_window_ms)?),
            wallet_gap_ms: self.wallet_gap_ms,
            max_open_copies: self.max_open_copies,
            max_day_loss: usd("max_day_loss_usd", self.max_day_loss_usd)?,
            breaker_orders: self.breaker_orders,
            breaker_failures: self.breaker_failures,
            breaker_pct: self.breaker_pct,
            breaker_ns: ns(self.breaker_ms),
            entry_rest_ns: ns(self.entry_rest_ms),
            stop_ppm: pct("stop_pct", self.stop_pct, cent, hundred)?,
            target_ppm: pct("target_pct", self.target_pct, cent, Decimal::new(10_000, 0))?,
            max_hold_ns: ns(self.max_hold_ms),
            exit_guard_ppm: pct("exit_guard_pct", self.exit_guard_pct, zero, hundred)?,
            exit_retry_ns: ns(self.exit_retry_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_are_carried_over_exactly() {
        let rules = Params::default().rules().unwrap();
        assert_eq!(rules.max_slippage_ppm, 20_000);
        assert_eq!(rules.min_confidence_ppm, 700_000);
        assert_eq!(rules.size, SizeRule::Proportional(PPM));
        assert_eq!((rules.stop_ppm, rules.target_ppm), (150_000, 250_000));
        assert_eq!(rules.max_position.to_string(), "50");
    }

    #[test]
    fn what_can_not_work_is_refused_with_name_value_and_rule() {
        let refused = |change: fn(&mut Params), needle: &str| {
            let mut params = Params::default();
            change(&mut params);
            let why = params.rules().unwrap_err();
            assert!(why.contains(needle), "{why}");
        };
        refused(|p| p.sizing = Sizing::InverseRisk, "inverse_risk");
        refused(
            |p| p.capital_usd = Decimal::ZERO,
            "capital_usd must be above 0, found 0",
        );
        refused(
            |p| p.capital_usd = Decimal::NEGATIVE_ONE,
            "capital_usd must be 0 to",
        );
        refused(
            |p| p.max_slippage_pct = Decimal::new(101, 0),
            "max_slippage_pct must be 0 to 100, found 101",
        );
        refused(
            |p| p.max_slippage_pct = Decimal::new(1, 7),
            "at most 6 decimals",
        );
        refused(
            |p| p.remember_ms = 1,
            "remember_ms must be at least max_age_ms",
        );
        refused(
            |p| p.breaker_failures = 11,
            "breaker_failures must be at most breaker_orders",
        );
        refused(
            |p| p.min_confidence = Decimal::new(11, 1),
            "min_confidence must be 0 to 1, found 1.1",
        );
        refused(|p| p.venue.clear(), "venue must name a venue");
        refused(|p| p.multiplier = Decimal::ZERO, "multiplier must be 0.001");
        refused(|p| p.exit_retry_ms = 0, "exit_retry_ms must be at least 1");
        refused(|p| p.max_ask = Decimal::new(2, 0), "max_ask must be 0 to 1");
    }
}
