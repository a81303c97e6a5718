//! The tape's words for its enumerations; a test holds them against what the frames' own encoding says.
use crate::error::RowError;
use onetape_engine::event::{
    Aggressor, Feed, FeedCondition, InstrumentType, Liquidity, OperatorAction, StaleReason,
    TradingStatus, VenueReason,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, RoundingMode};
use onetape_engine::order::{OrderType, Side, TimeInForce};
use onetape_engine::risk::HaltReason;
use serde::Serialize;
use serde_json::Value;

/// The word that the tape's own encoding has for a value.
pub(crate) fn of(value: &impl Serialize) -> Result<String, RowError> {
    Ok(match serde_json::to_value(value)? {
        Value::String(word) => word,
        other => other.to_string(),
    })
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, RowError> {
    Ok(serde_json::to_string(value)?)
}

pub(crate) const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

pub(crate) const fn order_type(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Limit => "limit",
        OrderType::Market => "market",
        OrderType::Stop => "stop",
    }
}

pub(crate) const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        TimeInForce::GoodTillCancel => "good_till_cancel",
        TimeInForce::ImmediateOrCancel => "immediate_or_cancel",
        TimeInForce::PostOnly => "post_only",
    }
}

pub(crate) const fn liquidity(liquidity: Liquidity) -> &'static str {
    match liquidity {
        Liquidity::Maker => "maker",
        Liquidity::Taker => "taker",
    }
}

pub(crate) const fn venue_reason(reason: VenueReason) -> &'static str {
    match reason {
        VenueReason::Requested => "requested",
        VenueReason::NoLiquidity => "no_liquidity",
        VenueReason::WouldTake => "would_take",
        VenueReason::MarketNotOpen => "market_not_open",
        VenueReason::Seeded => "seeded",
        VenueReason::Lost => "lost",
        VenueReason::Rules => "rules",
        VenueReason::Resolved => "resolved",
        VenueReason::Other => "other",
    }
}

/// The fixed layout has a byte, no word; the word is the one that commands print.
pub(crate) const fn aggressor(aggressor: Aggressor) -> &'static str {
    match aggressor {
        Aggressor::Unknown => "unknown",
        Aggressor::Buyer => "buyer",
        Aggressor::Seller => "seller",
    }
}

pub(crate) const fn instrument_type(instrument_type: InstrumentType) -> &'static str {
    match instrument_type {
        InstrumentType::Spot => "spot",
        InstrumentType::Perpetual => "perpetual",
        InstrumentType::Binary => "binary",
        InstrumentType::Equity => "equity",
    }
}

pub(crate) const fn feed(feed: Feed) -> &'static str {
    match feed {
        Feed::Book => "book",
        Feed::Quotes => "quotes",
        Feed::Trades => "trades",
    }
}

pub(crate) const fn condition(condition: &FeedCondition) -> &'static str {
    match condition {
        FeedCondition::Snapshotting => "snapshotting",
        FeedCondition::Stale(_) => "stale",
    }
}

pub(crate) const fn stale_reason(condition: &FeedCondition) -> Option<&'static str> {
    match condition {
        FeedCondition::Snapshotting => None,
        FeedCondition::Stale(reason) => Some(match reason {
            StaleReason::Gap { .. } => "gap",
            StaleReason::Crossed => "crossed",
            StaleReason::BadLevel => "bad_level",
            StaleReason::Disconnected => "disconnected",
            StaleReason::Silent => "silent",
            StaleReason::OffGrid => "off_grid",
            StaleReason::OutOfBounds => "out_of_bounds",
        }),
    }
}

pub(crate) const fn gap(condition: &FeedCondition) -> Option<(u64, u64)> {
    match condition {
        FeedCondition::Stale(StaleReason::Gap { expected, found }) => Some((*expected, *found)),
        _ => None,
    }
}

pub(crate) const fn trading_status(status: TradingStatus) -> &'static str {
    match status {
        TradingStatus::Open => "open",
        TradingStatus::Halted => "halted",
        TradingStatus::Closed => "closed",
    }
}

pub(crate) const fn operator_action(action: &OperatorAction) -> &'static str {
    match action {
        OperatorAction::Halt => "halt",
        OperatorAction::Resume => "resume",
        OperatorAction::Stop { .. } => "stop",
        OperatorAction::Start => "start",
        OperatorAction::AcceptHoldings { .. } => "accept_holdings",
        OperatorAction::Backlog { .. } => "backlog",
        OperatorAction::VerificationFailed { .. } => "verification_failed",
        OperatorAction::DiskSpace { .. } => "disk_space",
    }
}

pub(crate) const fn fee_formula(formula: &FeeFormula) -> &'static str {
    match formula {
        FeeFormula::Notional { .. } => "notional",
        FeeFormula::Probability { .. } => "probability",
        FeeFormula::PerUnit { .. } => "per_unit",
    }
}

pub(crate) const fn fee_accrual(accrual: FeeAccrual) -> &'static str {
    match accrual {
        FeeAccrual::PerFill => "per_fill",
        FeeAccrual::PerOrder => "per_order",
        FeeAccrual::KalshiRebate => "kalshi_rebate",
    }
}

pub(crate) const fn rounding_mode(mode: RoundingMode) -> &'static str {
    match mode {
        RoundingMode::Up => "up",
        RoundingMode::Down => "down",
        RoundingMode::Nearest => "nearest",
    }
}

pub(crate) const fn halt_reason(reason: HaltReason) -> &'static str {
    match reason {
        HaltReason::Operator => "operator",
        HaltReason::ClockDrift => "clock_drift",
        HaltReason::DailyLoss { .. } => "daily_loss",
        HaltReason::IllegalMove { .. } => "illegal_move",
        HaltReason::Unreconciled { .. } => "unreconciled",
        HaltReason::HoldingsDiffer { .. } => "holdings_differ",
        HaltReason::Stopping => "stopping",
        HaltReason::Backlog => "backlog",
        HaltReason::Verification => "verification",
        HaltReason::Disk => "disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::id::{OrderId, StrategyId};
    use rust_decimal::Decimal;
    use serde::Serialize;
    use serde_json::Value;

    /// The word in the frame's own encoding: the variant's name, or the key of a variant with content.
    fn encoded<T: Serialize>(value: &T) -> String {
        match serde_json::to_value(value).unwrap() {
            Value::String(word) => word,
            Value::Object(fields) => fields.keys().next().unwrap().clone(),
            other => panic!("{other} is no word"),
        }
    }

    #[test]
    fn the_words_are_those_of_the_frames_encoding() {
        fn check<T: Serialize + Copy>(values: &[T], word: fn(T) -> &'static str) {
            for value in values {
                assert_eq!(word(*value), encoded(value));
            }
        }
        use VenueReason::*;
        check(&[Side::Buy, Side::Sell], side);
        check(
            &[OrderType::Limit, OrderType::Market, OrderType::Stop],
            order_type,
        );
        check(
            &[
                TimeInForce::GoodTillCancel,
                TimeInForce::ImmediateOrCancel,
                TimeInForce::PostOnly,
            ],
            time_in_force,
        );
        check(&[Liquidity::Maker, Liquidity::Taker], liquidity);
        check(
            &[
                Requested,
                NoLiquidity,
                WouldTake,
                MarketNotOpen,
                Seeded,
                Lost,
                Rules,
                Resolved,
                Other,
            ],
            venue_reason,
        );
        check(
            &[
                InstrumentType::Spot,
                InstrumentType::Perpetual,
                InstrumentType::Binary,
                InstrumentType::Equity,
            ],
            instrument_type,
        );
        check(&[Feed::Book, Feed::Quotes, Feed::Trades], feed);
        check(
            &[
                TradingStatus::Open,
                TradingStatus::Halted,
                TradingStatus::Closed,
            ],
            trading_status,
        );
        check(
            &[RoundingMode::Up, RoundingMode::Down, RoundingMode::Nearest],
            rounding_mode,
        );
        check(
            &[
                FeeAccrual::PerFill,
                FeeAccrual::PerOrder,
                FeeAccrual::KalshiRebate,
            ],
            fee_accrual,
        );
        let daily_loss = HaltReason::DailyLoss {
            strategy: StrategyId(0),
        };
        check(
            &[
                HaltReason::Operator,
                HaltReason::ClockDrift,
                daily_loss,
                HaltReason::IllegalMove { order: OrderId(0) },
            ],
            halt_reason,
        );
        for action in [OperatorAction::Halt, OperatorAction::Resume] {
            assert_eq!(operator_action(&action), encoded(&action));
        }
        for formula in [
            FeeFormula::notional(Decimal::ONE),
            FeeFormula::probability(Decimal::ONE),
            FeeFormula::PerUnit {
                rate: Decimal::ONE,
                minimum: Decimal::ONE,
                maximum: Decimal::ONE,
            },
        ] {
            assert_eq!(fee_formula(&formula), encoded(&formula));
        }
        let gap_of_ids = StaleReason::Gap {
            expected: 1,
            found: 2,
        };
        let reasons = [
            gap_of_ids,
            StaleReason::Crossed,
            StaleReason::BadLevel,
            StaleReason::Disconnected,
            StaleReason::Silent,
            StaleReason::OffGrid,
            StaleReason::OutOfBounds,
        ];
        for reason in reasons {
            let stale = FeedCondition::Stale(reason.clone());
            assert_eq!(condition(&stale), encoded(&stale));
            assert_eq!(stale_reason(&stale), Some(encoded(&reason).as_str()));
        }
        assert_eq!(
            condition(&FeedCondition::Snapshotting),
            encoded(&FeedCondition::Snapshotting)
        );
    }
}
