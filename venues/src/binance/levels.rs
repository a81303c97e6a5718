//! The price levels of a depth message: `[["price","quantity"],...]`, read in place.
use super::error::DecodeError;
use onetape_engine::event::Level;
use onetape_engine::number::Decimals;
use serde_json::value::RawValue;

/// Levels that are still text.
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a> {
    field: &'static str,
    text: &'a str,
}

impl<'a> Levels<'a> {
    pub(super) fn new(field: &'static str, raw: &'a RawValue) -> Self {
        Self {
            field,
            text: raw.get(),
        }
    }

    /// Calls `each` with every price and quantity, as text.
    ///
    /// # Errors
    /// [`DecodeError::BadField`] when it is no list of pairs of strings; what `each` returns.
    pub fn for_each<E: From<DecodeError>>(
        &self,
        mut each: impl FnMut(&'a str, &'a str) -> Result<(), E>,
    ) -> Result<(), E> {
        let bad = || {
            DecodeError::bad(
                self.field,
                self.text,
                "a list of [\"price\",\"quantity\"] pairs",
            )
        };
        let mut scan = Scan {
            text: self.text,
            at: 0,
        };
        scan.token(b'[').ok_or_else(bad)?;
        if scan.token(b']').is_some() {
            return Ok(());
        }
        loop {
            let (price, qty) = scan.pair().ok_or_else(bad)?;
            each(price, qty)?;
            if scan.token(b',').is_none() {
                return scan.token(b']').ok_or_else(|| bad().into());
            }
        }
    }

    /// Appends the levels to `out` as mantissas; a level's price must be positive, its quantity not negative.
    ///
    /// # Errors
    /// [`DecodeError`]; `out` may hold a part of the levels then.
    pub fn parse(&self, decimals: Decimals, out: &mut Vec<Level>) -> Result<(), DecodeError> {
        self.for_each(|price_text, qty_text| {
            let price = decimals
                .parse_price(price_text)
                .map_err(|why| DecodeError::number(self.field, price_text, why))?;
            let qty = decimals
                .parse_qty(qty_text)
                .map_err(|why| DecodeError::number(self.field, qty_text, why))?;
            if price.0 <= 0 {
                return Err(DecodeError::bad(
                    self.field,
                    price_text,
                    "a price above zero",
                ));
            }
            if qty.0 < 0 {
                return Err(DecodeError::bad(
                    self.field,
                    qty_text,
                    "a quantity that is not negative",
                ));
            }
            out.push(Level { price, qty });
            Ok(())
        })
    }
}

/// A cursor over JSON that is known to be well formed.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn token(&mut self, wanted: u8) -> Option<()> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        (bytes.get(self.at) == Some(&wanted)).then(|| self.at += 1)
    }

    /// A string without escapes: numbers need none.
    fn string(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let rest = self.text.get(self.at..)?;
        let text = rest.get(..rest.find(['"', '\\'])?)?;
        self.at += text.len();
        self.token(b'"')?;
        Some(text)
    }

    fn pair(&mut self) -> Option<(&'a str, &'a str)> {
        self.token(b'[')?;
        let price = self.string()?;
        self.token(b',')?;
        let qty = self.string()?;
        self.token(b']')?;
        Some((price, qty))
    }
}
