//! Spreads between the venues, always at the sides that one would hit, FX included (requirements, five systems, 4.3).
//!
//! Everything is a ratio in parts per billion (1 bp is 100,000), one division each: what we would earn is rounded down, what
//! we would pay up.
use crate::market::Top;
use crate::number::{Decimals, pow10};
use crate::order::Side;
use serde::{Deserialize, Serialize};

/// One, in parts per billion.
pub(super) const ONE: i128 = 1_000_000_000;
/// A hundredth of a percent, in parts per billion, is 10 to the power of this.
pub(super) const BPS_SCALE: u32 = 5;

/// Which way a round trip opens. Named by what happens on the won venue, so that it can't be read the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Route {
    /// Sells coin for won and buys it for dollars: the coin is dear on the won venue.
    SellUpbit,
    /// Buys coin for won and sells it for dollars: the coin is cheap on the won venue.
    BuyUpbit,
}

impl Route {
    /// Both, in the order of their candidates' numbers.
    pub(super) const ALL: [Route; 2] = [Route::SellUpbit, Route::BuyUpbit];

    pub(super) const fn index(self) -> usize {
        match self {
            Route::SellUpbit => 0,
            Route::BuyUpbit => 1,
        }
    }

    /// What closes it.
    pub(super) const fn opposite(self) -> Route {
        match self {
            Route::SellUpbit => Route::BuyUpbit,
            Route::BuyUpbit => Route::SellUpbit,
        }
    }

    /// The side of the won venue's leg.
    pub(super) const fn upbit_side(self) -> Side {
        match self {
            Route::SellUpbit => Side::Sell,
            Route::BuyUpbit => Side::Buy,
        }
    }
}

/// The three markets' best bids and asks, all live and with both sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tops {
    pub(super) upbit: Top,
    pub(super) binance: Top,
    pub(super) fx: Top,
}

/// Factors that bring the three instruments' mantissas together:
/// won price / (dollar price x FX) = `u x up / (b x x x down)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scale {
    up: i64,
    down: i64,
}

impl Scale {
    /// For the price decimals of the three; `None` when they are too far apart.
    pub(super) fn new(upbit: Decimals, binance: Decimals, fx: Decimals) -> Option<Self> {
        let (over, under) = (
            u32::from(binance.price) + u32::from(fx.price),
            u32::from(upbit.price),
        );
        let factor = |exponent| pow10(exponent).and_then(|f| i64::try_from(f).ok());
        Some(Self {
            up: factor(over.saturating_sub(under))?,
            down: factor(under.saturating_sub(over))?,
        })
    }

    /// Won price and dollar price x FX in common units.
    #[inline]
    fn sides(self, upbit: i64, binance: i64, fx: i64) -> Option<(i128, i128)> {
        let won = i128::from(upbit).checked_mul(self.up.into())?;
        let dollars = (i128::from(binance) * i128::from(fx)).checked_mul(self.down.into())?;
        (won > 0 && dollars > 0).then_some((won, dollars))
    }

    /// `won price / (dollar price x FX) - 1`.
    #[inline]
    pub(super) fn over(self, upbit: i64, binance: i64, fx: i64) -> Option<Quotient> {
        let (won, dollars) = self.sides(upbit, binance, fx)?;
        Quotient::of(won, dollars)
    }

    /// `(dollar price x FX) / won price - 1`.
    #[inline]
    pub(super) fn under(self, upbit: i64, binance: i64, fx: i64) -> Option<Quotient> {
        let (won, dollars) = self.sides(upbit, binance, fx)?;
        Quotient::of(dollars, won)
    }

    /// The spread that a route earns when it opens at these prices: r1 for [`Route::SellUpbit`], r2 for [`Route::BuyUpbit`].
    #[inline]
    pub(super) fn earned(self, route: Route, upbit: i64, binance: i64, fx: i64) -> Option<i64> {
        let quotient = match route {
            Route::SellUpbit => self.over(upbit, binance, fx),
            Route::BuyUpbit => self.under(upbit, binance, fx),
        };
        quotient.map(|q| q.down)
    }

    /// Both routes' spreads at the best prices.
    #[inline]
    pub(super) fn spreads(self, tops: &Tops) -> Option<Spreads> {
        let (u, b, x) = (&tops.upbit, &tops.binance, &tops.fx);
        // What one route opens with, the other closes with: the same four divisions serve both.
        let dear = self.over(u.bid.price.0, b.ask.price.0, x.ask.price.0)?;
        let cheap = self.under(u.ask.price.0, b.bid.price.0, x.bid.price.0)?;
        let close_dear = self.over(u.ask.price.0, b.bid.price.0, x.bid.price.0)?;
        let close_cheap = self.under(u.bid.price.0, b.ask.price.0, x.ask.price.0)?;
        Some(Spreads {
            open: [dear.down, cheap.down],
            close: [close_dear.up, close_cheap.up],
        })
    }

    /// The premium: `U.mid / (B.mid x X.mid) - 1`.
    ///
    /// The model's `k = ln U.mid - ln B.mid - ln X.mid` is `ln(1 + p) = p - p^2/2 + ...` of this ratio `p`. What is traded is
    /// a *difference* of two such values near each other, and there both agree to first order: at a premium of 2 % they
    /// differ by 2 % of the deviation, 1 bp in 50. The ratio needs no logarithm and so no float.
    pub(super) fn premium(self, tops: &Tops) -> Option<i64> {
        let (u, b, x) = (
            tops.upbit.twice_mid()?,
            tops.binance.twice_mid()?,
            tops.fx.twice_mid()?,
        );
        // Each mid is half of its sum: one half against two quarters leaves a factor of two above.
        self.over(u.checked_mul(2)?, b, x).map(|q| q.down)
    }
}

/// A quotient minus one in parts per billion, rounded down and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quotient {
    pub(super) down: i64,
    pub(super) up: i64,
}

impl Quotient {
    /// Of two positive numbers.
    #[inline]
    fn of(numerator: i128, denominator: i128) -> Option<Self> {
        let numerator = numerator.checked_mul(ONE)?.unsigned_abs();
        let denominator = denominator.unsigned_abs();
        let whole = numerator / denominator;
        let exact = whole * denominator == numerator;
        let down = i64::try_from(whole).ok()?.checked_sub(ONE as i64)?;
        Some(Self {
            down,
            up: down.checked_add(i64::from(!exact))?,
        })
    }
}

/// Both routes' spreads, by [`Route::index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spreads {
    /// What opening earns now.
    pub(super) open: [i64; 2],
    /// What closing would cost now.
    pub(super) close: [i64; 2],
}

impl Spreads {
    /// The larger of what opening either way earns.
    #[inline]
    pub(super) fn widest(&self) -> i64 {
        self.open[0].max(self.open[1])
    }

    /// What closing is expected to cost: the premium at its mean, and half of what lies between the sides now.
    #[inline]
    pub(super) const fn expected_close(&self, route: Route, mean: i64) -> i64 {
        let place = route.index();
        let width = self.close[place].saturating_sub(self.open[place]);
        // Half, rounded up: it is a cost.
        toward(route, mean).saturating_add(width - width.div_euclid(2))
    }

    /// Spread now minus the spread expected at exit: what a round trip is expected to bring before fees.
    #[inline]
    pub(super) const fn edge(&self, route: Route, mean: i64) -> i64 {
        self.open[route.index()].saturating_sub(self.expected_close(route, mean))
    }
}

/// A premium as a route sees it: as it is, or upside down.
#[inline]
pub(super) const fn toward(route: Route, premium: i64) -> i64 {
    match route {
        Route::SellUpbit => premium,
        Route::BuyUpbit => {
            let ratio = ONE + premium as i128;
            if ratio <= 0 {
                return i64::MAX;
            }
            // Rounded up: an expected cost.
            let inverse = (ONE * ONE + ratio - 1) / ratio - ONE;
            inverse as i64
        }
    }
}

/// Taker fees in parts per billion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FeeRates {
    pub(super) upbit: i64,
    pub(super) binance: i64,
    /// Zero where won are not really turned into dollars.
    pub(super) fx: i64,
}

impl FeeRates {
    /// Four fees, and two more where FX is really traded: twice per round trip each.
    pub(super) const fn round_trip(&self) -> i64 {
        2 * (self.upbit + self.binance + self.fx)
    }
}

/// What opening brings net of its own fees and slippage, all at the sides that one would hit:
/// `U.bid (1 - fU) / (B.ask (1 + fB) X.ask (1 + fX)) - 1 - slip`, and its mirror image.
pub(super) fn net_to_open(route: Route, earned: i64, fees: &FeeRates, slip: i64) -> Option<i64> {
    let ratio = ONE.checked_add(earned.into())?;
    let times = |ratio: i128, factor: i128| ratio.checked_mul(factor).map(|p| p.div_euclid(ONE));
    let over = |ratio: i128, factor: i128| ratio.checked_mul(ONE).map(|p| p.div_euclid(factor));
    let (u, b, x) = (
        i128::from(fees.upbit),
        i128::from(fees.binance),
        i128::from(fees.fx),
    );
    let net = match route {
        Route::SellUpbit => over(over(times(ratio, ONE - u)?, ONE + b)?, ONE + x)?,
        Route::BuyUpbit => over(times(times(ratio, ONE - b)?, ONE - x)?, ONE + u)?,
    };
    i64::try_from(net - ONE).ok()?.checked_sub(slip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;
    use crate::number::{Price, Qty};
    use proptest::prelude::*;

    fn top(bid: i64, ask: i64) -> Top {
        let level = |price| Level {
            price: Price(price),
            qty: Qty(1),
        };
        Top {
            bid: level(bid),
            ask: level(ask),
        }
    }

    const fn d(price: u8) -> Decimals {
        Decimals { price, qty: 5 }
    }

    fn scale() -> Scale {
        Scale::new(d(0), d(2), d(1)).unwrap()
    }

    /// Requirements, five systems, 4.3, golden numbers: Upbit 143,100,000 / 143,150,000, Binance 99,500 / 99,510, KRW-USDT
    /// 1430 / 1431.
    fn golden() -> Tops {
        Tops {
            upbit: top(143_100_000, 143_150_000),
            binance: top(9_950_000, 9_951_000),
            fx: top(14_300, 14_310),
        }
    }

    /// A percentage with five decimals, to the nearest.
    fn percent(ppb: i64) -> i64 {
        (ppb + 50).div_euclid(100)
    }

    #[test]
    fn spreads_match_the_golden_numbers() {
        let spreads = scale().spreads(&golden()).unwrap();
        // +.49241 % and -.60426 %.
        assert_eq!(percent(spreads.open[0]), 49_241);
        assert_eq!(percent(spreads.open[1]), -60_426);
    }

    #[test]
    fn net_to_open_matches_the_golden_numbers() {
        let r1 = scale().spreads(&golden()).unwrap().open[0];
        let mut fees = FeeRates {
            upbit: 500_000,
            binance: 1_000_000,
            fx: 0,
        };
        let net = |fees: &FeeRates| net_to_open(Route::SellUpbit, r1, fees, 0).unwrap();
        assert_eq!(percent(net(&fees)), 34_182);
        fees.fx = 500_000;
        assert_eq!(percent(net(&fees)), 29_168);
        assert_eq!(
            net_to_open(Route::SellUpbit, r1, &fees, 100_000),
            Some(net(&fees) - 100_000)
        );
    }

    /// The same row with the fixed rate 1350: +6.52 %, more than abnormal. That no such rate can be configured is tested with
    /// the parameters.
    #[test]
    fn a_wrong_rate_is_the_whole_signal() {
        let wrong = Tops {
            fx: top(13_500, 13_500),
            ..golden()
        };
        let r1 = scale().spreads(&wrong).unwrap().open[0];
        assert_eq!((r1 + 50_000) / 100_000, 652, "+6.52 % in basis points");
    }

    /// By hand: mids 143,125,000 and 99,505 x 1430.5 = 142,341,902.5 give 1.00550152...
    #[test]
    fn the_premium_is_of_the_mids() {
        let premium = scale().premium(&golden()).unwrap();
        assert_eq!(premium, 5_501_524);
    }

    /// By hand: at a mean of 0 the exit is expected at half of what lies between the sides: close 143,150,000 /
    /// (99,500 x 1430) - 1 = +.60793 %, open +.49241 %, half of the difference .05776 %.
    #[test]
    fn the_edge_is_the_spread_minus_the_one_expected_at_exit() {
        let spreads = scale().spreads(&golden()).unwrap();
        assert_eq!(percent(spreads.close[0]), 60_793);
        assert_eq!(percent(spreads.expected_close(Route::SellUpbit, 0)), 5_776);
        assert_eq!(percent(spreads.edge(Route::SellUpbit, 0)), 49_241 - 5_776);
        // Upside down: a mean of +1 % is -.990099 % for who buys on the won venue.
        assert_eq!(toward(Route::BuyUpbit, 10_000_000), -9_900_990);
    }

    proptest! {
        /// Uncrossed books never offer both ways at once.
        #[test]
        fn both_routes_never_earn_on_uncrossed_books(
            u in 1_000i64..1_000_000_000, us in 1i64..10_000_000,
            b in 1_000i64..100_000_000, bs in 1i64..1_000_000,
            x in 1_000i64..100_000, xs in 1i64..10_000,
        ) {
            let tops = Tops { upbit: top(u, u + us), binance: top(b, b + bs), fx: top(x, x + xs) };
            if let Some(spreads) = scale().spreads(&tops) {
                prop_assert!(spreads.open[0] <= 0 || spreads.open[1] <= 0);
                // What closes costs at least what the same route's opening earns.
                prop_assert!(spreads.close[0] >= spreads.open[0] && spreads.close[1] >= spreads.open[1]);
            }
        }

        /// `ln(1+p) - ln(1+m)` and `p - m` agree to first order: their difference is within |p| + |m| of the deviation.
        #[test]
        fn the_edge_of_either_route_is_the_deviation_to_first_order(
            premium in -30_000_000i64..30_000_000, mean in -30_000_000i64..30_000_000,
        ) {
            let up = i128::from(premium - mean);
            let down = i128::from(toward(Route::BuyUpbit, premium) - toward(Route::BuyUpbit, mean));
            // (1/(1+p) - 1/(1+m)) = -(p - m) / ((1+p)(1+m)): within 6.4 % of -(p - m) at 3 %.
            prop_assert!((down + up).abs() * 1_000 <= up.abs() * 64 + 2_000);
        }
    }
}
