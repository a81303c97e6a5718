//! Order sizes: as parameters name them, or found at first sight of the market.
use crate::id::InstrumentId;
use crate::market::Market;
use crate::number::{Decimals, MONEY_DECIMALS, Qty, pow10};
use crate::order::Side;
use crate::time::Nanos;
use rust_decimal::Decimal;

/// Checks a size parameter against the instrument's decimals.
pub(super) fn bind_qty(qty: Option<Decimal>, decimals: Decimals) -> Result<Option<Qty>, String> {
    let bound = qty
        .map(|qty| decimals.qty_from(qty))
        .transpose()
        .map_err(|e| format!("qty: {e}"))?;
    match bound {
        Some(qty) if qty.0 <= 0 => Err(format!(
            "qty must be positive, found {}",
            decimals.qty_decimal(qty)
        )),
        bound => Ok(bound),
    }
}

/// The size of a strategy whose parameters name none, once its instrument's market is live: the fewest lots that are
/// worth at least 100 of the quote currency.
#[cold]
pub(super) fn size_at_first_sight(
    bound: Option<InstrumentId>,
    now: Nanos,
    market: &Market,
) -> Option<Qty> {
    let instrument = market.instrument(bound?).ok()?;
    let rules = instrument.rules_at(now)?;
    let price = instrument.top()?.side(Side::Sell)?.price;
    let lot_value = instrument
        .decimals()
        .notional(price, rules.lot_size)
        .ok()
        .filter(|value| value.0 > 0)?;
    let lot = i128::from(rules.lot_size.0);
    let lots = (100 * pow10(MONEY_DECIMALS)?).checked_add(lot_value.0 - 1)? / lot_value.0;
    let least = (i128::from(rules.min_qty.0) + lot - 1) / lot;
    let qty = lots.max(least).checked_mul(lot)?;
    i64::try_from(qty).ok().map(Qty)
}
