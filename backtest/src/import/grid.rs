//! The grid that numbers lie on: how many decimals they need, and their greatest common divisor.
use super::error::Fault;
use onetape_engine::number::{NumberError, mantissa_from_text, pow10};
use std::borrow::Cow;

/// Most decimals that any number may have.
const DECIMALS_MAX: u32 = 18;

/// A decimal number without trailing zeros: `mantissa / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) mantissa: i128,
    pub(super) decimals: u32,
}

/// Reads a number exactly, "6.1e-5" included: CSV and JSON writers fall back to exponents for small numbers.
pub(super) fn plain(text: &str) -> Result<Plain, NumberError> {
    let not_a_number = || NumberError::NotANumber(text.chars().take(40).collect());
    let (digits, exponent) = split_exponent(text)?;
    let (negative, digits) = digits
        .strip_prefix('-')
        .map_or((false, digits), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return Err(not_a_number());
    }
    let fraction = fraction.trim_end_matches('0');
    let (mut mantissa, mut decimals) = (
        0i128,
        i64::try_from(fraction.len()).unwrap_or(i64::MAX) - exponent,
    );
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return Err(not_a_number());
        }
        mantissa = mantissa
            .checked_mul(10)
            .and_then(|m| m.checked_add(i128::from(byte - b'0')))
            .ok_or(NumberError::Overflow { what: "number" })?;
    }
    if mantissa == 0 {
        return Ok(Plain {
            mantissa: 0,
            decimals: 0,
        });
    }
    while decimals > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        decimals -= 1;
    }
    if decimals < 0 {
        let scale = u32::try_from(-decimals).ok().and_then(pow10);
        mantissa = scale
            .and_then(|scale| mantissa.checked_mul(scale))
            .ok_or(NumberError::Overflow { what: "number" })?;
        decimals = 0;
    }
    let decimals = u32::try_from(decimals)
        .ok()
        .filter(|d| *d <= DECIMALS_MAX)
        .ok_or_else(|| NumberError::Inexact {
            value: text.chars().take(40).collect(),
            decimals: DECIMALS_MAX,
        })?;
    Ok(Plain {
        mantissa: if negative { -mantissa } else { mantissa },
        decimals,
    })
}

fn split_exponent(text: &str) -> Result<(&str, i64), NumberError> {
    let Some(at) = text.find(['e', 'E']) else {
        return Ok((text, 0));
    };
    let (digits, exponent) = (
        text.get(..at).unwrap_or(""),
        text.get(at + 1..).unwrap_or(""),
    );
    match exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse::<i64>()
    {
        Ok(exponent) if exponent.abs() <= 40 => Ok((digits, exponent)),
        _ => Err(NumberError::NotANumber(text.chars().take(40).collect())),
    }
}

/// The mantissa of `text` at `decimals`, exponents included.
pub(super) fn mantissa(text: &str, decimals: u8) -> Result<i64, NumberError> {
    mantissa_from_text(&without_exponent(text)?, decimals.into())
}

fn without_exponent(text: &str) -> Result<Cow<'_, str>, NumberError> {
    if !text.contains(['e', 'E']) {
        return Ok(Cow::Borrowed(text));
    }
    let Plain { mantissa, decimals } = plain(text)?;
    let digits = format!(
        "{:0>width$}",
        mantissa.unsigned_abs(),
        width = decimals as usize + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - decimals as usize);
    Ok(Cow::Owned(format!(
        "{}{whole}.{fraction}0",
        if mantissa < 0 { "-" } else { "" }
    )))
}

/// What the numbers seen so far have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grid {
    pub(super) decimals: u32,
    /// In units of the last decimal; 0 before the first number that is not zero.
    pub(super) divisor: i128,
    largest: i128,
    count: u64,
}

impl Grid {
    /// Takes a number. With `fixed` decimals it must fit those.
    pub(super) fn add(
        &mut self,
        number: Plain,
        text: &str,
        fixed: Option<u8>,
    ) -> Result<(), Fault> {
        if let Some(fixed) = fixed.map(u32::from) {
            if number.decimals > fixed {
                return Err(Fault::new(
                    "",
                    text,
                    format!("more than the instrument's {fixed} decimals"),
                ));
            }
            self.refine(fixed);
        }
        self.refine(number.decimals);
        let value = pow10(self.decimals - number.decimals)
            .and_then(|unit| number.mantissa.checked_mul(unit));
        let value = value.filter(|v| i64::try_from(*v).is_ok());
        let Some(value) = value else {
            return Err(Fault::new(
                "",
                text,
                format!("too large for an integer of {} decimals", self.decimals),
            ));
        };
        self.largest = self.largest.max(value);
        self.count += u64::from(value != 0);
        if value != 0 && self.divisor != 1 && (self.divisor == 0 || value % self.divisor != 0) {
            self.divisor = gcd(value.abs(), self.divisor);
        }
        Ok(())
    }

    /// Takes the numbers of another grid.
    pub(super) fn merge(
        &mut self,
        mut other: Grid,
        field: &'static str,
        fixed: Option<u8>,
    ) -> Result<(), Fault> {
        if let Some(fixed) = fixed.filter(|fixed| other.decimals > u32::from(*fixed)) {
            let why = format!("a number there has more than the instrument's {fixed} decimals");
            return Err(Fault::new(
                field,
                &format!("{} decimals", other.decimals),
                why,
            ));
        }
        self.refine(other.decimals);
        other.refine(self.decimals);
        self.divisor = gcd(self.divisor, other.divisor);
        self.count += other.count;
        self.largest = self.largest.max(other.largest);
        Ok(())
    }

    fn refine(&mut self, decimals: u32) {
        if let Some(unit) = decimals
            .checked_sub(self.decimals)
            .filter(|more| *more > 0)
            .and_then(pow10)
        {
            self.divisor = self.divisor.saturating_mul(unit);
            self.largest = self.largest.saturating_mul(unit);
            self.decimals = decimals;
        }
    }

    /// Whether every number seen fits 64 bits at the decimals found.
    pub(super) fn fits(&self) -> bool {
        i64::try_from(self.largest).is_ok()
    }

    /// The step of the grid in units of `decimals`; `None` where too few numbers were seen to tell: the greatest common
    /// divisor of a handful is no tick.
    pub(super) fn step(&self, decimals: u8) -> Option<i64> {
        const NUMBERS_MIN: u64 = 100;
        let unit = pow10(u32::from(decimals).checked_sub(self.decimals)?)?;
        if self.count < NUMBERS_MIN {
            return None;
        }
        i64::try_from(self.divisor.checked_mul(unit)?)
            .ok()
            .filter(|step| *step > 0)
    }
}

pub(super) const fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid(texts: &[&str]) -> (u32, i128) {
        let mut grid = Grid::default();
        for text in texts {
            grid.add(plain(text).unwrap(), text, None).unwrap();
        }
        (grid.decimals, grid.divisor)
    }

    #[test]
    fn the_grid_is_the_coarsest_that_holds_every_number() {
        assert_eq!(grid(&["61737.61000000", "0.00", "10.5"]), (2, 1));
        assert_eq!(grid(&["61800.20", "61800.30"]), (1, 1));
        assert_eq!(grid(&["0.5", "0.25", "1"]), (2, 25));
        assert_eq!(grid(&["1000", "2500"]), (0, 500));
        assert_eq!(grid(&["1e-5", "2.5E3"]), (5, 1));
    }

    #[test]
    fn a_step_needs_a_hundred_numbers() {
        let mut grid = Grid::default();
        for n in 1..=99 {
            let text = format!("{}.5", n);
            grid.add(plain(&text).unwrap(), &text, None).unwrap();
        }
        assert_eq!(grid.step(2), None);
        grid.add(plain("7").unwrap(), "7", None).unwrap();
        assert_eq!((grid.step(1), grid.step(2)), (Some(5), Some(50)));
    }

    #[test]
    fn numbers_that_are_none_or_too_fine_are_refused() {
        for bad in ["", "-", ".", "1.2.3", "NaN", "1e", "1e99", "0x1", "1,5"] {
            assert!(plain(bad).is_err(), "{bad}");
        }
        assert!(matches!(plain("1e-19"), Err(NumberError::Inexact { .. })));
    }

    proptest! {
        #[test]
        fn exponents_read_as_the_number_written_out(mantissa_in in -99_999i64..99_999, exponent in -9i32..=4) {
            let text = format!("{mantissa_in}e{exponent}");
            let exact = i128::from(mantissa_in) * 10i128.pow((exponent + 9) as u32);
            prop_assert_eq!(i128::from(mantissa(&text, 9).unwrap()), exact);
            let read = plain(&text).unwrap();
            prop_assert_eq!(read.mantissa * 10i128.pow(9 - read.decimals), exact);
        }
    }
}
