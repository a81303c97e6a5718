//! Limits as they stand in a config, and as integers for the gates.
use crate::number::{Money, NumberError};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The limits of one scope. A limit that is not set does not limit.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest quantity of one order, in the instrument's units.
    pub max_order_qty: Option<Decimal>,
    /// Largest price times quantity of one order, in the quote currency.
    pub max_order_notional: Option<Decimal>,
    /// Most orders working at once.
    pub max_open_orders: Option<u32>,
    /// Most orders decided in any second.
    pub max_orders_per_second: Option<u32>,
    /// Largest position in one instrument, working orders counted as filled.
    pub max_position: Option<Decimal>,
    /// Most instruments with a position at once.
    pub max_open_positions: Option<u32>,
    /// Largest sum of positions and working orders at the mark, in one quote currency.
    pub max_gross_notional: Option<Decimal>,
    /// Largest loss since UTC midnight, realised and open, in one quote currency.
    pub max_daily_loss: Option<Decimal>,
}

/// All limits of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RiskConfig {
    /// A limit order may be this far through the other side's best price, in basis points.
    pub price_collar_bps: u32,
    /// Older market data does not trade, in milliseconds.
    pub max_data_age_ms: u64,
    /// The same order again within this time is a duplicate, in milliseconds; 0 turns the gate off.
    pub duplicate_window_ms: u64,
    /// A clock that is off by this much halts new risk, in milliseconds.
    pub max_clock_drift_ms: u64,
    /// Whether a halt takes back working orders that could add risk.
    pub cancel_on_halt: bool,
    /// Over all strategies and venues.
    pub total: Limits,
    /// For each strategy that `strategies` does not name.
    pub each_strategy: Limits,
    /// By strategy id.
    pub strategies: BTreeMap<String, Limits>,
    /// By venue name.
    pub venues: BTreeMap<String, Limits>,
    /// By "venue:symbol".
    pub instruments: BTreeMap<String, Limits>,
}

impl Default for RiskConfig {
    fn default() -> Self {
        Self {
            price_collar_bps: 200,
            max_data_age_ms: 10_000,
            duplicate_window_ms: 0,
            max_clock_drift_ms: 1_000,
            cancel_on_halt: true,
            total: Limits {
                max_open_orders: Some(1_000),
                ..Limits::default()
            },
            each_strategy: Limits {
                max_open_orders: Some(100),
                ..Limits::default()
            },
            strategies: BTreeMap::new(),
            venues: BTreeMap::new(),
            instruments: BTreeMap::new(),
        }
    }
}

/// [`Limits`] with every amount in units of 1e-18, so that gates compare integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LimitUnits {
    pub(super) order_qty: Option<Money>,
    pub(super) order_notional: Option<Money>,
    pub(super) open_orders: Option<u32>,
    pub(super) orders_per_second: Option<u32>,
    pub(super) position: Option<Money>,
    pub(super) open_positions: Option<u32>,
    pub(super) gross_notional: Option<Money>,
    pub(super) daily_loss: Option<Money>,
}

impl LimitUnits {
    /// # Errors
    /// When an amount has more than 18 decimals or is out of range.
    pub fn new(limits: &Limits) -> Result<Self, NumberError> {
        let units = |limit: Option<Decimal>| limit.map(Money::from_decimal).transpose();
        Ok(Self {
            order_qty: units(limits.max_order_qty)?,
            order_notional: units(limits.max_order_notional)?,
            open_orders: limits.max_open_orders,
            orders_per_second: limits.max_orders_per_second,
            position: units(limits.max_position)?,
            open_positions: limits.max_open_positions,
            gross_notional: units(limits.max_gross_notional)?,
            daily_loss: units(limits.max_daily_loss)?,
        })
    }

    /// Whether no limit is set.
    pub fn is_unlimited(&self) -> bool {
        matches!(
            self,
            Self {
                order_qty: None,
                order_notional: None,
                open_orders: None,
                orders_per_second: None,
                position: None,
                open_positions: None,
                gross_notional: None,
                daily_loss: None,
            }
        )
    }
}
