//! Prices, quantities and money: integers inside, decimals at the edge, exact or an error in between.
//!
//! A [`Price`] or [`Qty`] is a mantissa in its instrument's own decimals ([`Decimals`]); [`Money`] is a mantissa in
//! units of 1e-18. An instrument's price and quantity decimals add up to 18 at the most, so every notional
//! (price times quantity) is an exact `Money`.
use core::fmt;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Decimals of [`Money`]: one unit of its mantissa is 1e-18 of the currency.
pub const MONEY_DECIMALS: u32 = 18;

/// A price as a mantissa in the instrument's price decimals: 6173763 at 2 decimals is 61737.63.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Price(pub i64);

/// A quantity as a mantissa in the instrument's quantity decimals; signed where it is a position.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Qty(pub i64);

/// An exact amount of one currency, in units of 1e-18. Decimal text where people read it, an integer on the tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub i128);

/// Why a number could not be carried over exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a decimal number.
    #[error("'{0}' is not a decimal number")]
    NotANumber(String),
    /// The number has more decimals than the target keeps.
    #[error("{value} has more than {decimals} decimals")]
    Inexact {
        /// The number as given.
        value: String,
        /// How many decimals the target keeps.
        decimals: u32,
    },
    /// The result does not fit its integer.
    #[error("{what} overflows")]
    Overflow {
        /// The quantity that was computed.
        what: &'static str,
    },
    /// Price and quantity decimals together exceed what [`Money`] keeps.
    #[error("price decimals {price} and quantity decimals {qty} add up to more than 18")]
    TooManyDecimals {
        /// Price decimals.
        price: u32,
        /// Quantity decimals.
        qty: u32,
    },
}

/// The decimals of an instrument's prices and quantities; their sum is at most 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimals {
    /// Decimals of a price mantissa.
    pub price: u8,
    /// Decimals of a quantity mantissa.
    pub qty: u8,
}

/// 10 to the power `exponent`, or `None` past 38.
pub const fn pow10(exponent: u32) -> Option<i128> {
    const POWERS: [i128; 39] = {
        let mut powers = [1; 39];
        let mut exponent = 1;
        while exponent < powers.len() {
            powers[exponent] = powers[exponent - 1] * 10;
            exponent += 1;
        }
        powers
    };
    if (exponent as usize) < POWERS.len() {
        Some(POWERS[exponent as usize])
    } else {
        None
    }
}

impl Decimals {
    /// # Errors
    /// [`NumberError::TooManyDecimals`] when the sum is above 18.
    pub fn new(price: u8, qty: u8) -> Result<Self, NumberError> {
        if u32::from(price) + u32::from(qty) > MONEY_DECIMALS {
            return Err(NumberError::TooManyDecimals {
                price: price.into(),
                qty: qty.into(),
            });
        }
        Ok(Self { price, qty })
    }

    /// Price times quantity, exact.
    ///
    /// # Errors
    /// [`NumberError::Overflow`] when the result does not fit.
    pub fn notional(self, price: Price, qty: Qty) -> Result<Money, NumberError> {
        let scale = MONEY_DECIMALS - u32::from(self.price) - u32::from(self.qty);
        pow10(scale)
            .and_then(|unit| (i128::from(price.0) * i128::from(qty.0)).checked_mul(unit))
            .map(Money)
            .ok_or(NumberError::Overflow { what: "notional" })
    }

    /// The price as people read it.
    pub fn price_decimal(self, price: Price) -> Decimal {
        Decimal::new(price.0, self.price.into())
    }

    /// The quantity as people read it.
    pub fn qty_decimal(self, qty: Qty) -> Decimal {
        Decimal::new(qty.0, self.qty.into())
    }

    /// # Errors
    /// When `text` is no number, has too many decimals or does not fit.
    pub fn parse_price(self, text: &str) -> Result<Price, NumberError> {
        mantissa_from_text(text, self.price.into()).map(Price)
    }

    /// # Errors
    /// When `text` is no number, has too many decimals or does not fit.
    pub fn parse_qty(self, text: &str) -> Result<Qty, NumberError> {
        mantissa_from_text(text, self.qty.into()).map(Qty)
    }

    /// # Errors
    /// When `value` has too many decimals or does not fit.
    pub fn price_from(self, value: Decimal) -> Result<Price, NumberError> {
        mantissa_from_decimal(value, self.price.into()).map(Price)
    }

    /// # Errors
    /// When `value` has too many decimals or does not fit.
    pub fn qty_from(self, value: Decimal) -> Result<Qty, NumberError> {
        mantissa_from_decimal(value, self.qty.into()).map(Qty)
    }
}

/// Reads plain decimal text ("61737.63000000", "-0.5") as a mantissa with `decimals` decimals, never through a float.
/// Trailing zeros beyond `decimals` are fine, other digits there are an error. Exponents are not plain text.
///
/// # Errors
/// [`NumberError`] as named by its variants.
pub fn mantissa_from_text(text: &str, decimals: u32) -> Result<i64, NumberError> {
    let not_a_number = || NumberError::NotANumber(text.chars().take(40).collect());
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut value: i64 = 0;
    let mut fraction: Option<u32> = None;
    let mut seen = false;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                if let Some(kept) = fraction.as_mut() {
                    if *kept == decimals {
                        if byte != b'0' {
                            return Err(NumberError::Inexact {
                                value: text.chars().take(40).collect(),
                                decimals,
                            });
                        }
                        continue;
                    }
                    *kept += 1;
                }
                value = value
                    .checked_mul(10)
                    .and_then(|v| v.checked_add(i64::from(byte - b'0')))
                    .ok_or(NumberError::Overflow { what: "number" })?;
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return Err(not_a_number()),
        }
    }
    if !seen {
        return Err(not_a_number());
    }
    let missing = decimals - fraction.unwrap_or(0);
    let value = 10i64
        .checked_pow(missing)
        .and_then(|unit| value.checked_mul(unit))
        .ok_or(NumberError::Overflow { what: "number" })?;
    Ok(if negative { -value } else { value })
}

fn mantissa_from_decimal(value: Decimal, decimals: u32) -> Result<i64, NumberError> {
    let normal = value.normalize();
    let inexact = || NumberError::Inexact {
        value: value.to_string(),
        decimals,
    };
    let missing = decimals.checked_sub(normal.scale()).ok_or_else(inexact)?;
    pow10(missing)
        .and_then(|unit| normal.mantissa().checked_mul(unit))
        .and_then(|mantissa| i64::try_from(mantissa).ok())
        .ok_or(NumberError::Overflow { what: "number" })
}

impl Qty {
    /// The quantity without its sign.
    pub const fn abs(self) -> Qty {
        Qty(self.0.saturating_abs())
    }
}

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);

    /// # Errors
    /// [`NumberError::Overflow`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an operator could not say that it overflows"
    )]
    pub fn add(self, other: Money) -> Result<Money, NumberError> {
        self.0
            .checked_add(other.0)
            .map(Money)
            .ok_or(NumberError::Overflow {
                what: "sum of money",
            })
    }

    /// # Errors
    /// [`NumberError::Overflow`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an operator could not say that it overflows"
    )]
    pub fn sub(self, other: Money) -> Result<Money, NumberError> {
        self.0
            .checked_sub(other.0)
            .map(Money)
            .ok_or(NumberError::Overflow {
                what: "difference of money",
            })
    }

    /// The amount with the other sign.
    pub const fn negated(self) -> Money {
        Money(self.0.saturating_neg())
    }

    /// The amount as a decimal, exact.
    ///
    /// # Errors
    /// [`NumberError::Inexact`] when it needs more than the 28 digits that a `Decimal` holds.
    pub fn to_decimal(self) -> Result<Decimal, NumberError> {
        let (mut mantissa, mut scale) = (self.0, MONEY_DECIMALS);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| NumberError::Inexact {
            value: self.to_string(),
            decimals: 28,
        })
    }

    /// # Errors
    /// When `value` has more than 18 decimals or does not fit.
    pub fn from_decimal(value: Decimal) -> Result<Money, NumberError> {
        let normal = value.normalize();
        let inexact = || NumberError::Inexact {
            value: value.to_string(),
            decimals: MONEY_DECIMALS,
        };
        let missing = MONEY_DECIMALS
            .checked_sub(normal.scale())
            .ok_or_else(inexact)?;
        pow10(missing)
            .and_then(|unit| normal.mantissa().checked_mul(unit))
            .map(Money)
            .ok_or(NumberError::Overflow { what: "money" })
    }
}

impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i128(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let decimal = <Decimal as Deserialize>::deserialize(deserializer)?;
            Money::from_decimal(decimal).map_err(serde::de::Error::custom)
        } else {
            i128::deserialize(deserializer).map(Money)
        }
    }
}

/// Plain decimal text without trailing zeros; exact for every value.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: u128 = 1_000_000_000_000_000_000;
        let size = self.0.unsigned_abs();
        let (whole, fraction) = (size / UNIT, size % UNIT);
        let text = format!("{fraction:018}");
        let kept = text.trim_end_matches('0');
        let dot = if kept.is_empty() { "" } else { "." };
        f.pad_integral(self.0 >= 0, "", &format!("{whole}{dot}{kept}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_read_exactly_or_refused() {
        assert_eq!(mantissa_from_text("61737.63000000", 2), Ok(6_173_763));
        assert_eq!(mantissa_from_text("-0.5", 3), Ok(-500));
        assert_eq!(mantissa_from_text(".5", 1), Ok(5));
        assert!(matches!(
            mantissa_from_text("0.005", 2),
            Err(NumberError::Inexact { .. })
        ));
        for bad in ["", "-", ".", "1e5", "1.2.3", "NaN", " 1", "0x1"] {
            assert!(
                matches!(mantissa_from_text(bad, 2), Err(NumberError::NotANumber(_))),
                "{bad}"
            );
        }
        assert!(matches!(
            mantissa_from_text("99999999999999999999", 0),
            Err(NumberError::Overflow { .. })
        ));
    }

    #[test]
    fn money_prints_every_digit_it_has() {
        assert_eq!(Money(1_500_000_000_000_000_000).to_string(), "1.5");
        assert_eq!(Money(-1).to_string(), "-0.000000000000000001");
        assert_eq!(Money(0).to_string(), "0");
    }

    #[test]
    fn decimals_that_would_lose_money_digits_are_refused() {
        assert!(Decimals::new(10, 8).is_ok());
        assert!(Decimals::new(10, 9).is_err());
    }

    proptest! {
        #[test]
        fn decimal_round_trips(mantissa in any::<i64>(), scale in 0u32..=18) {
            let value = Decimal::new(mantissa, scale);
            let money = Money::from_decimal(value).unwrap();
            prop_assert_eq!(money.to_decimal().unwrap(), value);
            prop_assert_eq!(money.to_string(), value.normalize().to_string());
        }

        #[test]
        fn price_text_round_trips(mantissa in any::<i32>(), decimals in 0u8..=9) {
            let d = Decimals::new(decimals, 0).unwrap();
            let price = Price(mantissa.into());
            prop_assert_eq!(d.parse_price(&d.price_decimal(price).to_string()), Ok(price));
        }

        #[test]
        fn notional_is_the_exact_product(price in -1_000_000_000i64..1_000_000_000, qty in -1_000_000_000i64..1_000_000_000) {
            let d = Decimals::new(2, 5).unwrap();
            let exact = d.price_decimal(Price(price)) * d.qty_decimal(Qty(qty));
            prop_assert_eq!(d.notional(Price(price), Qty(qty)).unwrap().to_decimal().unwrap(), exact.normalize());
        }
    }
}
