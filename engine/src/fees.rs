//! What a fill costs: formulas, their rounding, and how a fee builds up over the fills of one order. Integers throughout.
use crate::event::{FeeSchedule, Fill, Liquidity};
use crate::number::{Decimals, MONEY_DECIMALS, Money, NumberError, Price, Qty, pow10};
use crate::order::Side;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

const OVERFLOW: NumberError = NumberError::Overflow { what: "fee" };
/// A cent in units of [`Money`].
const CENT: i128 = 10_000_000_000_000_000;
/// The largest exponent: with it the product of any order that a venue takes fits its integer.
const MAX_EXPONENT: u8 = 3;

/// How the fee of a fill follows from its price and quantity. Rates are decimals, so every formula is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeFormula {
    /// `rate x price x quantity`: crypto venues. A rate of 0.001 is 10 bps.
    Notional {
        /// Not negative.
        rate: Decimal,
    },
    /// `rate x quantity x (price x (1 - price))^exponent`: Kalshi (docs, fee schedule) and Polymarket (docs, fees).
    Probability {
        /// Not negative.
        rate: Decimal,
        /// 1 to 3; 1 at Kalshi and in nearly all of Polymarket's markets, and left out of frames then.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        exponent: u8,
    },
    /// `rate x quantity`, at least `minimum`, at most `maximum x price x quantity`, which wins over the minimum:
    /// Interactive Brokers (US stocks, fixed: 0.005 a share, at least 1.00, at most 1 % of the trade).
    PerUnit {
        /// Money for each unit; not negative.
        rate: Decimal,
        /// Least money; zero for none.
        minimum: Decimal,
        /// Most, as a fraction of the notional: 0.01 is 1 %.
        maximum: Decimal,
    },
}

/// How a fee builds up over the fills of one order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeAccrual {
    /// Each fill is charged and rounded on its own.
    #[default]
    PerFill,
    /// The order is charged what one fill of all its quantity would be: a fill pays the rounded fee of all fills so far,
    /// less what was charged before. Kalshi's old rule with a rounding up to the cent, and minima for each order.
    PerOrder,
    /// Kalshi's rule (docs, fee rounding) for members with balances in whole cents: the trade fee of a fill, rounded by the
    /// schedule; a rounding fee that takes the balance to the cent below; and whole cents back once the rounding fees
    /// of the order exceed one cent, never more than the fill costs.
    KalshiRebate,
}

impl FeeAccrual {
    /// Whether nothing is carried from fill to fill; left out of frames then.
    pub const fn is_per_fill(&self) -> bool {
        matches!(self, FeeAccrual::PerFill)
    }
}

/// What an order's fills cost so far, as far as the schedule's [`FeeAccrual`] needs it; zero where it needs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFees {
    /// The fills' fees before rounding and bounds, exact.
    unrounded: Money,
    /// The most that the fills may cost together, where the formula has a maximum.
    most: Money,
    /// What was charged.
    charged: Money,
    /// Rounding fees that were not given back.
    accumulator: Money,
}

impl OrderFees {
    /// Whether nothing is known of it, or needed; left out of states then.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
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

/// To how many decimals a fee is rounded, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounding {
    /// Decimals kept, 18 at the most.
    pub decimals: u8,
    /// Which way.
    pub mode: RoundingMode,
}

/// A fee before rounding, never negative: `mantissa / 10^scale`.
#[derive(Clone, Copy)]
struct Exact {
    mantissa: i128,
    scale: u32,
}

impl Exact {
    fn money(self) -> Result<Money, NumberError> {
        let missing = MONEY_DECIMALS.checked_sub(self.scale).ok_or(OVERFLOW)?;
        pow10(missing)
            .and_then(|unit| self.mantissa.checked_mul(unit))
            .map(Money)
            .ok_or(OVERFLOW)
    }
}

impl From<Money> for Exact {
    fn from(money: Money) -> Self {
        Self {
            mantissa: money.0,
            scale: MONEY_DECIMALS,
        }
    }
}

impl Rounding {
    fn apply(self, exact: Exact) -> Result<Money, NumberError> {
        let Exact { mantissa, scale } = exact;
        let decimals = u32::from(self.decimals);
        let rounded = match scale.checked_sub(decimals) {
            None | Some(0) => mantissa
                .checked_mul(pow10(decimals - scale).ok_or(OVERFLOW)?)
                .ok_or(OVERFLOW)?,
            Some(drop) => {
                let unit = pow10(drop).ok_or(OVERFLOW)?;
                let (whole, rest) = (mantissa / unit, mantissa % unit);
                let up = match self.mode {
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

impl FeeFormula {
    /// `rate x price x quantity`.
    pub const fn notional(rate: Decimal) -> Self {
        FeeFormula::Notional { rate }
    }

    /// `rate x quantity x price x (1 - price)`.
    pub const fn probability(rate: Decimal) -> Self {
        FeeFormula::Probability { rate, exponent: 1 }
    }

    /// The rate in the formula.
    pub const fn rate(&self) -> Decimal {
        match self {
            FeeFormula::Notional { rate }
            | FeeFormula::Probability { rate, .. }
            | FeeFormula::PerUnit { rate, .. } => *rate,
        }
    }

    /// The fee of an order filled at once, rounded once; zero for a price outside (0, 1) where the formula is a
    /// probability's.
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
        let exact = self.unrounded(d, price, qty)?;
        match self {
            FeeFormula::Notional { .. } | FeeFormula::Probability { .. } => rounding.apply(exact),
            FeeFormula::PerUnit { .. } => {
                let most = self.most(d, price, qty)?;
                rounding.apply(self.bounded(exact.money()?, most)?.into())
            }
        }
    }

    /// Before rounding and bounds.
    fn unrounded(&self, d: Decimals, price: Price, qty: Qty) -> Result<Exact, NumberError> {
        let (price, qty) = (i128::from(price.0.max(0)), i128::from(qty.0.unsigned_abs()));
        let base = match self {
            FeeFormula::Notional { .. } => price.checked_mul(qty),
            FeeFormula::Probability { exponent, .. } => {
                let one = pow10(d.price.into()).ok_or(OVERFLOW)?;
                let variance = price.checked_mul((one - price).max(0)).ok_or(OVERFLOW)?;
                variance
                    .checked_pow((*exponent).into())
                    .and_then(|power| power.checked_mul(qty))
            }
            FeeFormula::PerUnit { .. } => Some(qty),
        };
        let mantissa = base
            .and_then(|base| base.checked_mul(self.rate().mantissa()))
            .ok_or(OVERFLOW)?;
        let scale = self.scale(d);
        Ok(Exact { mantissa, scale })
    }

    /// The decimals of a fee before rounding.
    fn scale(&self, d: Decimals) -> u32 {
        let price_decimals = match self {
            FeeFormula::Notional { .. } => u32::from(d.price),
            FeeFormula::Probability { exponent, .. } => {
                2 * u32::from(*exponent) * u32::from(d.price)
            }
            FeeFormula::PerUnit { .. } => 0,
        };
        price_decimals + u32::from(d.qty) + self.rate().scale()
    }

    /// The most that a quantity may cost where the formula has a maximum, otherwise zero.
    fn most(&self, d: Decimals, price: Price, qty: Qty) -> Result<Money, NumberError> {
        match self {
            FeeFormula::PerUnit { maximum, .. } => FeeFormula::notional(*maximum)
                .unrounded(d, price, qty)?
                .money(),
            FeeFormula::Notional { .. } | FeeFormula::Probability { .. } => Ok(Money::ZERO),
        }
    }

    fn bounded(&self, fee: Money, most: Money) -> Result<Money, NumberError> {
        match self {
            FeeFormula::PerUnit { minimum, .. } => {
                Ok(Money::from_decimal(*minimum)?.max(fee).min(most))
            }
            FeeFormula::Notional { .. } | FeeFormula::Probability { .. } => Ok(fee),
        }
    }

    fn check(&self, d: Decimals) -> Result<(), &'static str> {
        let exact = |scale: u32| scale <= MONEY_DECIMALS;
        if self.rate().is_sign_negative() {
            return Err("a rate is negative");
        }
        match self {
            FeeFormula::Probability { exponent, .. } if !(1..=MAX_EXPONENT).contains(exponent) => {
                Err("an exponent is not 1, 2 or 3")
            }
            FeeFormula::PerUnit {
                minimum, maximum, ..
            } if minimum.is_sign_negative() || maximum.is_sign_negative() => {
                Err("a minimum or a maximum is negative")
            }
            FeeFormula::PerUnit {
                minimum, maximum, ..
            } if !exact(self.scale(d))
                || !exact(FeeFormula::notional(*maximum).scale(d))
                || !exact(minimum.scale()) =>
            {
                Err("a rate, a minimum or a maximum has too many decimals")
            }
            // Beyond that no fee could be rounded.
            _ if pow10(self.scale(d)).is_none() => Err("a rate has too many decimals"),
            _ => Ok(()),
        }
    }
}

impl FeeSchedule {
    /// The formula of a fill.
    pub const fn formula(&self, liquidity: Liquidity) -> &FeeFormula {
        match liquidity {
            Liquidity::Maker => &self.maker,
            Liquidity::Taker => &self.taker,
        }
    }

    /// What one order costs that is filled at once at one price. Where that depends on the side (Kalshi's rounding of the
    /// balance at prices below a cent), the dearer one.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn estimate(
        &self,
        liquidity: Liquidity,
        d: Decimals,
        price: Price,
        qty: Qty,
    ) -> Result<Money, NumberError> {
        let new = OrderFees::default();
        let of = |side| self.charge(&new, d, side, liquidity, price, qty);
        let (buying, _) = of(Side::Buy)?;
        if self.accrual == FeeAccrual::KalshiRebate {
            return Ok(buying.max(of(Side::Sell)?.0));
        }
        Ok(buying)
    }

    /// The fee of an order's next fill, and what its fills cost then. Never negative.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub fn charge(
        &self,
        so_far: &OrderFees,
        d: Decimals,
        side: Side,
        liquidity: Liquidity,
        price: Price,
        qty: Qty,
    ) -> Result<(Money, OrderFees), NumberError> {
        let formula = self.formula(liquidity);
        let mut next = *so_far;
        let fee = match self.accrual {
            FeeAccrual::PerFill => formula.fee(self.rounding, d, price, qty)?,
            FeeAccrual::PerOrder => {
                let unrounded = formula.unrounded(d, price, qty)?.money()?;
                next.unrounded = next.unrounded.add(unrounded)?;
                next.most = next.most.add(formula.most(d, price, qty)?)?;
                let due = formula.bounded(next.unrounded, next.most)?;
                let due = self.rounding.apply(due.into())?;
                // Below zero only where another schedule came into force between two fills.
                let fee = due.sub(next.charged)?.max(Money::ZERO);
                next.charged = next.charged.add(fee)?;
                fee
            }
            FeeAccrual::KalshiRebate => {
                let trade_fee = formula.fee(self.rounding, d, price, qty)?;
                let notional = d.notional(price, Qty(qty.0.saturating_abs()))?;
                let flow = match side {
                    Side::Buy => notional.negated(),
                    Side::Sell => notional,
                };
                let (fee, accumulator) = kalshi_fee(flow, trade_fee, next.accumulator)?;
                next.accumulator = accumulator;
                fee
            }
        };
        Ok((fee, next))
    }

    /// What an order's fills cost after one that a venue reported.
    ///
    /// # Errors
    /// [`NumberError::Overflow`].
    pub(crate) fn booked(
        &self,
        so_far: &OrderFees,
        d: Decimals,
        side: Side,
        fill: &Fill,
    ) -> Result<OrderFees, NumberError> {
        let (_, mut next) = self.charge(so_far, d, side, fill.liquidity, fill.price, fill.qty)?;
        if self.accrual == FeeAccrual::PerOrder {
            // What the venue charged is the fact.
            next.charged = so_far.charged.add(fill.fee)?;
        }
        Ok(next)
    }

    /// What is wrong with it for an instrument of these decimals.
    pub(crate) fn check(&self, d: Decimals) -> Result<(), &'static str> {
        self.fault(d).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The first field that can't be used for an instrument of these decimals, and why.
    pub fn fault(&self, d: Decimals) -> Option<(&'static str, &'static str)> {
        const TOO_FINE: &str = "fees before rounding have too many decimals to be added up exactly";
        for (field, formula) in [("maker", &self.maker), ("taker", &self.taker)] {
            if let Err(why) = formula.check(d) {
                return Some((field, why));
            }
            if !self.accrual.is_per_fill() && formula.scale(d) > MONEY_DECIMALS {
                return Some((field, TOO_FINE));
            }
        }
        let is_fine = u32::from(self.rounding.decimals) > MONEY_DECIMALS;
        is_fine.then_some(("rounding", "more than 18 decimals"))
    }
}

/// Kalshi's net fee of a fill and the order's accumulator after it: `flow` is what the fill pays or brings before fees.
///
/// It does not matter whether a sale closes YES at `p` or opens NO at `1 - p`: counts have two decimals, so a payout of
/// one dollar each is a whole number of cents and the balance is rounded alike.
fn kalshi_fee(
    flow: Money,
    trade_fee: Money,
    accumulator: Money,
) -> Result<(Money, Money), NumberError> {
    let rounding_fee = Money(flow.sub(trade_fee)?.0.rem_euclid(CENT));
    let gross = trade_fee.add(rounding_fee)?;
    let kept = accumulator.add(rounding_fee)?;
    let whole_cents = |money: Money| Money(money.0 - money.0 % CENT);
    let rebate = if kept.0 > CENT {
        whole_cents(kept).min(whole_cents(gross))
    } else {
        Money::ZERO
    };
    Ok((gross.sub(rebate)?, kept.sub(rebate)?))
}

const fn one() -> u8 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_one(exponent: &u8) -> bool {
    *exponent == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstrumentId;
    use crate::time::Nanos;
    use proptest::prelude::*;

    const UP: RoundingMode = RoundingMode::Up;
    /// Cents and whole contracts.
    const CENTS: Decimals = Decimals { price: 2, qty: 0 };
    /// Kalshi's units: prices with 4 decimals, counts with 2.
    const KALSHI: Decimals = Decimals { price: 4, qty: 2 };

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn money(text: &str) -> Money {
        Money::from_decimal(number(text)).unwrap()
    }

    fn schedule(formula: FeeFormula, decimals: u8, mode: RoundingMode) -> FeeSchedule {
        FeeSchedule {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            maker: formula,
            taker: formula,
            rounding: Rounding { decimals, mode },
            source: "test".into(),
            accrual: FeeAccrual::PerFill,
        }
    }

    fn kalshi(rate: &str, decimals: u8, accrual: FeeAccrual) -> FeeSchedule {
        FeeSchedule {
            accrual,
            ..schedule(FeeFormula::probability(number(rate)), decimals, UP)
        }
    }

    /// Price and quantity as people write them.
    fn terms(d: Decimals, price: &str, qty: &str) -> (Price, Qty) {
        (d.parse_price(price).unwrap(), d.parse_qty(qty).unwrap())
    }

    fn estimated(fees: &FeeSchedule, d: Decimals, price: &str, qty: &str) -> String {
        let (price, qty) = terms(d, price, qty);
        let fee = fees.estimate(Liquidity::Taker, d, price, qty).unwrap();
        fee.to_string()
    }

    /// What each fill of one order costs.
    fn charges(fees: &FeeSchedule, d: Decimals, side: Side, fills: &[(Price, Qty)]) -> Vec<Money> {
        let mut so_far = OrderFees::default();
        let charge = |(price, qty): &(Price, Qty)| {
            let charged = fees.charge(&so_far, d, side, Liquidity::Taker, *price, *qty);
            let (fee, next) = charged.unwrap();
            so_far = next;
            fee
        };
        fills.iter().map(charge).collect()
    }

    fn sum(fees: &[Money]) -> Money {
        Money(fees.iter().map(|fee| fee.0).sum())
    }

    /// Golden numbers: requirements, five systems, chapter 2.4 (Kalshi fee table: cent rule and centicent rule).
    #[test]
    fn kalshi_fees_match_the_published_table() {
        let per_cent = kalshi("0.07", 2, FeeAccrual::PerOrder);
        let per_centicent = kalshi("0.07", 4, FeeAccrual::PerFill);
        let rebated = kalshi("0.07", 4, FeeAccrual::KalshiRebate);
        for (count, price, cent_rule, centicent_rule) in [
            ("100", "0.50", "1.75", "1.75"),
            ("1", "0.50", "0.02", "0.0175"),
            ("10", "0.12", "0.08", "0.074"),
            ("10", "0.45", "0.18", "0.1733"),
            ("15", "0.34", "0.24", "0.2357"),
        ] {
            assert_eq!(estimated(&per_cent, CENTS, price, count), cent_rule);
            assert_eq!(
                estimated(&per_centicent, CENTS, price, count),
                centicent_rule
            );
            // Whole contracts at whole cents: the balance is rounded to the cent, so the order costs what it always did.
            assert_eq!(estimated(&rebated, CENTS, price, count), cent_rule);
        }
    }

    /// Golden numbers: requirements, five systems, chapter 2.4: YES at 0.45 on Kalshi against a bid of 0.50 on Polymarket.
    #[test]
    fn the_net_edge_of_the_worked_pair_follows_from_both_fees() {
        let polymarket = schedule(
            FeeFormula::probability(number("0.04")),
            5,
            RoundingMode::Down,
        );
        let net = |kalshi: &FeeSchedule, count: &str| {
            let fees = [(kalshi, "0.45"), (&polymarket, "0.50")]
                .map(|(fees, price)| number(&estimated(fees, CENTS, price, count)));
            let gross = number("0.50") - number("0.45");
            (gross - (fees[0] + fees[1]) / number(count)).normalize()
        };
        assert_eq!(estimated(&polymarket, CENTS, "0.50", "1"), "0.01");
        let large = net(&kalshi("0.07", 2, FeeAccrual::PerOrder), "1000000");
        assert_eq!(large, number("0.022675"));
        assert_eq!(
            net(&kalshi("0.07", 2, FeeAccrual::PerOrder), "10"),
            number("0.022")
        );
        // 30 days: on capital of 0.95 a pair, and by the formula that forgets the capital.
        let a_year = |edge: Decimal| (edge * number("36500") / number("30")).round_dp(1);
        assert_eq!(a_year(large / number("0.95")), number("29.0"));
        assert_eq!(a_year(large), number("27.6"));
    }

    /// Kalshi, fee rounding (docs): buys of one contract at 0.055 and of 0.30 at 0.50, trade fees given; the third column
    /// is what the documents call the accumulator before the rebate.
    #[test]
    fn kalshis_rounding_and_rebates_are_those_of_its_documents() {
        for (price, count, trade_fee, expected) in [
            (
                "0.055",
                "1",
                "0.0085",
                [("0.015", "0.0065"), ("0.005", "0.003"), ("0.015", "0.0095")],
            ),
            (
                "0.50",
                "0.30",
                "0.0041",
                [("0.01", "0.0059"), ("0", "0.0018"), ("0.01", "0.0077")],
            ),
        ] {
            let (price, qty) = terms(KALSHI, price, count);
            let flow = KALSHI.notional(price, qty).unwrap().negated();
            let mut accumulator = Money::ZERO;
            for (net, after) in expected {
                let fee;
                (fee, accumulator) = kalshi_fee(flow, money(trade_fee), accumulator).unwrap();
                assert_eq!((fee, accumulator), (money(net), money(after)));
            }
        }
        let taker = kalshi("0.07", 4, FeeAccrual::KalshiRebate);
        let maker = kalshi("0.0175", 4, FeeAccrual::KalshiRebate);
        for (fees, price, count, net) in [
            (&taker, "0.50", "1", "0.02"),
            (&taker, "0.50", "100", "1.75"),
            (&taker, "0.05", "100", "0.34"),
            (&taker, "0.01", "100", "0.07"),
            (&maker, "0.50", "100", "0.44"),
            (&taker, "0.10", "100", "0.63"),
        ] {
            assert_eq!(
                estimated(fees, KALSHI, price, count),
                net,
                "{count} at {price}"
            );
        }
    }

    /// The same from the file of vectors, where it is there.
    #[test]
    fn kalshis_vectors_are_reproduced() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/venues/kalshi/vec_fees.json"
        );
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: no {path}");
            return;
        };
        let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (mut fills, mut singles) = (0, 0);
        for example in vectors["official_rounding_examples_trade_fee_given"]
            .as_array()
            .unwrap()
        {
            let price = KALSHI
                .parse_price(example["buy_price"].as_str().unwrap())
                .unwrap();
            let mut accumulator = Money::ZERO;
            for fill in example["fills"].as_array().unwrap() {
                let field = |name: &str| money(fill[name].as_str().unwrap());
                let qty = KALSHI.parse_qty(fill["count"].as_str().unwrap()).unwrap();
                let flow = KALSHI.notional(price, qty).unwrap().negated();
                let (fee, after) = kalshi_fee(flow, field("trade_fee"), accumulator).unwrap();
                assert_eq!(fee, field("net_fee"));
                let kept = field("accumulator_before_rebate")
                    .sub(field("rebate"))
                    .unwrap();
                assert_eq!(after, kept);
                accumulator = after;
                fills += 1;
            }
        }
        for check in vectors["single_fill_checks_non_direct"].as_array().unwrap() {
            let text = |name: &str| check[name].as_str().unwrap();
            let fees = kalshi(text("rate"), 4, FeeAccrual::KalshiRebate);
            let fee = estimated(&fees, KALSHI, text("price"), text("count"));
            assert_eq!(money(&fee), money(text("net_fee")));
            singles += 1;
        }
        assert!(fills >= 6 && singles >= 6, "the vectors are not understood");
    }

    /// A credit that is larger than a fill's fee waits: each of these buys of 0.01 at 0.50 takes a whole cent of the
    /// balance, 0.005 of it for the contract, and the 0.0048 that are rounded add up; the buy of 1 costs 0.0175 and at
    /// most as many whole cents of the credit come back.
    #[test]
    fn a_rebate_never_exceeds_the_fee_of_its_fill() {
        let fees = kalshi("0.07", 4, FeeAccrual::KalshiRebate);
        let (price, tiny) = terms(KALSHI, "0.50", "0.01");
        let mut fills = vec![(price, tiny); 5];
        fills.push(terms(KALSHI, "0.50", "1"));
        let charged = charges(&fees, KALSHI, Side::Buy, &fills);
        assert_eq!(
            charged,
            ["0.005", "0.005", "0.005", "0.005", "0.005", "0"].map(money)
        );
    }

    /// Kalshi's old rule: cents for each order. 3 x 0.0175 are 0.0525: 0.02, 0.04 and 0.06 in all.
    #[test]
    fn an_order_in_parts_costs_what_it_costs_at_once() {
        let fees = kalshi("0.07", 2, FeeAccrual::PerOrder);
        let one = terms(CENTS, "0.50", "1");
        let charged = charges(&fees, CENTS, Side::Buy, &[one; 3]);
        assert_eq!(charged, ["0.02", "0.02", "0.02"].map(money));
        // The fourth takes the sum to 0.07 exactly, the fifth to 0.0875.
        let charged = charges(&fees, CENTS, Side::Buy, &[one; 5]);
        assert_eq!(charged[3..], ["0.01", "0.02"].map(money));
    }

    /// Polymarket (docs, fees): crypto 0.07, 100 shares; 37.5 shares at 0.333 and 0.05 are 0.416458125, cut.
    #[test]
    fn polymarkets_fees_are_cut_to_five_decimals() {
        let fees = |rate, exponent| {
            let rate = number(rate);
            schedule(
                FeeFormula::Probability { rate, exponent },
                5,
                RoundingMode::Down,
            )
        };
        let d = Decimals { price: 4, qty: 6 };
        for (price, fee) in [
            ("0.01", "0.0693"),
            ("0.05", "0.3325"),
            ("0.10", "0.63"),
            ("0.50", "1.75"),
        ] {
            assert_eq!(estimated(&fees("0.07", 1), d, price, "100"), fee);
        }
        assert_eq!(estimated(&fees("0.05", 1), d, "0.333", "37.5"), "0.41645");
        // 0.25 x (0.5 x 0.5)^2 = 0.015625 a share, and 0.25 x (0.3 x 0.7)^2 = 0.011025.
        assert_eq!(estimated(&fees("0.25", 2), d, "0.50", "1"), "0.01562");
        assert_eq!(estimated(&fees("0.25", 2), d, "0.30", "100"), "1.1025");
    }

    /// Interactive Brokers, US stocks, fixed: 0.005 a share, at least 1.00 and at most 1 % of the trade for each order.
    #[test]
    fn interactive_brokers_minimum_and_maximum_are_of_the_order() {
        let formula = FeeFormula::PerUnit {
            rate: number("0.005"),
            minimum: number("1.00"),
            maximum: number("0.01"),
        };
        let fees = FeeSchedule {
            accrual: FeeAccrual::PerOrder,
            ..schedule(formula, 2, RoundingMode::Nearest)
        };
        for (qty, price, fee) in [
            ("100", "50", "1"),
            ("1000", "50", "5"),
            ("100", "0.50", "0.5"),
        ] {
            assert_eq!(estimated(&fees, CENTS, price, qty), fee);
        }
        let parts = |parts: &[(&str, &str)]| {
            let fills: Vec<_> = parts.iter().map(|(p, q)| terms(CENTS, p, q)).collect();
            charges(&fees, CENTS, Side::Buy, &fills)
        };
        // 30 shares pay the minimum; with 200 more the order has cost 1.15.
        assert_eq!(
            parts(&[("50", "30"), ("50", "70"), ("50", "130")]),
            ["1", "0", "0.15"].map(money)
        );
        // 1 % of 50 shares at 0.50 is 0.25: the maximum grows with the order.
        assert_eq!(
            parts(&[("0.50", "50"), ("0.50", "50")]),
            ["0.25", "0.25"].map(money)
        );
    }

    /// Upbit, KRW market: 5 bps of 162,211,000 x 0.00006165 (the reserve of its documents' sample); Binance, base tier:
    /// 10 bps of 61737.63 x 0.02.
    #[test]
    fn notional_fees_are_exact_to_the_last_digit() {
        let of = |rate| schedule(FeeFormula::notional(number(rate)), 9, UP);
        let upbit = Decimals { price: 0, qty: 8 };
        assert_eq!(
            estimated(&of("0.0005"), upbit, "162211000", "0.00006165"),
            "5.000154075"
        );
        let binance = Decimals { price: 2, qty: 5 };
        assert_eq!(
            estimated(&of("0.001"), binance, "61737.63", "0.02"),
            "1.2347526"
        );
    }

    /// What was written before there were exponents and accruals, and a schedule that uses neither, are the same bytes.
    #[test]
    fn what_is_not_used_is_not_written() {
        #[derive(Serialize)]
        #[serde(rename_all = "snake_case")]
        enum Formula {
            Notional { rate: Decimal },
            Probability { rate: Decimal },
        }
        #[derive(Serialize)]
        struct Schedule {
            instrument: InstrumentId,
            effective_from: Nanos,
            maker: Formula,
            taker: Formula,
            rounding: Rounding,
            source: &'static str,
        }
        let rate = number("0.07");
        let before = rmp_serde::to_vec_named(&Schedule {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            maker: Formula::Notional { rate },
            taker: Formula::Probability { rate },
            rounding: Rounding {
                decimals: 4,
                mode: UP,
            },
            source: "test",
        })
        .unwrap();
        let plain = FeeSchedule {
            maker: FeeFormula::notional(rate),
            ..schedule(FeeFormula::probability(rate), 4, UP)
        };
        assert_eq!(rmp_serde::to_vec_named(&plain).unwrap(), before);
        assert_eq!(
            rmp_serde::from_slice::<FeeSchedule>(&before).unwrap(),
            plain
        );
        // And everything that is used comes back, by name and as a state keeps it.
        let exponent = 2;
        let full = FeeSchedule {
            taker: FeeFormula::Probability { rate, exponent },
            accrual: FeeAccrual::PerOrder,
            ..plain
        };
        for bytes in [rmp_serde::to_vec_named(&full), rmp_serde::to_vec(&full)] {
            assert_eq!(
                rmp_serde::from_slice::<FeeSchedule>(&bytes.unwrap()).unwrap(),
                full
            );
        }
    }

    #[test]
    fn schedules_that_could_not_be_reckoned_with_are_refused() {
        let d = KALSHI;
        let probability = |rate: &str, exponent| {
            let rate = number(rate);
            schedule(FeeFormula::Probability { rate, exponent }, 4, UP)
        };
        let per_unit = |rate: &str, minimum: &str, maximum: &str| {
            let (rate, minimum) = (number(rate), number(minimum));
            let maximum = number(maximum);
            schedule(
                FeeFormula::PerUnit {
                    rate,
                    minimum,
                    maximum,
                },
                2,
                UP,
            )
        };
        for (fees, why) in [
            (probability("-0.07", 1), "a rate is negative"),
            (probability("0.07", 0), "an exponent is not 1, 2 or 3"),
            (probability("0.07", 4), "an exponent is not 1, 2 or 3"),
            (
                per_unit("0.005", "-1", "0.01"),
                "a minimum or a maximum is negative",
            ),
            (
                per_unit("0.005", "1", "-0.01"),
                "a minimum or a maximum is negative",
            ),
            (
                per_unit("0.005", "1", "0.0000000000001"),
                "a rate, a minimum or a maximum has too many decimals",
            ),
            (
                probability("0.0000000000000000000000000001", 2),
                "a rate has too many decimals",
            ),
            (
                kalshi("0.070000001", 4, FeeAccrual::KalshiRebate),
                "fees before rounding have too many decimals to be added up exactly",
            ),
        ] {
            assert_eq!(fees.check(d), Err(why));
        }
        assert_eq!(
            kalshi("0.07000001", 4, FeeAccrual::KalshiRebate).check(d),
            Ok(())
        );
        assert_eq!(per_unit("0.005", "1", "0.01").check(d), Ok(()));
        assert_eq!(probability("0.25", 3).check(d), Ok(()));
    }

    fn any_formula() -> impl proptest::strategy::Strategy<Value = FeeFormula> {
        let rate = (0i64..1_000).prop_map(|rate| Decimal::new(rate, 4));
        let bounds = (0i64..500, 0i64..300);
        prop_oneof![
            rate.clone().prop_map(FeeFormula::notional),
            (rate.clone(), 1u8..=3)
                .prop_map(|(rate, exponent)| FeeFormula::Probability { rate, exponent }),
            (rate, bounds).prop_map(|(rate, (minimum, maximum))| FeeFormula::PerUnit {
                rate,
                minimum: Decimal::new(minimum, 2),
                maximum: Decimal::new(maximum, 4),
            }),
        ]
    }

    fn any_side() -> impl proptest::strategy::Strategy<Value = Side> {
        prop_oneof![Just(Side::Buy), Just(Side::Sell)]
    }

    /// Prices and quantities of an order's fills.
    fn any_fills() -> impl proptest::strategy::Strategy<Value = Vec<(Price, Qty)>> {
        prop::collection::vec((0i64..=10_000, 1i64..100_000), 1..30).prop_map(|fills| {
            let fills = fills.into_iter();
            fills.map(|(price, qty)| (Price(price), Qty(qty))).collect()
        })
    }

    proptest! {
        #[test]
        fn fees_are_never_negative_and_rounding_moves_them_by_less_than_a_unit(
            price in 0i64..=10_000, qty in 0i64..1_000_000_000, rate in 0i64..1_000, probability: bool, decimals in 0u8..=9,
        ) {
            let rate = Decimal::new(rate, 4);
            let formula = if probability { FeeFormula::probability(rate) } else { FeeFormula::notional(rate) };
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

        #[test]
        fn no_fill_of_any_schedule_costs_less_than_nothing(
            formulas in (any_formula(), any_formula()), fills in any_fills(), side in any_side(), which in 0usize..3, decimals in 0u8..6,
        ) {
            let accrual = [FeeAccrual::PerFill, FeeAccrual::PerOrder, FeeAccrual::KalshiRebate][which];
            let fees = FeeSchedule { maker: formulas.0, accrual, ..schedule(formulas.1, decimals, UP) };
            // A venue's cents: an instrument in which every formula adds up exactly.
            let d = Decimals { price: 2, qty: 2 };
            prop_assert_eq!(fees.check(d), Ok(()));
            let mut so_far = OrderFees::default();
            for (place, (price, qty)) in fills.into_iter().enumerate() {
                let liquidity = if place == 0 { Liquidity::Taker } else { Liquidity::Maker };
                let price = Price(price.0 / 100);
                let (fee, next) = fees.charge(&so_far, d, side, liquidity, price, qty).unwrap();
                prop_assert!(fee >= Money::ZERO);
                prop_assert!(fees.estimate(liquidity, d, price, qty).unwrap() >= Money::ZERO);
                prop_assert!(!accrual.is_per_fill() || next == OrderFees::default());
                so_far = next;
            }
        }

        /// At one price, whatever the parts: the sum is the fee of the whole.
        #[test]
        fn under_per_order_the_parts_cost_what_the_whole_costs(
            formula in any_formula(), price in 1i64..100, parts in prop::collection::vec(1i64..10_000, 1..30), decimals in 0u8..6,
        ) {
            let fees = FeeSchedule { accrual: FeeAccrual::PerOrder, ..schedule(formula, decimals, UP) };
            let d = Decimals { price: 2, qty: 2 };
            let whole = Qty(parts.iter().sum());
            let fills: Vec<_> = parts.into_iter().map(|part| (Price(price), Qty(part))).collect();
            let charged = charges(&fees, d, Side::Sell, &fills);
            prop_assert_eq!(sum(&charged), fees.estimate(Liquidity::Taker, d, Price(price), whole).unwrap());
        }

        /// Whole contracts at whole cents: after every fill the accumulator a is in [0, 0.01], because a fill's gross fee is
        /// a whole number of cents and at least one, so every rebate that is due is paid. An order of n fills pays the sum
        /// of its trade fees plus a; at once it pays its trade fee plus a rounding fee r in [0, 0.01). Rounding up n trade
        /// fees instead of one adds less than n x 0.0001, so the difference is above -0.01 and below 0.01 + n x 0.0001.
        /// Both are whole cents: for up to 100 fills it is 0 or 0.01.
        #[test]
        fn under_kalshis_rebate_up_to_100_fills_cost_at_most_a_cent_more_than_one(
            cents in 1i64..100, parts in prop::collection::vec(1i64..50, 1..=100), rate in 1i64..1_000, side in any_side(),
        ) {
            let fees = FeeSchedule {
                accrual: FeeAccrual::KalshiRebate,
                ..schedule(FeeFormula::probability(Decimal::new(rate, 4)), 4, UP)
            };
            let price = Price(cents * 100);
            let whole = Qty(100 * parts.iter().sum::<i64>());
            let fills: Vec<_> = parts.into_iter().map(|part| (price, Qty(100 * part))).collect();
            let more = sum(&charges(&fees, KALSHI, side, &fills)).sub(sum(&charges(&fees, KALSHI, side, &[(price, whole)]))).unwrap();
            prop_assert!(more == Money::ZERO || more == Money(CENT), "{more}");
        }

        /// Any fills at all: never less than the fees before rounding, and the balance moves by whole cents only.
        #[test]
        fn under_kalshis_rebate_the_venue_never_gets_less_than_its_formula(
            fills in any_fills(), rate in 0i64..1_000, side in any_side(),
        ) {
            let fees = FeeSchedule {
                accrual: FeeAccrual::KalshiRebate,
                ..schedule(FeeFormula::probability(Decimal::new(rate, 4)), 4, UP)
            };
            let charged = charges(&fees, KALSHI, side, &fills);
            let unrounded = fills.iter().map(|(price, qty)| {
                let p = KALSHI.price_decimal(*price);
                KALSHI.qty_decimal(*qty) * p * (Decimal::ONE - p) * Decimal::new(rate, 4)
            });
            prop_assert!(sum(&charged).to_decimal().unwrap() >= unrounded.sum::<Decimal>());
            for ((price, qty), fee) in fills.iter().zip(&charged) {
                let flow = KALSHI.notional(*price, *qty).unwrap().0 * -i128::from(side.sign());
                prop_assert_eq!((flow - fee.0).rem_euclid(CENT), 0);
            }
        }
    }
}
