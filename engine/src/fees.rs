//! Fee formulas and their rounding: integers throughout, one rounding at the end.
use crate::event::Liquidity;
use crate::number::{Decimals, MONEY_DECIMALS, Money, NumberError, Price, Qty, pow10};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// How the fee of a fill follows from its price and quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeFormula {
    /// `rate x price x quantity`: crypto venues. A rate of 0.001 is 10 bps.
    Notional {
        /// Not negative.
        rate: Decimal,
    },
    /// `rate x quantity x price x (1 - price)`: Kalshi (docs, fee schedule) and Polymarket (docs, fees).
    Probability {
        /// Not negative.
        rate: Decimal,
    },
}

/// Which way a fee is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// Away from zero.
    Up,
    /// Towards zero.
    Down,
    /// To the nearest, half up.
    Nearest,
}

/// To how many decimals a fill's fee is rounded, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounding {
    /// Decimals kept, 18 at the most.
    pub decimals: u8,
    /// Which way.
    pub mode: RoundingMode,
}

impl FeeFormula {
    /// The rate in the formula.
    pub const fn rate(&self) -> Decimal {
        match self {
            FeeFormula::Notional { rate } | FeeFormula::Probability { rate } => *rate,
        }
    }

    /// The fee of one fill, rounded once; zero for a price outside (0, 1) where the formula is a probability's.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn fee(
        &self,
        rounding: Rounding,
        d: Decimals,
        price: Price,
        qty: Qty,
    ) -> Result<Money, NumberError> {
        const OVERFLOW: NumberError = NumberError::Overflow { what: "fee" };
        let rate = self.rate();
        let (price_units, qty_units) =
            (i128::from(price.0.max(0)), i128::from(qty.0.unsigned_abs()));
        let (base, scale) = match self {
            FeeFormula::Notional { .. } => (
                price_units.checked_mul(qty_units),
                u32::from(d.price) + u32::from(d.qty),
            ),
            FeeFormula::Probability { .. } => {
                let one = pow10(d.price.into()).ok_or(OVERFLOW)?;
                let variance = price_units.checked_mul((one - price_units).max(0));
                (
                    variance.and_then(|v| v.checked_mul(qty_units)),
                    2 * u32::from(d.price) + u32::from(d.qty),
                )
            }
        };
        let exact = base
            .and_then(|b| b.checked_mul(rate.mantissa()))
            .ok_or(OVERFLOW)?;
        let scale = scale + rate.scale();
        let decimals = u32::from(rounding.decimals);
        let rounded = match scale.checked_sub(decimals) {
            None | Some(0) => exact
                .checked_mul(pow10(decimals - scale).ok_or(OVERFLOW)?)
                .ok_or(OVERFLOW)?,
            Some(drop) => {
                let unit = pow10(drop).ok_or(OVERFLOW)?;
                let (whole, rest) = (exact / unit, exact % unit);
                let up = match rounding.mode {
                    RoundingMode::Up => rest > 0,
                    RoundingMode::Down => false,
                    RoundingMode::Nearest => rest >= unit - rest,
                };
                whole + i128::from(up)
            }
        };
        let unit = MONEY_DECIMALS
            .checked_sub(decimals)
            .and_then(pow10)
            .ok_or(OVERFLOW)?;
        rounded.checked_mul(unit).map(Money).ok_or(OVERFLOW)
    }
}

/// Maker or taker formula of a schedule.
pub const fn formula_for(maker: FeeFormula, taker: FeeFormula, liquidity: Liquidity) -> FeeFormula {
    match liquidity {
        Liquidity::Maker => maker,
        Liquidity::Taker => taker,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kalshi(count: i64, cents: i64, decimals: u8) -> String {
        let formula = FeeFormula::Probability {
            rate: Decimal::new(7, 2),
        };
        let rounding = Rounding {
            decimals,
            mode: RoundingMode::Up,
        };
        formula
            .fee(
                rounding,
                Decimals { price: 2, qty: 0 },
                Price(cents),
                Qty(count),
            )
            .unwrap()
            .to_string()
    }

    /// Golden numbers: requirements, five systems, chapter 2.4 (Kalshi fee table: cent rule and centicent rule).
    #[test]
    fn kalshi_fees_match_the_published_table() {
        for (count, cents, cent_rule, centicent_rule) in [
            (100, 50, "1.75", "1.75"),
            (1, 50, "0.02", "0.0175"),
            (10, 12, "0.08", "0.074"),
            (10, 45, "0.18", "0.1733"),
            (15, 34, "0.24", "0.2357"),
        ] {
            assert_eq!(kalshi(count, cents, 2), cent_rule);
            assert_eq!(kalshi(count, cents, 4), centicent_rule);
        }
    }

    /// 10 bps of 61737.63 x 0.02 is 1.2347526 exactly.
    #[test]
    fn a_notional_fee_is_exact_to_the_last_digit() {
        let formula = FeeFormula::Notional {
            rate: Decimal::new(1, 3),
        };
        let rounding = Rounding {
            decimals: 8,
            mode: RoundingMode::Up,
        };
        let fee = formula
            .fee(
                rounding,
                Decimals { price: 2, qty: 5 },
                Price(6_173_763),
                Qty(2_000),
            )
            .unwrap();
        assert_eq!(fee.to_string(), "1.2347526");
    }

    proptest! {
        #[test]
        fn fees_are_never_negative_and_rounding_moves_them_by_less_than_a_unit(
            price in 0i64..=10_000, qty in 0i64..1_000_000_000, rate in 0i64..1_000, probability: bool, decimals in 0u8..=9,
        ) {
            let rate = Decimal::new(rate, 4);
            let formula = if probability { FeeFormula::Probability { rate } } else { FeeFormula::Notional { rate } };
            let d = Decimals { price: 4, qty: 2 };
            let at = |mode| formula.fee(Rounding { decimals, mode }, d, Price(price), Qty(qty)).unwrap();
            let (down, nearest, up) = (at(RoundingMode::Down), at(RoundingMode::Nearest), at(RoundingMode::Up));
            prop_assert!(Money::ZERO <= down && down <= nearest && nearest <= up);
            prop_assert!(up.0 - down.0 <= pow10(MONEY_DECIMALS - u32::from(decimals)).unwrap());
            let p = Decimal::new(price, 4);
            let base = if probability { p * (Decimal::ONE - p) } else { p };
            let exact = (base * Decimal::new(qty, 2) * rate).normalize();
            prop_assert!(down.to_decimal().unwrap() <= exact && exact <= up.to_decimal().unwrap());
        }
    }
}
