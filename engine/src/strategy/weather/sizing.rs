//! How much to bet and what it could cost.
//!
//! Contracts of one event exclude each other: what they can lose together is the worst sum over the day's possible
//! maxima, not the sum of what each can lose. A resting order counts wherever filling it makes an outcome worse.
use super::fair::pays;
use crate::event::{FeeSchedule, Liquidity, Strike};
use crate::number::{Decimals, MONEY_DECIMALS, Money, Price, Qty, pow10};
use crate::order::Side;

/// One USD in units of [`Money`].
pub(super) const USD: i128 = 1_000_000_000_000_000_000;
/// Units of [`Money`] in 1e-9 USD, the resolution of the Kelly stake.
const NANO: i128 = 1_000_000_000;

/// A price of a contract, or a quantity of contracts paying 1 each, as money.
pub(super) fn usd(price: Price, d: Decimals) -> Option<i128> {
    let unit = MONEY_DECIMALS.checked_sub(d.price.into()).and_then(pow10)?;
    i128::from(price.0).checked_mul(unit)
}

/// Contracts as money: each pays 1.
fn payout(qty: Qty, d: Decimals) -> Option<i128> {
    let unit = MONEY_DECIMALS.checked_sub(d.qty.into()).and_then(pow10)?;
    i128::from(qty.0).checked_mul(unit)
}

/// The fee of an order filled at once, by the worse of the maker's and the taker's formula: an order may rest or take.
fn fee(fees: &FeeSchedule, d: Decimals, price: Price, qty: Qty) -> Option<i128> {
    let of = |liquidity| fees.estimate(liquidity, d, price, qty).ok();
    Some(of(Liquidity::Maker)?.max(of(Liquidity::Taker)?).0)
}

/// A bet on or against a contract at a price.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bet<'a> {
    pub(super) strike: Strike,
    /// Buying is betting that it pays; selling is buying NO at one minus the price, on the venue's one book.
    pub(super) side: Side,
    pub(super) price: Price,
    /// Probability that the contract pays, in millionths.
    pub(super) pays_ppm: u32,
    pub(super) d: Decimals,
    pub(super) fees: &'a FeeSchedule,
}

impl Bet<'_> {
    /// What a contract costs before the fee: the price, or one minus it for a sale.
    fn paid(&self) -> Option<i128> {
        let price = usd(self.price, self.d)?;
        Some(match self.side {
            Side::Buy => price,
            Side::Sell => USD - price,
        })
    }

    /// Probability of winning, as money: what a contract is worth to the winner on average.
    fn worth(&self) -> i128 {
        let pays = i128::from(self.pays_ppm) * (USD / 1_000_000);
        match self.side {
            Side::Buy => pays,
            Side::Sell => USD - pays,
        }
    }

    /// The fee of `qty`.
    fn fee(&self, qty: Qty) -> Option<i128> {
        fee(self.fees, self.d, self.price, qty)
    }

    /// What a contract costs, the fee of an order of `qty` included, rounded up.
    fn cost(&self, qty: Qty) -> Option<i128> {
        let contract = pow10(self.d.qty.into())?;
        let fee = self.fee(qty)?.checked_mul(contract)?;
        let qty = i128::from(qty.0);
        (qty > 0).then_some(())?;
        self.paid()?.checked_add((fee + qty - 1) / qty)
    }

    /// Worth minus price.
    pub(super) fn gross_edge(&self) -> Option<Money> {
        Some(Money(self.worth() - self.paid()?))
    }

    /// Worth minus price minus fee, a contract, for an order of `qty`: 3.3.6.
    pub(super) fn net_edge(&self, qty: Qty) -> Option<Money> {
        Some(Money(self.worth() - self.cost(qty)?))
    }

    /// Contracts of the fractional Kelly stake `share x (p - a) / (1 - a)` of the bankroll at cost `a`, the fee of an
    /// order of `qty` in it (3.3.7); zero without an edge.
    fn kelly(&self, bankroll: Money, share_ppm: u32, qty: Qty) -> Option<Qty> {
        let cost = self.cost(qty)?;
        let (cost, worth) = (cost.div_euclid(NANO) + 1, self.worth() / NANO);
        let left = USD / NANO - cost;
        if cost <= 0 || left <= 0 || worth <= cost {
            return Some(Qty(0));
        }
        let stake = (bankroll.0 / NANO)
            .checked_mul(worth - cost)?
            .checked_mul(i128::from(share_ppm))?
            / left
            / 1_000_000;
        let contracts = stake.checked_mul(pow10(self.d.qty.into())?)? / cost;
        Some(Qty(i64::try_from(contracts).unwrap_or(i64::MAX)))
    }

    /// The most that an order of `qty` can lose, fee included.
    pub(super) fn worst(&self, qty: Qty) -> Option<Money> {
        let stake = self.stake(qty)?;
        Some(Money(stake.if_pays.max(stake.if_not)))
    }

    /// What `qty` of it adds to an event.
    pub(super) fn stake(&self, qty: Qty) -> Option<Stake> {
        Stake::order(self.strike, self.side, self.price, qty, self.d, self.fees)
    }
}

/// What a position or an order does to each outcome, as losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stake {
    strike: Strike,
    if_pays: i128,
    if_not: i128,
}

impl Stake {
    /// What is held: `cost` is signed like the quantity, `fees` were paid for it.
    pub(super) fn held(
        strike: Strike,
        qty: Qty,
        cost: Money,
        fees: Money,
        d: Decimals,
    ) -> Option<Self> {
        let if_not = cost.0.checked_add(fees.0)?;
        Some(Self {
            strike,
            if_pays: if_not.checked_sub(payout(qty, d)?)?,
            if_not,
        })
    }

    /// An order that may fill or not, whichever is worse.
    pub(super) fn order(
        strike: Strike,
        side: Side,
        price: Price,
        qty: Qty,
        d: Decimals,
        fees: &FeeSchedule,
    ) -> Option<Self> {
        let fee = fee(fees, d, price, qty)?;
        let notional = d.notional(price, qty).ok()?.0;
        let (sign, payout) = (i128::from(side.sign()), payout(qty, d)?);
        let if_not = sign.checked_mul(notional)?.checked_add(fee)?;
        let if_pays = if_not.checked_sub(sign * payout)?;
        Some(Self {
            strike,
            if_pays: if_pays.max(0),
            if_not: if_not.max(0),
        })
    }

    const fn loss(&self, pays: bool) -> i128 {
        if pays { self.if_pays } else { self.if_not }
    }

    /// The degrees between which the contract's payment changes.
    fn edges(&self) -> [i64; 4] {
        match self.strike {
            Strike::Greater { floor } => {
                let floor = i64::from(floor);
                [floor, floor + 1, floor, floor + 1]
            }
            Strike::Less { cap } => {
                let cap = i64::from(cap);
                [cap - 1, cap, cap - 1, cap]
            }
            Strike::Between { floor, cap } => {
                let (floor, cap) = (i64::from(floor), i64::from(cap));
                [floor - 1, floor, cap, cap + 1]
            }
        }
    }
}

/// The most that stakes in one event can lose together; not negative.
pub(super) fn worst_loss(stakes: &[Stake]) -> Option<Money> {
    // Between two edges nothing changes, so the degrees at the edges stand for all.
    let mut worst = 0;
    for degrees in stakes.iter().flat_map(Stake::edges) {
        let losses = stakes.iter().try_fold(0i128, |sum, stake| {
            sum.checked_add(stake.loss(pays(stake.strike, degrees)))
        });
        worst = worst.max(losses?);
    }
    Some(Money(worst))
}

/// What limits a bet's size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bankroll: Money,
    pub(super) kelly_ppm: u32,
    /// Most that the order can lose.
    pub(super) trade: Money,
    /// Most that the event can lose with it.
    pub(super) event: Money,
    /// Most held with it.
    pub(super) contracts: Qty,
    /// Held on the same side already.
    pub(super) held: Qty,
    /// Quantities are multiples of this.
    pub(super) lot: Qty,
}

/// The largest multiple of the lot at or below `qty`; zero below one lot.
pub(super) const fn floor_lot(qty: i64, lot: Qty) -> Qty {
    if qty <= 0 || lot.0 <= 0 {
        Qty(0)
    } else {
        Qty(qty - qty % lot.0)
    }
}

/// What Kelly leaves to add to what is held, up to the largest position.
pub(super) fn kelly_qty(bet: &Bet<'_>, bounds: &Bounds) -> Option<Qty> {
    let room = bounds.contracts.0.saturating_sub(bounds.held.0);
    let mut qty = floor_lot(room, bounds.lot);
    // A smaller order pays more fee a contract where fees are rounded up, which makes it smaller again.
    while qty.0 > 0 {
        let target = bet.kelly(bounds.bankroll, bounds.kelly_ppm, qty)?;
        let next = floor_lot(target.0.saturating_sub(bounds.held.0), bounds.lot).min(qty);
        if next == qty {
            break;
        }
        qty = next;
    }
    Some(qty)
}

/// The largest quantity up to `most` that no bound forbids.
pub(super) fn capped_qty(
    bet: &Bet<'_>,
    bounds: &Bounds,
    most: Qty,
    stakes: &[Stake],
) -> Option<Qty> {
    let mut with = Vec::with_capacity(stakes.len() + 1);
    let mut fits = |lots: i64| -> Option<bool> {
        if lots == 0 {
            return Some(true);
        }
        let stake = bet.stake(Qty(lots.checked_mul(bounds.lot.0)?))?;
        with.clear();
        with.extend_from_slice(stakes);
        with.push(stake);
        let alone = Money(stake.if_pays.max(stake.if_not));
        Some(alone <= bounds.trade && worst_loss(&with)? <= bounds.event)
    };
    // Losses only grow with the quantity: search by halves.
    let (mut fit, mut above) = (0, most.0.checked_div(bounds.lot.0)?.max(0) + 1);
    while above - fit > 1 {
        let middle = fit + (above - fit) / 2;
        if fits(middle)? {
            fit = middle;
        } else {
            above = middle;
        }
    }
    Some(Qty(fit * bounds.lot.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
    use crate::id::InstrumentId;
    use crate::time::Nanos;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    const CENTS: Decimals = Decimals { price: 2, qty: 0 };

    /// Kalshi's old schedule: 7 %, up to the cent, makers free.
    fn cent_rule() -> FeeSchedule {
        let formula = |rate| FeeFormula::probability(Decimal::new(rate, 2));
        FeeSchedule {
            instrument: InstrumentId(0),
            effective_from: Nanos(0),
            maker: formula(0),
            taker: formula(7),
            rounding: Rounding {
                decimals: 2,
                mode: RoundingMode::Up,
            },
            accrual: FeeAccrual::PerOrder,
            source: "test".into(),
        }
    }

    fn bounds() -> Bounds {
        let usd = |thousandths: i128| Money(thousandths * USD / 1_000);
        Bounds {
            bankroll: usd(992_100),
            kelly_ppm: 250_000,
            trade: usd(19_842),
            event: usd(29_763),
            contracts: Qty(200),
            held: Qty(0),
            lot: Qty(1),
        }
    }

    fn bet(fees: &FeeSchedule, side: Side, price: i64, pays_ppm: u32) -> Bet<'_> {
        Bet {
            strike: Strike::Between { floor: 84, cap: 85 },
            side,
            price: Price(price),
            pays_ppm,
            d: CENTS,
            fees,
        }
    }

    /// By hand: .257646 - .20 = .057646; 68 contracts pay .07 x 68 x .2 x .8 = .7616, up to .77, .011323529... each.
    #[test]
    fn the_edge_is_measured_against_the_price_that_is_paid() {
        let fees = cent_rule();
        let yes = bet(&fees, Side::Buy, 20, 257_646);
        assert_eq!(yes.gross_edge().unwrap().to_string(), "0.057646");
        assert_eq!(
            yes.net_edge(Qty(68)).unwrap().to_string(),
            "0.046322470588235294"
        );
        // NO: (1 - .433816) - (1 - .50) - .07 x .25 = .066184 - .0175.
        let no = bet(&fees, Side::Sell, 50, 433_816);
        assert_eq!(no.gross_edge().unwrap().to_string(), "0.066184");
        assert_eq!(no.net_edge(Qty(40)).unwrap().to_string(), "0.048684");
    }

    /// Requirements, five systems, 3.4: .24 on 15 at .34 is 1.6 cents each.
    #[test]
    fn cent_rounding_is_part_of_the_edge() {
        let fees = cent_rule();
        let bet = bet(&fees, Side::Buy, 34, 400_000);
        assert_eq!(Money(bet.fee(Qty(15)).unwrap()).to_string(), "0.24");
        assert_eq!(bet.net_edge(Qty(15)).unwrap().to_string(), "0.044");
    }

    /// By hand, for 68 contracts: a = .20 + .77 / 68 = .211323529..., f* = (.257646 - a) / (1 - a) = .058734..., a quarter
    /// of it of 992.10 is 14.567..., / a = 68.93: 68, which is what the fee was taken for.
    #[test]
    fn a_quarter_of_kelly_is_bet_with_the_fee_in_the_price() {
        let fees = cent_rule();
        let bet = bet(&fees, Side::Buy, 20, 257_646);
        assert_eq!(kelly_qty(&bet, &bounds()), Some(Qty(68)));
        // 13.60 + .77 = 14.37 is below the 19.84 of one trade.
        assert_eq!(capped_qty(&bet, &bounds(), Qty(68), &[]), Some(Qty(68)));
        let held = Bounds {
            held: Qty(68),
            ..bounds()
        };
        assert_eq!(kelly_qty(&bet, &held), Some(Qty(0)));
    }

    /// By hand: long 68 of 84-85 (14.37 lost unless it pays), then "above 85" sold at .50. Above 85 both lose:
    /// 14.37 + n x .50 + fee(n) <= 29.763 holds for 29 (14.50 + .51), not for 30 (15.00 + .53).
    #[test]
    fn brackets_of_one_event_share_its_cap() {
        let fees = cent_rule();
        let cents = |cents: i128| Money(cents * USD / 100);
        let between = Strike::Between { floor: 84, cap: 85 };
        let held = Stake::held(between, Qty(68), cents(1_360), cents(77), CENTS).unwrap();
        assert_eq!(worst_loss(&[held]), Some(cents(1_437)));
        let greater = Bet {
            strike: Strike::Greater { floor: 85 },
            ..bet(&fees, Side::Sell, 50, 433_816)
        };
        assert_eq!(
            capped_qty(&greater, &bounds(), Qty(48), &[held]),
            Some(Qty(29))
        );
        // Against the same outcomes it would hedge: below 84 the sale loses nothing, so nothing is added there.
        let hedge = Stake::held(
            Strike::Greater { floor: 85 },
            Qty(10),
            cents(500),
            cents(18),
            CENTS,
        );
        let both = [held, hedge.unwrap()];
        // T = 86 or more: 14.37 - 10 + 5.18; below 84: 14.37 + 5.18.
        assert_eq!(worst_loss(&both), Some(cents(1_955)));
    }

    fn strike() -> impl Strategy<Value = Strike> {
        (70i32..90, 0i32..3, 0u8..3).prop_map(|(floor, width, kind)| match kind {
            0 => Strike::Greater { floor },
            1 => Strike::Less { cap: floor },
            _ => Strike::Between {
                floor,
                cap: floor + width,
            },
        })
    }

    prop_compose! {
        fn order()(strike in strike(), buy: bool, price in 1i64..100, qty in 1i64..200) -> (Strike, Side, i64, i64) {
            (strike, if buy { Side::Buy } else { Side::Sell }, price, qty)
        }
    }

    proptest! {
        /// Whatever is held already: no outcome of the day loses more than the event's cap or what was lost before, the
        /// order alone no more than a trade's, and the position stays below its cap. Checked outcome by outcome.
        #[test]
        fn no_size_is_above_any_cap(
            (strike, side, price, _) in order(), pays_ppm in 0u32..=1_000_000, before in prop::collection::vec(order(), 0..6),
            trade in 0i128..60_000, event in 0i128..90_000, contracts in 1i64..300, held in 0i64..100, lot in 1i64..5,
        ) {
            let fees = cent_rule();
            let bet = Bet { strike, side, price: Price(price), pays_ppm, d: CENTS, fees: &fees };
            let bounds = Bounds {
                trade: Money(trade * USD / 1_000),
                event: Money(event * USD / 1_000),
                contracts: Qty(contracts),
                held: Qty(held),
                lot: Qty(lot),
                ..bounds()
            };
            let stakes: Vec<Stake> = before
                .iter()
                .map(|(strike, side, price, qty)| {
                    Stake::order(*strike, *side, Price(*price), Qty(*qty), CENTS, &fees).unwrap()
                })
                .collect();
            let most = kelly_qty(&bet, &bounds).unwrap();
            let qty = capped_qty(&bet, &bounds, most, &stakes).unwrap();
            prop_assert!(0 <= qty.0 && qty <= most && qty.0 % lot == 0);
            prop_assert!(qty.0 == 0 || held + qty.0 <= contracts);
            if qty.0 > 0 {
                prop_assert!(bet.net_edge(qty).unwrap().0 > 0);
                // In cents, the long way round.
                let loss = |(strike, side, price, qty): (Strike, Side, i64, i64), degrees: i64| {
                    let pays = if pays(strike, degrees) { 100 } else { 0 };
                    let exact = 7 * qty * price * (100 - price);
                    let fee = (exact + 9_999) / 10_000;
                    (side.sign() * (price - pays) * qty + fee).max(0)
                };
                let ours = (strike, side, price, qty.0);
                for degrees in 60..100 {
                    let alone = loss(ours, degrees);
                    let sum: i64 = before.iter().map(|order| loss(*order, degrees)).sum();
                    prop_assert!(i128::from(alone) * 10 <= trade);
                    prop_assert!(i128::from(sum + alone) * 10 <= event);
                }
            }
        }

        #[test]
        fn fees_are_never_negative(price in 0i64..=100, qty in 0i64..100_000) {
            prop_assert!(fee(&cent_rule(), CENTS, Price(price), Qty(qty)).unwrap() >= 0);
        }
    }
}
