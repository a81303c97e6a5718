//! How much to buy, and up to which price: exact, and always rounded down.
use super::params::{PPM, SizeRule};
use crate::event::Level;
use crate::number::{Decimals, Money, Price, Qty};

/// A millionth of a USD in units of [`Money`]: sizes are computed in these, so that products of three amounts fit.
const MICRO: i128 = 1_000_000_000_000;

/// What one unit of price times one unit of quantity is worth.
pub(super) fn unit(d: Decimals) -> Option<i128> {
    d.notional(Price(1), Qty(1)).ok().map(|money| money.0)
}

/// Whole lots, rounded down.
pub(super) const fn floor_lot(lot: Qty, qty: Qty) -> Qty {
    Qty(qty.0 - qty.0.rem_euclid(lot.0))
}

/// `part` millionths of an amount that is not negative, rounded down; none when that does not fit.
pub(super) fn share(amount: Money, part_ppm: i64) -> Option<Money> {
    let product = amount.0.max(0).checked_mul(part_ppm.into())?;
    Some(Money(product / i128::from(PPM)))
}

/// What the size rule asks for, in whole millionths of a USD (requirements, five systems, 6.3.4 and 6.3.5).
///
/// - fixed: its USD;
/// - percent: that part of the leader's USD;
/// - proportional: `w x equity x m` with `w = leader / portfolio`.
pub(super) fn rule_usd(
    rule: SizeRule,
    leader: Money,
    portfolio: Money,
    equity: Money,
) -> Option<Money> {
    let micro = |money: Money| money.0.max(0) / MICRO;
    let micros = match rule {
        SizeRule::Fixed(usd) => return Some(usd),
        SizeRule::Percent(part) => micro(leader).checked_mul(part.into())? / i128::from(PPM),
        SizeRule::Proportional(multiplier) => {
            // Up, so that what is divided away never makes the copy larger.
            let portfolio = micro(portfolio).checked_add(i128::from(portfolio.0 % MICRO > 0))?;
            let product = micro(leader)
                .checked_mul(micro(equity))?
                .checked_mul(multiplier.into())?;
            product.checked_div(portfolio.checked_mul(PPM.into())?)?
        }
    };
    micros.checked_mul(MICRO).map(Money)
}

/// The whole lots that a budget buys at a price.
pub(super) fn affordable(budget: Money, price: Price, lot: Qty, d: Decimals) -> Option<Qty> {
    let one = unit(d)?.checked_mul(price.0.into())?;
    let qty = budget.0.max(0).checked_div(one)?;
    Some(floor_lot(lot, Qty(i64::try_from(qty).unwrap_or(i64::MAX))))
}

/// What asks up to `cap` are worth together.
pub(super) fn depth(asks: impl Iterator<Item = Level>, cap: Price, d: Decimals) -> Option<Money> {
    let mut sum = Money::ZERO;
    for level in asks.take_while(|level| level.price <= cap) {
        sum = sum.add(d.notional(level.price, level.qty).ok()?).ok()?;
    }
    Some(sum)
}

/// The most shares that a budget buys from the asks up to `cap`, and the price of the last of them: the limit. All of
/// them at the limit cost no more than the budget.
pub(super) fn climb(
    asks: impl Iterator<Item = Level>,
    cap: Price,
    budget: Money,
    lot: Qty,
    d: Decimals,
) -> Option<(Price, Qty)> {
    let mut best: Option<(Price, Qty)> = None;
    let mut there = 0i64;
    for level in asks.take_while(|level| level.price <= cap) {
        there = there.saturating_add(level.qty.0);
        let wanted = affordable(budget, level.price, lot, d)?;
        let qty = floor_lot(lot, Qty(there.min(wanted.0)));
        if best.is_none_or(|(_, most)| qty > most) {
            best = Some((level.price, qty));
        }
        if there >= wanted.0 {
            break;
        }
    }
    best.filter(|(_, qty)| qty.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const D: Decimals = Decimals { price: 3, qty: 2 };

    fn usd(cents: i64) -> Money {
        Money(i128::from(cents) * 10_000_000_000_000_000)
    }

    fn level(price: i64, qty: i64) -> Level {
        Level {
            price: Price(price),
            qty: Qty(qty),
        }
    }

    /// The golden numbers of the requirements, five systems, 6.3: 80 of 10,000 is .008, of 1,000 it is 8 USD, and at .405
    /// that buys 19.75 shares.
    #[test]
    fn the_golden_copy_is_8_usd_and_19_75_shares() {
        let rule = SizeRule::Proportional(PPM);
        let size = rule_usd(rule, usd(8_000), usd(1_000_000), usd(100_000)).unwrap();
        assert_eq!(size.to_string(), "8");
        let asks = [level(405, 100_000)];
        let bought = climb(asks.into_iter(), Price(408), size, Qty(1), D);
        assert_eq!(bought, Some((Price(405), Qty(1_975))));
    }

    #[test]
    fn the_other_rules_and_a_multiplier() {
        let (leader, portfolio, equity) = (usd(8_000), usd(1_000_000), usd(100_000));
        let size = |rule| {
            rule_usd(rule, leader, portfolio, equity)
                .unwrap()
                .to_string()
        };
        assert_eq!(size(SizeRule::Fixed(usd(1_250))), "12.5");
        assert_eq!(size(SizeRule::Percent(50_000)), "4");
        assert_eq!(size(SizeRule::Proportional(1_500_000)), "12");
        assert_eq!(
            rule_usd(SizeRule::Proportional(PPM), leader, Money::ZERO, equity),
            None
        );
        let broke = rule_usd(SizeRule::Proportional(PPM), leader, portfolio, usd(-5));
        assert_eq!(broke, Some(Money::ZERO));
    }

    /// 10 USD: 5 shares at .400 are 2 USD, and all at .405 would be 24.69; 10 stand there, so 15 at .405; the 30 at .410
    /// make it 24.39.
    #[test]
    fn the_ladder_is_climbed_as_far_as_the_budget_or_the_cap_allows() {
        let asks = || [level(400, 500), level(405, 1_000), level(410, 3_000)].into_iter();
        let climbed = |cap| climb(asks(), Price(cap), usd(1_000), Qty(1), D);
        assert_eq!(climbed(399), None);
        assert_eq!(climbed(400), Some((Price(400), Qty(500))));
        assert_eq!(climbed(408), Some((Price(405), Qty(1_500))));
        assert_eq!(climbed(410), Some((Price(410), Qty(2_439))));
        assert_eq!(
            climb(asks(), Price(410), usd(150), Qty(1), D),
            Some((Price(400), Qty(375)))
        );
        assert_eq!(
            climb(asks(), Price(410), usd(150), Qty(100), D),
            Some((Price(400), Qty(300)))
        );
        assert_eq!(climb(asks(), Price(410), usd(10), Qty(100), D), None);
        assert_eq!(depth(asks(), Price(405), D), Some(usd(605)));
    }

    proptest! {
        #[test]
        fn no_climb_costs_more_than_its_budget_nor_takes_what_is_not_there(
            levels in prop::collection::vec((1i64..999, 1i64..1_000_000), 0..12),
            cap in 1i64..999, cents in 0i64..10_000_000, lot in 1i64..500,
        ) {
            let mut levels: Vec<Level> = levels.into_iter().map(|(price, qty)| level(price, qty)).collect();
            levels.sort_by_key(|level| level.price);
            let budget = usd(cents);
            if let Some((limit, qty)) = climb(levels.iter().copied(), Price(cap), budget, Qty(lot), D) {
                prop_assert!(limit.0 <= cap && qty.0 > 0 && qty.0 % lot == 0);
                prop_assert!(D.notional(limit, qty).unwrap() <= budget);
                let there: i64 = levels.iter().filter(|l| l.price <= limit).map(|l| l.qty.0).sum();
                prop_assert!(qty.0 <= there);
            }
        }

        #[test]
        fn no_rule_gives_more_than_its_share(
            leader in 0i64..1_000_000_000, portfolio in 1i64..1_000_000_000, equity in 0i64..1_000_000_000,
            multiplier in 1i64..1_000_000_000,
        ) {
            let size = rule_usd(SizeRule::Proportional(multiplier), usd(leader), usd(portfolio), usd(equity)).unwrap();
            // In cents and millionths: size x portfolio <= leader x equity x m.
            let left = size.0 / MICRO * i128::from(portfolio) * i128::from(PPM);
            let right = i128::from(leader) * i128::from(equity) * i128::from(multiplier) * 10_000;
            prop_assert!(left <= right);
        }
    }
}
