//! The instruments whose orders we place, with the currencies that they trade: fees come in either, or in BNB.
use super::VENUE;
use super::error::bad_field;
use crate::gateway::{Growing, Listed, WireError, shortened};
use onetape_engine::event::InstrumentDefined;
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{NumberError, Price, Qty};
use rust_decimal::Decimal;

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

impl AsRef<Listed> for Pair {
    fn as_ref(&self) -> &Listed {
        &self.listed
    }
}

/// All of them, by symbol and by id. Clones share them: what is added later is known to all.
#[derive(Clone, Debug, Default)]
pub struct Pairs(Growing<Pair>);

impl Pairs {
    /// From their definitions on the tape.
    pub fn new<'a>(definitions: impl IntoIterator<Item = &'a InstrumentDefined>) -> Self {
        Self(Growing::new(definitions.into_iter().map(pair)))
    }

    /// Adds some that are not among them.
    pub fn add<'a>(&self, definitions: impl IntoIterator<Item = &'a InstrumentDefined>) {
        self.0.add(definitions.into_iter().map(pair));
    }

    /// By the venue's symbol.
    pub fn symbol(&self, symbol: &str) -> Option<&Pair> {
        self.0.symbol(symbol)
    }

    /// By the tape's id.
    pub fn id(&self, id: InstrumentId) -> Option<&Pair> {
        self.0.id(id)
    }

    /// In the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter()
    }
}

fn pair(one: &InstrumentDefined) -> Pair {
    Pair {
        listed: Listed {
            instrument: one.instrument,
            symbol: one.symbol.clone(),
            decimals: one.decimals,
        },
        base: one.base.clone(),
        quote: one.quote.clone(),
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
