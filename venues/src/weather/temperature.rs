//! Degrees.
use rust_decimal::Decimal;

/// Degrees Fahrenheit of degrees Celsius, exact: times 9/5 and 32 more.
pub fn fahrenheit(celsius: Decimal) -> Option<Decimal> {
    celsius
        .checked_mul(Decimal::new(18, 1))?
        .checked_add(Decimal::from(32))
        .map(|degrees| degrees.normalize())
}

/// Whether a temperature in Fahrenheit is one that the tape takes: from -150 to 150.
pub(super) fn is_possible(fahrenheit: Decimal) -> bool {
    fahrenheit.abs() <= Decimal::from(150)
}
