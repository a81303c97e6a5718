//! What can be set, and what is refused.
use super::sizing::Sizing;
use super::versions::{InsideMode, Version};
use crate::market::BarRequest;
use crate::number::Money;
use crate::time::SECOND_NS;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Where trades come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Inside bars of one symbol each.
    InsideBar,
    /// Rudometkin's market-on-close on daily bars, ranked over the symbols.
    RudometkinMoc,
    /// Order intents from outside.
    Intents,
}

/// What becomes of intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentMode {
    /// They are checked and stay planned.
    PlanOnly,
    /// Released ones are sent.
    PaperSend,
}

/// What the trades on the tape were made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// Trades as they happened.
    Ticks,
    /// Bars taken apart: the order of high and low within one is made up, and signals say so.
    Bars,
}

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Where trades come from.
    pub detector: Detector,
    /// "venue:symbol", each once.
    pub symbols: Vec<String>,
    /// The exchange's calendar.
    pub calendar: String,
    /// Version of the inside bar's parameters, pinned; see `versions.rs`.
    pub version: String,
    /// What has to lie inside what, where it is not what the version says.
    pub inside_mode: Option<InsideMode>,
    /// Length of the inside bar's bars in seconds: 60, 300 or 900.
    pub bar_s: u64,
    /// What the trades on the tape were made of.
    pub data: Data,
    /// Most minutes without a trade in the look-back.
    pub max_missing_minutes: u32,
    /// Most late trades beyond the mother bar's range.
    pub max_late_trades: u32,
    /// Which rule names the size.
    pub sizing: Sizing,
    /// Size of the fixed rule.
    pub qty: Decimal,
    /// What the strategy starts with, in the quote currency; its profit comes on top.
    pub equity_usd: Decimal,
    /// Value of a position in percent of the equity, for `sizing = "equity_pct"`.
    pub equity_pct: Decimal,
    /// Loss from entry to stop-loss in percent of the equity, for `sizing = "risk"`.
    pub risk_pct: Decimal,
    /// Cap of a position's value in percent of the equity.
    pub max_position_pct: Decimal,
    /// Cap of the loss from entry to stop-loss in percent of the equity.
    pub max_position_loss_pct: Decimal,
    /// Cap of the quantity of one symbol.
    pub max_qty: Decimal,
    /// Cap of the value of all positions and entries at work.
    pub max_gross_usd: Decimal,
    /// No entry after a loss of more than this since UTC midnight.
    pub max_day_loss_usd: Decimal,
    /// No entry while the profit is more than this below its highest.
    pub max_drawdown_usd: Decimal,
    /// Positions are left and entries taken back this long before the exchange closes, in milliseconds.
    pub close_lead_ms: u64,
    /// Between two tries to leave a position, in milliseconds.
    pub exit_retry_ms: u64,
    /// What becomes of intents.
    pub mode: IntentMode,
    /// Whether an intent is released without an operator.
    pub auto_promote: bool,
    /// Whether anything may be sent at all.
    pub allow_send: bool,
    /// Lowest close.
    pub min_price: Decimal,
    /// Least mean volume of 50 days.
    pub min_volume: Decimal,
    /// ADX(5) has to be above this.
    pub min_adx: Decimal,
    /// Long: the close has to be more than this below the open, in percent.
    pub min_drop_pct: Decimal,
    /// Short: ConnorsRSI has to be above this.
    pub min_crsi: Decimal,
    /// Short: least ATR(40) and ATR(2) in percent of the close.
    pub min_atr_pct: Decimal,
    /// Short: largest ATR(40) in percent of the close.
    pub max_atr40_pct: Decimal,
    /// Short: largest ATR(2) in percent of the close.
    pub max_atr2_pct: Decimal,
    /// The buy limit stands this far below the close, in percent.
    pub long_discount_pct: Decimal,
    /// The sell limit stands this far above the close, in percent.
    pub short_premium_pct: Decimal,
    /// Most entries of one direction in a day.
    pub max_per_side: u32,
    /// The day's limits go out this long after the opening, in milliseconds: by then there are quotes.
    pub open_delay_ms: u64,
}

impl Default for Params {
    fn default() -> Self {
        let whole = |number: i64| Decimal::from(number);
        Self {
            detector: Detector::InsideBar,
            symbols: Vec::new(),
            calendar: "XNYS".to_owned(),
            version: "1.0.1".to_owned(),
            inside_mode: None,
            bar_s: 300,
            data: Data::Ticks,
            max_missing_minutes: 0,
            max_late_trades: 0,
            sizing: Sizing::Risk,
            qty: whole(100),
            equity_usd: whole(10_000),
            equity_pct: whole(10),
            risk_pct: whole(1),
            max_position_pct: whole(100),
            max_position_loss_pct: whole(3),
            max_qty: whole(100),
            max_gross_usd: whole(50_000),
            max_day_loss_usd: whole(1_000),
            max_drawdown_usd: whole(1_500),
            close_lead_ms: 5_000,
            exit_retry_ms: 1_000,
            mode: IntentMode::PlanOnly,
            auto_promote: false,
            allow_send: false,
            min_price: whole(10),
            min_volume: whole(1_000_000),
            min_adx: whole(35),
            min_drop_pct: whole(3),
            min_crsi: whole(70),
            min_atr_pct: whole(1),
            max_atr40_pct: whole(10),
            max_atr2_pct: whole(20),
            long_discount_pct: Decimal::new(35, 1),
            short_premium_pct: whole(5),
            max_per_side: 20,
            open_delay_ms: 5_000,
        }
    }
}

/// Decimals that a percentage or an amount may have, so that products fit.
const MAX_SCALE: u32 = 8;

impl Params {
    pub(in crate::strategy) fn instruments(&self) -> Vec<&str> {
        self.symbols.iter().map(String::as_str).collect()
    }

    pub(in crate::strategy) fn bars(&self) -> Vec<BarRequest> {
        if self.detector != Detector::InsideBar {
            return Vec::new();
        }
        let request = |symbol: &String| BarRequest {
            instrument: symbol.clone(),
            interval_ns: self.interval_ns(),
        };
        self.symbols.iter().map(request).collect()
    }

    /// Length of a bar in ns.
    pub(super) const fn interval_ns(&self) -> u64 {
        self.bar_s.saturating_mul(SECOND_NS)
    }

    /// The pinned parameters, with the mode that is set here.
    ///
    /// # Errors
    /// When there is no such version.
    pub(super) fn pinned(&self) -> Result<Version, String> {
        let version = *Version::named(&self.version)?;
        Ok(Version {
            mode: self.inside_mode.unwrap_or(version.mode),
            ..version
        })
    }

    /// # Errors
    /// Which parameter, its value and the rule.
    pub(super) fn check(&self) -> Result<(), String> {
        self.pinned()?;
        for (place, symbol) in self.symbols.iter().enumerate() {
            if self.symbols[..place].contains(symbol) {
                return Err(format!(
                    "symbols must name each once, found \"{symbol}\" twice"
                ));
            }
        }
        if self.symbols.is_empty() {
            return Err("symbols must name at least one \"venue:symbol\", found none".to_owned());
        }
        if ![60, 300, 900].contains(&self.bar_s) {
            return Err(format!(
                "bar_s must be 60, 300 or 900, found {}",
                self.bar_s
            ));
        }
        if self.calendar.is_empty() {
            return Err("calendar must name one, found \"\"".to_owned());
        }
        if self.exit_retry_ms == 0 {
            return Err("exit_retry_ms must be at least 1, found 0".to_owned());
        }
        if self.max_per_side == 0 {
            return Err("max_per_side must be at least 1, found 0".to_owned());
        }
        if self.sizing == Sizing::Risk && self.detector == Detector::RudometkinMoc {
            return Err(
                "sizing must be \"fixed\" or \"equity_pct\" with detector = \"rudometkin_moc\", \
                which has no stop-loss, found \"risk\""
                    .to_owned(),
            );
        }
        let hundred = Decimal::ONE_HUNDRED;
        let million = Decimal::from(1_000_000_000_000i64);
        for (name, value, most) in [
            ("equity_pct", self.equity_pct, hundred),
            ("risk_pct", self.risk_pct, hundred),
            ("max_position_loss_pct", self.max_position_loss_pct, hundred),
            (
                "max_position_pct",
                self.max_position_pct,
                Decimal::from(1_000),
            ),
            ("min_drop_pct", self.min_drop_pct, hundred),
            ("min_atr_pct", self.min_atr_pct, hundred),
            ("max_atr40_pct", self.max_atr40_pct, hundred),
            ("max_atr2_pct", self.max_atr2_pct, hundred),
            ("min_adx", self.min_adx, hundred),
            ("min_crsi", self.min_crsi, hundred),
            ("long_discount_pct", self.long_discount_pct, hundred),
            ("short_premium_pct", self.short_premium_pct, hundred),
            ("qty", self.qty, million),
            ("equity_usd", self.equity_usd, million),
            ("max_qty", self.max_qty, million),
            ("max_gross_usd", self.max_gross_usd, million),
            ("max_day_loss_usd", self.max_day_loss_usd, million),
            ("max_drawdown_usd", self.max_drawdown_usd, million),
            ("min_price", self.min_price, million),
            ("min_volume", self.min_volume, million),
        ] {
            if value.is_sign_negative() || value > most || value.scale() > MAX_SCALE {
                return Err(format!(
                    "{name} must be from 0 to {most} with at most {MAX_SCALE} decimals, found {value}"
                ));
            }
        }
        for (name, value) in [
            ("equity_usd", self.equity_usd),
            ("qty", self.qty),
            ("max_qty", self.max_qty),
        ] {
            if value.is_zero() {
                return Err(format!("{name} must be positive, found 0"));
            }
        }
        if self.long_discount_pct == hundred {
            return Err("long_discount_pct must be below 100, found 100".to_owned());
        }
        for (name, most) in [
            ("max_atr40_pct", self.max_atr40_pct),
            ("max_atr2_pct", self.max_atr2_pct),
        ] {
            if most < self.min_atr_pct {
                return Err(format!(
                    "{name} must be at least min_atr_pct ({}), found {most}",
                    self.min_atr_pct
                ));
            }
        }
        Ok(())
    }
}

/// An amount parameter; checked to fit when the strategy is made.
pub(super) fn money(value: Decimal) -> Money {
    Money::from_decimal(value).unwrap_or(Money::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stocks() -> Params {
        Params {
            symbols: vec!["paper:HOOD".into()],
            ..Params::default()
        }
    }

    #[test]
    fn every_refusal_names_parameter_value_and_rule() {
        assert_eq!(stocks().check(), Ok(()));
        let refused = [
            (
                Params {
                    symbols: Vec::new(),
                    ..stocks()
                },
                "symbols",
            ),
            (
                Params {
                    symbols: vec!["a:B".into(), "a:B".into()],
                    ..stocks()
                },
                "\"a:B\" twice",
            ),
            (
                Params {
                    version: "latest".into(),
                    ..stocks()
                },
                "1.0.0, 1.0.1, 1.0.2, 2.0.0, found \"latest\"",
            ),
            (
                Params {
                    bar_s: 120,
                    ..stocks()
                },
                "60, 300 or 900, found 120",
            ),
            (
                Params {
                    risk_pct: Decimal::from(101),
                    ..stocks()
                },
                "risk_pct must be from 0 to 100",
            ),
            (
                Params {
                    equity_usd: Decimal::ZERO,
                    ..stocks()
                },
                "equity_usd must be positive, found 0",
            ),
            (
                Params {
                    detector: Detector::RudometkinMoc,
                    ..stocks()
                },
                "found \"risk\"",
            ),
            (
                Params {
                    max_atr2_pct: Decimal::new(5, 1),
                    ..stocks()
                },
                "max_atr2_pct must be at least min_atr_pct (1)",
            ),
        ];
        for (params, part) in refused {
            let why = params.check().unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
