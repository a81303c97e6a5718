//! Prices and sizes as the two amounts that an order signs, in units of 1e-6. Integers throughout.
//!
//! Sources: the venue's order builder (its clients) and its own refusals. A limit order: the size is cut to 2 decimals, its
//! dollars to the tick's decimals and two more, which cuts nothing where the price is on the grid. A market buy is in
//! dollars: cut to whole cents, its shares to the price's decimals and two more. A market sell counts as a limit order.
//!
//! Nothing here depends on the tick in force: an order's amounts, and so its hash, follow from the order alone. Whether its
//! price is on the grid is asked apart.
use super::AMOUNT_DECIMALS;
use onetape_engine::number::pow10;
use onetape_engine::order::Side;
use rust_decimal::Decimal;

/// Decimals of a size.
pub const SIZE_DECIMALS: u32 = 2;
/// A marketable buy is worth this many dollars at least (the venue's refusal: "min size: $1").
pub const MARKET_BUY_MIN_USD: Decimal = Decimal::ONE;

/// The two amounts of an order, in units of 1e-6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// What the order gives.
    pub maker: u64,
    /// What it takes.
    pub taker: u64,
}

/// Why there are no amounts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmounts {
    /// Off the grid, or outside from one tick to one less a tick.
    #[error("the price {price} is not a multiple of the tick {tick} from it to 1 less it")]
    OffGrid {
        /// The price.
        price: Decimal,
        /// The tick.
        tick: Decimal,
    },
    /// Not a price of a share.
    #[error("the price {0} is not between 0 and 1")]
    Price(Decimal),
    /// Nothing is left of the size.
    #[error("a size of {0} is nothing in hundredths of a share")]
    Size(Decimal),
    /// Less than the venue takes.
    #[error("a marketable buy of {0} USD is below the venue's 1 USD")]
    TooSmall(Decimal),
    /// Does not fit.
    #[error("the amounts overflow")]
    Overflow,
}

/// Of a limit order.
///
/// # Errors
/// [`BadAmounts`].
pub fn limit(side: Side, price: Decimal, size: Decimal) -> Result<Amounts, BadAmounts> {
    let decimals = check(price)? + SIZE_DECIMALS;
    let size = cut(size)?;
    let usd = size.checked_mul(price).ok_or(BadAmounts::Overflow)?;
    let (size, usd) = (units(size)?, units(usd.trunc_with_scale(decimals))?);
    Ok(match side {
        Side::Buy => Amounts {
            maker: usd,
            taker: size,
        },
        Side::Sell => Amounts {
            maker: size,
            taker: usd,
        },
    })
}

/// Of a market buy of so many dollars at a price at the most.
///
/// # Errors
/// [`BadAmounts`].
pub fn market_buy(price: Decimal, usd: Decimal) -> Result<Amounts, BadAmounts> {
    let decimals = check(price)? + SIZE_DECIMALS;
    let usd = usd.trunc_with_scale(2);
    if usd < MARKET_BUY_MIN_USD {
        return Err(BadAmounts::TooSmall(usd));
    }
    // In integers: a decimal's quotient would be rounded before it is cut.
    let cents = usd
        .checked_mul(Decimal::ONE_HUNDRED)
        .ok_or(BadAmounts::Overflow)?;
    let scaled = pow10(price.scale() + decimals)
        .and_then(|unit| unit.checked_mul(cents.trunc().mantissa()))
        .ok_or(BadAmounts::Overflow)?;
    let shares = scaled / (price.mantissa() * 100);
    let shares =
        Decimal::try_from_i128_with_scale(shares, decimals).map_err(|_| BadAmounts::Overflow)?;
    Ok(Amounts {
        maker: units(usd)?,
        taker: units(shares)?,
    })
}

/// Of a market order for so many shares at a price at the worst. A buy spends no more than the shares cost at that price:
/// where the book is better, it can bring more shares than asked for.
///
/// # Errors
/// [`BadAmounts`].
pub fn market(side: Side, price: Decimal, size: Decimal) -> Result<Amounts, BadAmounts> {
    match side {
        Side::Sell => limit(side, price, size),
        Side::Buy => {
            let usd = cut(size)?.checked_mul(price);
            market_buy(price, usd.ok_or(BadAmounts::Overflow)?)
        }
    }
}

/// Whether a price is a multiple of the tick, from one tick to one less a tick.
///
/// # Errors
/// [`BadAmounts::OffGrid`].
pub fn on_grid(tick: Decimal, price: Decimal) -> Result<(), BadAmounts> {
    let inside = tick > Decimal::ZERO && price >= tick && price <= Decimal::ONE - tick;
    let rest = price.checked_rem(tick);
    if inside && rest.is_some_and(|rest| rest.is_zero()) {
        return Ok(());
    }
    Err(BadAmounts::OffGrid { price, tick })
}

/// The decimals of a price that a share can have.
fn check(price: Decimal) -> Result<u32, BadAmounts> {
    let decimals = price.normalize().scale();
    if price <= Decimal::ZERO || price >= Decimal::ONE || decimals + SIZE_DECIMALS > AMOUNT_DECIMALS
    {
        return Err(BadAmounts::Price(price));
    }
    Ok(decimals)
}

fn cut(size: Decimal) -> Result<Decimal, BadAmounts> {
    let cut = size.trunc_with_scale(SIZE_DECIMALS);
    if cut <= Decimal::ZERO {
        return Err(BadAmounts::Size(size));
    }
    Ok(cut)
}

fn units(value: Decimal) -> Result<u64, BadAmounts> {
    let value = value.trunc_with_scale(AMOUNT_DECIMALS);
    pow10(AMOUNT_DECIMALS - value.scale())
        .and_then(|unit| value.mantissa().checked_mul(unit))
        .and_then(|units| u64::try_from(units).ok())
        .ok_or(BadAmounts::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_market_buy_never_spends_more_than_its_shares_cost_at_the_limit() {
        let amounts = market(Side::Buy, dec("0.56"), dec("21.04")).unwrap();
        // 11.7824 USD cut to 11.78; 11.78 / 0.56 = 21.035714... cut to 4 decimals.
        assert_eq!(
            amounts,
            Amounts {
                maker: 11_780_000,
                taker: 21_035_700
            }
        );
    }

    #[test]
    fn a_market_buy_below_a_dollar_is_refused_and_a_sale_is_not() {
        let [price, size] = ["0.1", "9.99"].map(dec);
        let small = BadAmounts::TooSmall(dec("0.99"));
        assert_eq!(market(Side::Buy, price, size), Err(small));
        assert!(market(Side::Sell, price, size).is_ok());
    }

    #[test]
    fn the_grid_ends_one_tick_from_nothing_and_from_certainty() {
        for (tick, price, good) in [
            ("0.01", "0.01", true),
            ("0.01", "0.99", true),
            ("0.01", "0.005", false),
            ("0.01", "0", false),
            ("0.01", "1", false),
            ("0.0025", "0.0075", true),
            ("0.0025", "0.008", false),
            ("0", "0.5", false),
        ] {
            assert_eq!(on_grid(dec(tick), dec(price)).is_ok(), good, "{price}");
        }
    }

    proptest! {
        /// On the grid nothing is cut but the size.
        #[test]
        fn limit_amounts_are_exact(ticks in 1i64..10_000, size in 1i64..10_000_000, buy: bool) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let amounts = limit(side, Decimal::new(ticks, 4), Decimal::new(size, 2)).unwrap();
            let [ticks, size] = [ticks, size].map(i64::unsigned_abs);
            let (usd, shares) = (ticks * size, size * 10_000);
            let (maker, taker) = if buy { (usd, shares) } else { (shares, usd) };
            prop_assert_eq!(amounts, Amounts { maker, taker });
        }

        /// The price that is signed is the limit or so little above that no tick fits between.
        #[test]
        fn a_market_buys_price_is_the_limit(ticks in 1i64..1_000, cents in 100i64..10_000_000) {
            let price = Decimal::new(ticks, 3);
            let amounts = market_buy(price, Decimal::new(cents, 2)).unwrap();
            prop_assert_eq!(amounts.maker, cents.unsigned_abs() * 10_000);
            let shares = Decimal::new(cents, 2) / price;
            let signed = Decimal::new(amounts.taker.try_into().unwrap(), 6);
            prop_assert!(signed <= shares && shares - signed < dec("0.001"));
        }

        #[test]
        fn nothing_makes_it_panic(a: i64, b: i64, s in 0u32..28, buy: bool) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let [a, b] = [a, b].map(|n| Decimal::new(n, s));
            let _ = (limit(side, a, b), market(side, a, b), market_buy(a, b), on_grid(a, b));
            let _ = (market(side, dec("0.5"), b), market_buy(dec("0.0001"), b), limit(side, dec("0.9999"), b));
        }
    }
}
