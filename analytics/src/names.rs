//! The names and decimals that frames refer to by number, learnt from the frames that define them, and the numbers as
//! the tables' exact columns hold them.
use crate::error::RowError;
use onetape_engine::event::{Event, InstrumentDefined};
use onetape_engine::id::{InstrumentId, StrategyId};
use onetape_engine::market::Instrument;
use onetape_engine::number::{Decimals, MONEY_DECIMALS, Money, Price, Qty, pow10};
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

/// The largest mantissa of a `Decimal(38, 18)` column.
const DECIMAL_MAX: i128 = 10i128.pow(38) - 1;

struct Known {
    name: String,
    decimals: Decimals,
    /// A price mantissa times this is in units of 1e-18.
    price_unit: i128,
    /// A quantity mantissa times this is in units of 1e-18.
    qty_unit: i128,
}

/// A whole number as a decimal column holds it.
pub(crate) fn whole(value: impl Into<i128>) -> i128 {
    const UNIT: i128 = 10i128.pow(18);
    value.into() * UNIT
}

/// What earlier frames have named.
#[derive(Default)]
pub(crate) struct Names {
    instruments: Vec<Known>,
    strategies: Vec<String>,
}

impl Names {
    /// Learns from a frame, if it defines a name.
    pub(crate) fn learn(&mut self, event: &Event<'_>) -> Result<(), RowError> {
        match event {
            Event::InstrumentDefined(definition) => self.define(definition)?,
            Event::SessionStart(start) => {
                self.strategies = start
                    .config
                    .strategies
                    .iter()
                    .map(|s| s.id.clone())
                    .collect();
            }
            _ => {}
        }
        Ok(())
    }

    fn define(&mut self, definition: &InstrumentDefined) -> Result<(), RowError> {
        let found = definition.instrument.0;
        if definition.instrument.index() != self.instruments.len() {
            return Err(RowError::Instrument {
                found,
                what: "defined out of turn",
            });
        }
        let d = definition.decimals;
        let unit = |decimals: u8| MONEY_DECIMALS.checked_sub(decimals.into()).and_then(pow10);
        let (Some(price_unit), Some(qty_unit), Ok(_)) =
            (unit(d.price), unit(d.qty), Decimals::new(d.price, d.qty))
        else {
            return Err(RowError::Instrument {
                found,
                what: "defined with more than 18 decimals",
            });
        };
        self.instruments.push(Known {
            name: Instrument::full_name(definition),
            decimals: d,
            price_unit,
            qty_unit,
        });
        Ok(())
    }

    fn known(&self, id: InstrumentId) -> Result<&Known, RowError> {
        let missing = RowError::Instrument {
            found: id.0,
            what: "not defined by any earlier frame",
        };
        self.instruments.get(id.index()).ok_or(missing)
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Result<&str, RowError> {
        self.known(id).map(|known| known.name.as_str())
    }

    pub(crate) fn strategy(&self, id: StrategyId) -> Result<&str, RowError> {
        self.strategies
            .get(id.index())
            .map(String::as_str)
            .ok_or(RowError::Strategy(id.0))
    }

    /// A price in units of 1e-18. Always fits: an `i64` has 19 digits, and 19 + 18 is below 38.
    pub(crate) fn price(&self, id: InstrumentId, price: Price) -> Result<i128, RowError> {
        Ok(i128::from(price.0) * self.known(id)?.price_unit)
    }

    /// A quantity in units of 1e-18.
    pub(crate) fn qty(&self, id: InstrumentId, qty: Qty) -> Result<i128, RowError> {
        Ok(i128::from(qty.0) * self.known(id)?.qty_unit)
    }

    /// Price times quantity, exact, in units of 1e-18.
    pub(crate) fn notional(
        &self,
        id: InstrumentId,
        price: Price,
        qty: Qty,
    ) -> Result<i128, RowError> {
        match self.known(id)?.decimals.notional(price, qty) {
            Ok(notional) => money("notional", notional),
            Err(_) => Err(RowError::Range {
                what: "notional",
                value: format!("{} x {}", price.0, qty.0),
                expected: "less than 1e20",
            }),
        }
    }
}

/// An amount of money in units of 1e-18.
pub(crate) fn money(what: &'static str, money: Money) -> Result<i128, RowError> {
    if money.0.unsigned_abs() > DECIMAL_MAX.unsigned_abs() {
        return Err(RowError::Range {
            what,
            value: money.to_string(),
            expected: "less than 1e20",
        });
    }
    Ok(money.0)
}

/// A decimal of any scale in units of 1e-18; `None` where those can't hold it exactly.
pub(crate) fn decimal(value: Decimal) -> Option<i128> {
    Money::from_decimal(value)
        .ok()
        .map(|money| money.0)
        .filter(|units| units.unsigned_abs() <= DECIMAL_MAX.unsigned_abs())
}

/// A time as a signed count of ns since 1970 UTC; `None` past 2262-04-11, where that ends.
pub(crate) fn time(at: Nanos) -> Option<i64> {
    i64::try_from(at.0).ok()
}

/// A venue's own time; `None` where the feed has none.
pub(crate) fn venue_time(ns: u64) -> Option<i64> {
    some_id(ns).and_then(|ns| time(Nanos(ns)))
}

/// A number that is 0 where there is none.
pub(crate) fn some_id(id: u64) -> Option<u64> {
    (id != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_carried_over_exactly_or_not_at_all() {
        assert_eq!(
            decimal(Decimal::new(15, 1)),
            Some(1_500_000_000_000_000_000)
        );
        assert_eq!(decimal(Decimal::new(1, 19)), None);
        assert_eq!(decimal(Decimal::MAX), None);
    }

    #[test]
    fn money_beyond_38_digits_is_refused() {
        assert_eq!(money("fee", Money(DECIMAL_MAX)).unwrap(), DECIMAL_MAX);
        assert!(money("fee", Money(DECIMAL_MAX + 1)).is_err());
        assert!(money("fee", Money(-DECIMAL_MAX - 1)).is_err());
        assert!(money("fee", Money(i128::MIN)).is_err());
    }

    #[test]
    fn the_largest_price_fits_its_column() {
        let mut names = Names::default();
        let definition = InstrumentDefined {
            instrument: InstrumentId(0),
            venue: "v".into(),
            symbol: "s".into(),
            instrument_type: onetape_engine::event::InstrumentType::Spot,
            base: "b".into(),
            quote: "q".into(),
            decimals: Decimals { price: 0, qty: 18 },
        };
        names.define(&definition).unwrap();
        let largest = names.price(InstrumentId(0), Price(i64::MIN)).unwrap();
        assert!(largest.unsigned_abs() <= DECIMAL_MAX.unsigned_abs());
        assert!(
            names.define(&definition).is_err(),
            "a second definition of the same number"
        );
    }
}
