//! How many: by rule, and never above any cap.
use crate::number::{Decimals, MONEY_DECIMALS, Money, NumberError, Price, Qty, pow10};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Which rule names the size before the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizing {
    /// Always the same quantity.
    Fixed,
    /// A part of the equity at the entry price.
    EquityPct,
    /// As much as loses a part of the equity from entry to stop-loss.
    Risk,
    /// As much as all cash pays for. The original's "but at least one" is not copied: what the cash does not pay for is
    /// not bought.
    Compound,
}

/// What a size may use up. Amounts are in the quote currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// The rule.
    pub sizing: Sizing,
    /// For the fixed rule.
    pub qty: Qty,
    /// What the strategy is worth now.
    pub equity: Money,
    /// What of it is cash, for the rule that compounds.
    pub cash: Money,
    /// For the rule by equity.
    pub equity_pct: Decimal,
    /// For the rule by risk.
    pub risk_pct: Decimal,
    /// Cap of the position's value in percent of the equity.
    pub max_position_pct: Decimal,
    /// Cap of the loss from entry to stop-loss in percent of the equity.
    pub max_loss_pct: Decimal,
    /// What is left of the symbol's cap.
    pub qty_room: Qty,
    /// What is left of the gross cap.
    pub gross_room: Money,
}

/// A rule or cap and how many it allows, in whole lots.
pub(super) type Allowed = (&'static str, Qty);

/// What the rule and each cap allow for an entry; the size is the least of them. Without a stop-loss nothing is known of
/// the risk: the caps by risk do not apply, and the rule by risk allows nothing.
pub(super) fn allowed(
    budget: &Budget,
    d: Decimals,
    lot: Qty,
    entry: Price,
    stop_loss: Option<Price>,
) -> Result<Vec<Allowed>, NumberError> {
    let lot_value = d.notional(entry, lot)?;
    let lot_risk = match stop_loss {
        Some(stop) => {
            let distance = entry.0.abs_diff(stop.0);
            let distance = i64::try_from(distance).map_err(|_| OVERFLOW)?;
            Some(d.notional(Price(distance), lot)?)
        }
        None => None,
    };
    let percent = |pct: Decimal| part(budget.equity, pct);
    let by_value = |money: Money| lots(money, lot_value, lot);
    let by_risk = |pct: Decimal| match lot_risk {
        Some(risk) => lots(percent(pct)?, risk, lot),
        None => Ok(Qty(0)),
    };
    let rule = match budget.sizing {
        Sizing::Fixed => whole_lots(budget.qty, lot),
        Sizing::EquityPct => by_value(percent(budget.equity_pct)?)?,
        Sizing::Risk => by_risk(budget.risk_pct)?,
        // What a short sale brought in is owed.
        Sizing::Compound => by_value(budget.cash.min(budget.equity))?,
    };
    let mut allowed = vec![
        ("size", rule),
        (
            "max_position_pct",
            by_value(percent(budget.max_position_pct)?)?,
        ),
    ];
    if lot_risk.is_some() {
        allowed.push(("max_position_loss_pct", by_risk(budget.max_loss_pct)?));
    }
    allowed.push(("max_qty", whole_lots(budget.qty_room, lot)));
    allowed.push(("max_gross_usd", by_value(budget.gross_room)?));
    Ok(allowed)
}

/// The least of what is allowed.
pub(super) fn least(allowed: &[Allowed]) -> Qty {
    allowed.iter().map(|(_, qty)| *qty).min().unwrap_or(Qty(0))
}

const OVERFLOW: NumberError = NumberError::Overflow { what: "size" };

/// `money x percent / 100`, rounded down.
pub(super) fn part(money: Money, percent: Decimal) -> Result<Money, NumberError> {
    let unit = pow10(percent.scale() + 2).ok_or(OVERFLOW)?;
    let product = money.0.checked_mul(percent.mantissa()).ok_or(OVERFLOW)?;
    Ok(Money(product.div_euclid(unit)))
}

/// The whole lots that a budget pays for, as a quantity.
fn lots(budget: Money, per_lot: Money, lot: Qty) -> Result<Qty, NumberError> {
    if per_lot.0 <= 0 || budget.0 <= 0 {
        return Ok(Qty(0));
    }
    let qty = (budget.0 / per_lot.0).checked_mul(lot.0.into());
    qty.and_then(|qty| i64::try_from(qty).ok())
        .map(Qty)
        .ok_or(OVERFLOW)
}

fn whole_lots(qty: Qty, lot: Qty) -> Qty {
    Qty((qty.0 - qty.0.rem_euclid(lot.0.max(1))).max(0))
}

/// A quantity parameter as a mantissa, rounded down; very large ones stay as large as one can be.
pub(super) fn qty_of(value: Decimal, decimals: Decimals) -> Qty {
    let units = Money::from_decimal(value).map_or(i128::MAX, |money| money.0);
    let scale = pow10(MONEY_DECIMALS - u32::from(decimals.qty)).unwrap_or(1);
    Qty(i64::try_from(units / scale).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHARES: Decimals = Decimals { price: 2, qty: 0 };

    fn dollars(amount: i64) -> Money {
        Money::from_decimal(Decimal::from(amount)).unwrap()
    }

    fn budget() -> Budget {
        Budget {
            sizing: Sizing::Risk,
            qty: Qty(100),
            equity: dollars(10_000),
            cash: dollars(10_000),
            equity_pct: Decimal::TEN,
            risk_pct: Decimal::ONE,
            max_position_pct: Decimal::ONE_HUNDRED,
            max_loss_pct: Decimal::from(3),
            qty_room: Qty(10_000),
            gross_room: dollars(50_000),
        }
    }

    fn size(budget: &Budget, entry: i64, stop: Option<i64>) -> i64 {
        least(&allowed(budget, SHARES, Qty(1), Price(entry), stop.map(Price)).unwrap()).0
    }

    /// Golden, requirements, five systems, 5.3: 1 % of 10,000 at .40 a share is 250; a cap of 25 % at 10.50 makes it 238.
    #[test]
    fn golden_sizes() {
        assert_eq!(size(&budget(), 1050, Some(1010)), 250);
        let capped = Budget {
            max_position_pct: Decimal::from(25),
            ..budget()
        };
        assert_eq!(size(&capped, 1050, Some(1010)), 238);
    }

    /// By hand: 3 % of 10,000 at .40 is 750; 100 shares left; 1,000 of gross left at 10.50 is 95; 10 % at 10.50 is 95.
    #[test]
    fn every_cap_binds() {
        let risky = Budget {
            risk_pct: Decimal::ONE_HUNDRED,
            ..budget()
        };
        assert_eq!(size(&risky, 1050, Some(1010)), 750);
        assert_eq!(
            size(
                &Budget {
                    qty_room: Qty(100),
                    ..budget()
                },
                1050,
                Some(1010)
            ),
            100
        );
        assert_eq!(
            size(
                &Budget {
                    gross_room: dollars(1_000),
                    ..budget()
                },
                1050,
                Some(1010)
            ),
            95
        );
        assert_eq!(
            size(
                &Budget {
                    sizing: Sizing::EquityPct,
                    ..budget()
                },
                1050,
                None
            ),
            95
        );
        assert_eq!(
            size(
                &Budget {
                    sizing: Sizing::Fixed,
                    ..budget()
                },
                1050,
                None
            ),
            100
        );
        assert_eq!(
            size(&budget(), 1050, None),
            0,
            "no stop-loss, no size by risk"
        );
        assert_eq!(
            size(
                &Budget {
                    equity: dollars(-1),
                    ..budget()
                },
                1050,
                Some(1010)
            ),
            0
        );
        assert_eq!(
            size(
                &Budget {
                    gross_room: dollars(-1),
                    ..budget()
                },
                1050,
                Some(1010)
            ),
            0
        );
    }

    /// By hand: 10,000 at 10.50 pay for 952; what is held already leaves 2,100, for 200; ten dollars for none, not for one.
    #[test]
    fn all_cash_is_compounded_and_no_more() {
        let compound = |cash| Budget {
            sizing: Sizing::Compound,
            cash: dollars(cash),
            ..budget()
        };
        assert_eq!(size(&compound(10_000), 1050, Some(1040)), 952);
        assert_eq!(size(&compound(2_100), 1050, None), 200);
        assert_eq!(size(&compound(10), 1050, None), 0);
        assert_eq!(
            size(&compound(90_000), 1050, None),
            952,
            "a short's proceeds"
        );
    }

    proptest! {
        #[test]
        fn no_size_is_above_any_cap(
            rule in prop::sample::select(vec![Sizing::Fixed, Sizing::EquityPct, Sizing::Risk, Sizing::Compound]),
            equity in -1_000i64..1_000_000, entry in 1i64..1_000_000, distance in 1i64..100_000, lot in 1i64..200,
            fixed in 0i64..10_000, room in -100i64..10_000, gross in -1_000i64..1_000_000,
            position_pct in 0i64..300, loss_pct in 0i64..100,
        ) {
            let budget = Budget {
                sizing: rule,
                qty: Qty(fixed),
                equity: dollars(equity),
                max_position_pct: Decimal::from(position_pct),
                max_loss_pct: Decimal::from(loss_pct),
                qty_room: Qty(room),
                gross_room: dollars(gross),
                ..budget()
            };
            let stop = Price(entry + distance);
            let qty = least(&allowed(&budget, SHARES, Qty(lot), Price(entry), Some(stop)).unwrap()).0;
            prop_assert!(qty >= 0 && qty % lot == 0);
            if qty > 0 {
                let (qty, equity) = (i128::from(qty), i128::from(equity));
                prop_assert!(qty <= room.into());
                prop_assert!(qty * i128::from(entry) <= i128::from(gross) * 100);
                prop_assert!(qty * i128::from(entry) <= equity * i128::from(position_pct));
                prop_assert!(qty * i128::from(distance) <= equity * i128::from(loss_pct));
            }
        }
    }
}
