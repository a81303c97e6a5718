//! Numbers as the venue writes them: JSON numbers, plain (37625) or scientific (1.16539E8, 8.428e-05), and the same in
//! strings. They are read from their text digit by digit: a float would change the last digits of a balance.
use onetape_engine::number::{NumberError, pow10};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Exponents beyond this are no amounts of anything.
const EXPONENT_MAX: i32 = 1_000;

/// A decimal number, exact: `digits` times ten to the power `exponent`; the last digit is not 0 unless all of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    digits: i128,
    exponent: i32,
}

impl Number {
    /// Reads decimal text with or without an exponent.
    ///
    /// # Errors
    /// [`NumberError::NotANumber`], or [`NumberError::Overflow`] for more than 38 significant digits.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let not_a_number = || NumberError::NotANumber(text.chars().take(40).collect());
        let overflow = || NumberError::Overflow { what: "number" };
        let (coefficient, exponent) = match text.split_once(['e', 'E']) {
            Some((coefficient, exponent)) => {
                let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(not_a_number());
                }
                // What does not fit is out of range just as well.
                let size = digits.parse().unwrap_or(i32::MAX);
                let signed = if exponent.starts_with('-') {
                    -size
                } else {
                    size
                };
                (coefficient, signed)
            }
            None => (text, 0),
        };
        let (negative, unsigned) = match coefficient.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, coefficient),
        };
        let (mut digits, mut zeros) = (0i128, 0u32);
        let mut fraction: Option<i32> = None;
        let mut seen = false;
        for byte in unsigned.bytes() {
            match byte {
                b'.' if fraction.is_none() => {
                    fraction = Some(0);
                    continue;
                }
                b'0' if digits == 0 => {}
                b'0' => zeros = zeros.saturating_add(1),
                b'1'..=b'9' => {
                    // Zeros count once a digit follows them.
                    digits = pow10(zeros.saturating_add(1))
                        .and_then(|unit| digits.checked_mul(unit))
                        .and_then(|digits| digits.checked_add(i128::from(byte - b'0')))
                        .ok_or_else(overflow)?;
                    zeros = 0;
                }
                _ => return Err(not_a_number()),
            }
            seen = true;
            fraction = fraction.map(|count| count.saturating_add(1));
        }
        if !seen {
            return Err(not_a_number());
        }
        if digits == 0 {
            return Ok(Self {
                digits,
                exponent: 0,
            });
        }
        let exponent = exponent
            .saturating_sub(fraction.unwrap_or(0))
            .saturating_add_unsigned(zeros);
        if exponent.abs() > EXPONENT_MAX {
            return Err(overflow());
        }
        Ok(Self {
            digits: if negative { -digits } else { digits },
            exponent,
        })
    }

    /// The mantissa at `decimals` decimals.
    ///
    /// # Errors
    /// [`NumberError::Inexact`] when it has more decimals, [`NumberError::Overflow`] when it does not fit.
    pub fn mantissa(self, decimals: u32) -> Result<i64, NumberError> {
        let shift = self.exponent.saturating_add_unsigned(decimals);
        let Ok(shift) = u32::try_from(shift) else {
            return Err(NumberError::Inexact {
                value: format!("{}e{}", self.digits, self.exponent),
                decimals,
            });
        };
        self.times_ten_to(shift)
            .and_then(|mantissa| i64::try_from(mantissa).ok())
            .ok_or(NumberError::Overflow { what: "number" })
    }

    /// The number as an amount of money.
    ///
    /// # Errors
    /// [`NumberError::Overflow`] when it needs more than the 28 digits of a `Decimal`.
    pub fn decimal(self) -> Result<Decimal, NumberError> {
        let exact = match u32::try_from(self.exponent) {
            Ok(shift) => self
                .times_ten_to(shift)
                .and_then(|whole| Decimal::try_from_i128_with_scale(whole, 0).ok()),
            Err(_) => {
                let scale = self.exponent.unsigned_abs();
                Decimal::try_from_i128_with_scale(self.digits, scale).ok()
            }
        };
        exact.ok_or(NumberError::Overflow {
            what: "a number of more than 28 digits",
        })
    }

    fn times_ten_to(self, shift: u32) -> Option<i128> {
        pow10(shift).and_then(|unit| self.digits.checked_mul(unit))
    }
}

/// A number that is still text, from a JSON number or string.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct NumberText<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> NumberText<'a> {
    /// The text without quotes.
    pub fn text(self) -> &'a str {
        let text = self.0.get();
        let quoted = text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        quoted.unwrap_or(text)
    }

    /// The number.
    ///
    /// # Errors
    /// As [`Number::parse`].
    pub fn number(self) -> Result<Number, NumberError> {
        Number::parse(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_venue_sends_is_read_exactly() {
        for (text, decimals, mantissa) in [
            ("1.16539E8", 0, 116_539_000),
            ("1.16539E8", 8, 11_653_900_000_000_000),
            ("8.428e-05", 8, 8_428),
            ("6.314e-05", 10, 631_400),
            ("4280000.0", 0, 4_280_000),
            ("0.00077720", 8, 77_720),
            ("37625", 2, 3_762_500),
            ("-3.06e+2", 0, -306),
            ("0e99999999999", 8, 0),
            ("0.0", 0, 0),
            (
                "1.0000000000000000000000000000000000000000000000000e3",
                0,
                1_000,
            ),
        ] {
            assert_eq!(
                Number::parse(text).unwrap().mantissa(decimals),
                Ok(mantissa),
                "{text}"
            );
        }
        let tiny = Number::parse("0.00000000000000000000001").unwrap();
        assert_eq!(
            tiny.decimal().unwrap().to_string(),
            "0.00000000000000000000001"
        );
        assert!(matches!(tiny.mantissa(8), Err(NumberError::Inexact { .. })));
        assert!(matches!(
            Number::parse("8.428e-05").unwrap().mantissa(7),
            Err(NumberError::Inexact { .. })
        ));
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "1e5.0", "1.2.3", "NaN", " 1", "+1", "1_0", "0x1",
        ] {
            assert!(
                matches!(Number::parse(text), Err(NumberError::NotANumber(_))),
                "{text}"
            );
        }
        for text in [
            "1e2000",
            "1e-2000",
            "1e99999999999999999999",
            &"9".repeat(40),
        ] {
            assert!(
                matches!(Number::parse(text), Err(NumberError::Overflow { .. })),
                "{text}"
            );
        }
        let wide = Number::parse("1e19").unwrap();
        assert!(matches!(
            wide.mantissa(0),
            Err(NumberError::Overflow { .. })
        ));
        assert!(Number::parse("1e30").unwrap().decimal().is_err());
        assert!(Number::parse("1e-30").unwrap().decimal().is_err());
    }

    proptest! {
        /// Against rust_decimal's own reading, written plain, and with the point moved by an exponent.
        #[test]
        fn scientific_notation_is_what_a_decimal_says(mantissa: i64, scale in 0u32..12, move_by in -12i32..12, big: bool) {
            let value = Decimal::new(mantissa, scale);
            let e = if big { 'E' } else { 'e' };
            let text = format!("{value}{e}{move_by}");
            let read = Number::parse(&text).unwrap();
            // Beyond 28 digits it has no answer.
            let expected = Decimal::from_scientific(&text);
            prop_assume!(expected.is_ok());
            let expected = expected.unwrap();
            prop_assert_eq!(read.decimal().unwrap(), expected);
            prop_assert_eq!(Number::parse(&expected.to_string()).unwrap(), read);
            if let Ok(mantissa) = read.mantissa(8) {
                prop_assert_eq!(Decimal::new(mantissa, 8), expected);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+.eE0-9x]{0,60}", decimals in 0u32..40) {
            if let Ok(number) = Number::parse(&text) {
                let _ = (number.mantissa(decimals), number.decimal());
            }
        }
    }
}
