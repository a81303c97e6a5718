//! The instruments whose orders we place, with the currencies that they trade: fees come in either, or in BNB.
use super::VENUE;
use super::error::bad_field;
use crate::gateway::{Listed, WireError, shortened};
use onetape_engine::event::InstrumentDefined;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{NumberError, Price, Qty};
use rust_decimal::Decimal;
use std::collections::HashMap;

/// An instrument and its currencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its id, symbol and decimals.
    pub listed: Listed,
    /// What is bought, upper case.
    pub base: String,
    /// What it is paid in, upper case.
    pub quote: String,
}

impl Pair {
    pub(super) fn price(&self, field: &'static str, text: &str) -> Result<Price, WireError> {
        let read = self.listed.decimals.parse_price(text);
        read.map_err(|why| self.number(field, text, why))
    }

    pub(super) fn qty(&self, field: &'static str, text: &str) -> Result<Qty, WireError> {
        let read = self.listed.decimals.parse_qty(text);
        read.map_err(|why| self.number(field, text, why))
    }

    fn number(&self, field: &'static str, text: &str, why: NumberError) -> WireError {
        WireError::Number {
            venue: VENUE,
            symbol: self.listed.symbol.clone(),
            field,
            value: shortened(text),
            why,
        }
    }

    /// A commission in the quote currency: as it is, at the fill's price where it was taken from what was bought, and
    /// `None` where it was taken in another currency (BNB).
    pub fn fee_in_quote(&self, amount: Decimal, asset: &str, price: Price) -> Option<Decimal> {
        if amount.is_zero() || asset == self.quote {
            return Some(amount);
        }
        let price = self.listed.decimals.price_decimal(price);
        (asset == self.base)
            .then(|| amount.checked_mul(price))
            .flatten()
            .map(|fee| fee.normalize())
    }
}

/// All of them, by symbol and by id.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    pairs: Vec<Pair>,
    by_symbol: HashMap<String, usize>,
    by_id: HashMap<InstrumentId, usize>,
}

impl Pairs {
    /// From their definitions on the tape.
    pub fn new<'a>(definitions: impl IntoIterator<Item = &'a InstrumentDefined>) -> Self {
        let mut pairs = Self::default();
        for one in definitions {
            let place = pairs.pairs.len();
            pairs.by_symbol.insert(one.symbol.clone(), place);
            pairs.by_id.insert(one.instrument, place);
            pairs.pairs.push(Pair {
                listed: Listed {
                    instrument: one.instrument,
                    symbol: one.symbol.clone(),
                    decimals: one.decimals,
                },
                base: one.base.clone(),
                quote: one.quote.clone(),
            });
        }
        pairs
    }

    /// By the venue's symbol.
    pub fn symbol(&self, symbol: &str) -> Option<&Pair> {
        let place = self.by_symbol.get(symbol)?;
        self.pairs.get(*place)
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&Pair> {
        let place = self.by_id.get(&id)?;
        self.pairs.get(*place)
    }

    /// In the order given.
    pub fn as_slice(&self) -> &[Pair] {
        &self.pairs
    }
}

/// An amount of money, exact.
pub(super) fn decimal(
    message: &str,
    field: &'static str,
    text: &str,
) -> Result<Decimal, WireError> {
    Decimal::from_str_exact(text).map_err(|_| {
        bad_field(
            message,
            field,
            text,
            "a decimal number of at most 28 digits",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use onetape_engine::number::Decimals;

    #[test]
    fn a_commission_is_converted_where_it_was_taken_from_the_pair() {
        let pair = Pair {
            listed: Listed {
                instrument: InstrumentId(0),
                symbol: "ETHBTC".into(),
                decimals: Decimals { price: 8, qty: 8 },
            },
            base: "ETH".into(),
            quote: "BTC".into(),
        };
        let price = pair.price("L", "0.10264400").unwrap();
        let fee = |amount: &str, asset: &str| {
            pair.fee_in_quote(Decimal::from_str_exact(amount).unwrap(), asset, price)
                .map(|fee| fee.to_string())
        };
        assert_eq!(fee("0.00040000", "ETH").as_deref(), Some("0.0000410576"));
        assert_eq!(fee("0.0004", "BTC").as_deref(), Some("0.0004"));
        assert_eq!(fee("0.0004", "BNB"), None);
        assert_eq!(fee("0", "").as_deref(), Some("0"), "no fee, in nothing");
    }
}
