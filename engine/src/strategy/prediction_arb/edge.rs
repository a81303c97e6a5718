//! The one edge formula: what two legs of equal shares cost, fees included, and what is left of the 1 that they pay.
//!
//! Requirements, five systems, 2.4: gross edge `g = 1 - c` with `c` what the legs cost a share (buying NO by selling YES
//! at a bid costs `1 - bid`), net edge `n = g - (fees + fixed) / Q` in money for the real Q, return `(n / c) x 365 / days`.
use crate::event::{FeeSchedule, Level, Liquidity};
use crate::fees::OrderFees;
use crate::market::Instrument;
use crate::number::{Money, NumberError, Price, Qty, pow10};
use crate::order::Side;
use crate::parent::depth;
use crate::time::{DAY_NS, Nanos};

const OVERFLOW: NumberError = NumberError::Overflow { what: "edge" };
/// 1 of the currency, and a fraction of 1.
pub(super) const ONE: i128 = 1_000_000_000_000_000_000;

/// `a x b` of two numbers in units of 1e-18, rounded down.
pub(super) fn times(a: Money, b: Money) -> Result<Money, NumberError> {
    // One factor is split, so that amounts up to 1e18 times fractions up to 100 fit.
    let (whole, rest) = (a.0.div_euclid(ONE), a.0.rem_euclid(ONE));
    let whole = whole.checked_mul(b.0).ok_or(OVERFLOW)?;
    let rest = rest.checked_mul(b.0).ok_or(OVERFLOW)?.div_euclid(ONE);
    whole.checked_add(rest).map(Money).ok_or(OVERFLOW)
}

/// Which way round a pair is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// Buy YES on the single-book venue and the token that pays when it does not.
    BuySingle,
    /// Sell YES on the single-book venue, which is buying NO, and buy the token that pays when YES does.
    SellSingle,
}

impl Direction {
    pub(super) const BOTH: [Direction; 2] = [Direction::BuySingle, Direction::SellSingle];

    /// The side of the leg on the single-book venue.
    pub(super) const fn side(self) -> Side {
        match self {
            Direction::BuySingle => Side::Buy,
            Direction::SellSingle => Side::Sell,
        }
    }
}

/// What a share costs that is bought, or sold short, at a price: a short one binds what it may lose.
pub(super) fn cost_of(
    instrument: &Instrument,
    side: Side,
    price: Price,
    qty: Qty,
) -> Result<Money, NumberError> {
    let d = instrument.decimals();
    let notional = d.notional(price, qty)?;
    match side {
        Side::Buy => Ok(notional),
        Side::Sell => {
            let one = pow10(d.price.into()).and_then(|one| i64::try_from(one).ok());
            d.notional(Price(one.ok_or(OVERFLOW)?), qty)?.sub(notional)
        }
    }
}

/// Gross edge of a share at the best prices; `None` where a side is empty.
pub(super) fn gross(
    single: &Instrument,
    token: &Instrument,
    direction: Direction,
) -> Option<Money> {
    let side = direction.side();
    let a = single.top()?.side(side.opposite())?;
    let b = token.top()?.side(Side::Sell)?;
    let share = |instrument: &Instrument, side, price| {
        let unit = pow10(instrument.decimals().qty.into())?;
        cost_of(instrument, side, price, Qty(i64::try_from(unit).ok()?)).ok()
    };
    let cost = share(single, side, a.price)?.add(share(token, Side::Buy, b.price)?);
    Money(ONE).sub(cost.ok()?).ok()
}

/// Shares of both legs in the finer of the two quantities' decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Decimals.
    pub(super) decimals: u32,
    /// How many of them one mantissa step of a leg is: single-book venue, token venue.
    unit: [i128; 2],
    /// The smallest step that is whole lots on both venues.
    lot: i128,
}

impl Shares {
    pub(super) fn new(single: &Instrument, token: &Instrument, now: Nanos) -> Option<Self> {
        let instruments = [single, token];
        let decimals = instruments.map(|i| u32::from(i.decimals().qty));
        let finest = decimals[0].max(decimals[1]);
        let unit = [pow10(finest - decimals[0])?, pow10(finest - decimals[1])?];
        let lot = |place: usize| {
            let lot = instruments[place].rules_at(now)?.lot_size.0;
            i128::from(lot).checked_mul(unit[place])
        };
        let (a, b) = (lot(0)?, lot(1)?);
        let lot = (a / gcd(a, b)).checked_mul(b)?;
        Some(Self {
            decimals: finest,
            unit,
            lot,
        })
    }

    /// As a leg's quantity; exact for whole lots.
    fn qty(&self, place: usize, shares: i128) -> Result<Qty, NumberError> {
        let qty = i64::try_from(shares / self.unit[place]);
        qty.map(Qty).map_err(|_| OVERFLOW)
    }

    /// Whole lots of both venues as a leg's quantity.
    pub(super) fn whole_lots(&self, place: usize, shares: i128) -> Option<Qty> {
        self.qty(place, shares - shares % self.lot).ok()
    }

    /// A leg's quantity as shares.
    pub(super) fn of(&self, place: usize, qty: Qty) -> Option<i128> {
        i128::from(qty.0).checked_mul(self.unit[place])
    }

    /// As an amount of 1 for each share.
    pub(super) fn money(&self, shares: i128) -> Result<Money, NumberError> {
        let unit = pow10(18 - self.decimals.min(18)).ok_or(OVERFLOW)?;
        shares.checked_mul(unit).map(Money).ok_or(OVERFLOW)
    }

    /// An amount for a number of shares, by share; rounded down.
    pub(super) fn each(&self, amount: Money, shares: i128) -> Result<Money, NumberError> {
        let unit = pow10(self.decimals).ok_or(OVERFLOW)?;
        let scaled = amount.0.checked_mul(unit).ok_or(OVERFLOW)?;
        scaled.checked_div_euclid(shares).map(Money).ok_or(OVERFLOW)
    }
}

const fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    if a == 0 { 1 } else { a }
}

/// One leg as it would be filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LegFill {
    /// In the instrument's decimals.
    pub(super) qty: Qty,
    /// The worst price on the way.
    pub(super) limit: Price,
    /// What it costs or binds.
    pub(super) cost: Money,
    /// Taker's fees.
    pub(super) fees: Money,
    /// Displayed at the limit or better.
    pub(super) depth: i128,
}

/// Both legs as they would be filled: equal shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// Shares of each leg.
    pub(super) shares: i128,
    /// Single-book venue, token venue.
    pub(super) legs: [LegFill; 2],
}

impl Walk {
    pub(super) fn cost(&self) -> Result<Money, NumberError> {
        self.legs[0].cost.add(self.legs[1].cost)
    }

    pub(super) fn fees(&self) -> Result<Money, NumberError> {
        self.legs[0].fees.add(self.legs[1].fees)
    }
}

/// How far a walk may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Least marginal net edge of a share.
    pub(super) threshold: Money,
    /// Most for both legs, fees included.
    pub(super) budget: Money,
    /// Most cost of a leg.
    pub(super) leg: Money,
}

/// One ladder while it is walked.
struct Ladder<'a, L> {
    instrument: &'a Instrument,
    fees: &'a FeeSchedule,
    side: Side,
    unit: i128,
    levels: L,
    level: Option<Level>,
    /// Left at the level, in shares.
    left: i128,
    /// Taken at the level.
    taken: Qty,
    /// Fees of the levels before.
    before: OrderFees,
    fees_before: Money,
    depth: i128,
    fill: LegFill,
}

impl<'a, L: Iterator<Item = Level>> Ladder<'a, L> {
    fn new(
        instrument: &'a Instrument,
        now: Nanos,
        side: Side,
        unit: i128,
        levels: L,
    ) -> Option<Self> {
        let mut ladder = Self {
            instrument,
            fees: instrument.fees_at(now)?,
            side,
            unit,
            levels,
            level: None,
            left: 0,
            taken: Qty(0),
            before: OrderFees::default(),
            fees_before: Money::ZERO,
            depth: 0,
            fill: LegFill::default(),
        };
        ladder.turn().ok()?;
        Some(ladder)
    }

    /// Goes on to the next level.
    fn turn(&mut self) -> Result<(), NumberError> {
        if self.level.is_some() {
            let (fee, so_far) = self.charge(self.taken)?;
            self.fees_before = self.fees_before.add(fee)?;
            self.before = so_far;
        }
        self.level = self.levels.next();
        self.taken = Qty(0);
        self.left = self
            .level
            .map_or(0, |level| i128::from(level.qty.0) * self.unit);
        self.depth = self.depth.saturating_add(self.left);
        Ok(())
    }

    fn charge(&self, qty: Qty) -> Result<(Money, OrderFees), NumberError> {
        match self.level {
            Some(level) if qty.0 > 0 => self.fees.charge(
                &self.before,
                self.instrument.decimals(),
                self.side,
                Liquidity::Taker,
                level.price,
                qty,
            ),
            _ => Ok((Money::ZERO, self.before)),
        }
    }

    /// The leg with `more` shares of this level.
    fn with(&self, level: Level, more: Qty) -> Result<LegFill, NumberError> {
        let taken = Qty(self.taken.0.checked_add(more.0).ok_or(OVERFLOW)?);
        let cost = cost_of(self.instrument, self.side, level.price, more)?;
        Ok(LegFill {
            qty: Qty(self.fill.qty.0.checked_add(more.0).ok_or(OVERFLOW)?),
            limit: level.price,
            cost: self.fill.cost.add(cost)?,
            fees: self.fees_before.add(self.charge(taken)?.0)?,
            depth: self.depth,
        })
    }

    fn take(&mut self, fill: LegFill, shares: i128) {
        self.taken.0 += fill.qty.0 - self.fill.qty.0;
        self.left -= shares;
        self.fill = fill;
    }
}

/// Walks both ladders together while the marginal net edge is at the threshold and the caps allow. `None` where a side,
/// rules or fees are missing, or not one lot is worth it.
pub(super) fn walk(
    single: &Instrument,
    token: &Instrument,
    now: Nanos,
    direction: Direction,
    shares: &Shares,
    bounds: &Bounds,
) -> Result<Option<Walk>, NumberError> {
    let ladders = (
        Ladder::new(
            single,
            now,
            direction.side(),
            shares.unit[0],
            depth::met_by(single, direction.side()),
        ),
        Ladder::new(
            token,
            now,
            Side::Buy,
            shares.unit[1],
            depth::met_by(token, Side::Buy),
        ),
    );
    let (Some(mut a), Some(mut b)) = ladders else {
        return Ok(None);
    };
    let mut total = 0i128;
    while let (Some(level_a), Some(level_b)) = (a.level, b.level) {
        let mut step = a.left.min(b.left);
        step -= step % shares.lot;
        if step == 0 {
            // What is left of a level and makes no lot is left alone.
            if a.left <= b.left {
                a.turn()?;
            } else {
                b.turn()?;
            }
            continue;
        }
        let full = step;
        let with = |step| {
            let a = a.with(level_a, shares.qty(0, step)?)?;
            Ok::<_, NumberError>([a, b.with(level_b, shares.qty(1, step)?)?])
        };
        let mut legs = with(step)?;
        let before = [a.fill, b.fill];
        // Rounded fees do not shrink in proportion, so the caps are looked at again after cutting.
        for _ in 0..4 {
            let cut = cut_to(step, &before, &legs, bounds)?;
            step = cut - cut % shares.lot;
            if step == 0 || cut == full {
                break;
            }
            legs = with(step)?;
            if is_within(&legs, bounds)? {
                break;
            }
        }
        if step == 0 || !is_within(&legs, bounds)? {
            break;
        }
        let spent = |legs: &[LegFill; 2]| {
            let costs = legs[0].cost.add(legs[1].cost)?;
            costs.add(legs[0].fees)?.add(legs[1].fees)
        };
        let gain = shares
            .money(step)?
            .sub(spent(&legs)?.sub(spent(&before)?)?)?;
        if gain < times(shares.money(step)?, bounds.threshold)? {
            break;
        }
        a.take(legs[0], step);
        b.take(legs[1], step);
        total += step;
        if step < full {
            break;
        }
    }
    Ok((total > 0).then_some(Walk {
        shares: total,
        legs: [a.fill, b.fill],
    }))
}

fn is_within(legs: &[LegFill; 2], bounds: &Bounds) -> Result<bool, NumberError> {
    let cost = legs[0].cost.add(legs[1].cost)?;
    let all = cost.add(legs[0].fees)?.add(legs[1].fees)?;
    Ok(all <= bounds.budget && legs.iter().all(|leg| leg.cost <= bounds.leg))
}

/// The part of a step that the caps leave, by proportion.
fn cut_to(
    step: i128,
    before: &[LegFill; 2],
    after: &[LegFill; 2],
    bounds: &Bounds,
) -> Result<i128, NumberError> {
    let all = |legs: &[LegFill; 2]| {
        let cost = legs[0].cost.add(legs[1].cost)?;
        cost.add(legs[0].fees)?.add(legs[1].fees)
    };
    let part = |before: Money, after: Money, cap: Money| {
        if after <= cap {
            return Some(step);
        }
        let (room, need) = (cap.0.checked_sub(before.0)?, after.0.checked_sub(before.0)?);
        // Amounts in units of 1e-12: what is dropped is far below any fee's last digit.
        let (room, need) = (room.max(0) / 1_000_000, need / 1_000_000);
        step.checked_mul(room)?.checked_div(need.max(1))
    };
    let parts = [
        part(all(before)?, all(after)?, bounds.budget),
        part(before[0].cost, after[0].cost, bounds.leg),
        part(before[1].cost, after[1].cost, bounds.leg),
    ];
    let mut least = step;
    for part in parts {
        least = least.min(part.ok_or(OVERFLOW)?);
    }
    Ok(least)
}

/// Net edge of a share: `1 - (cost + fees + fixed) / Q`, rounded down.
pub(super) fn net(walk: &Walk, shares: &Shares, fixed: Money) -> Result<Money, NumberError> {
    let paid = walk.cost()?.add(walk.fees()?)?.add(fixed)?;
    shares.each(shares.money(walk.shares)?.sub(paid)?, walk.shares)
}

/// `(n / c) x 365 / days`, as a fraction in units of 1e-18, rounded down.
pub(super) fn annual_return(net: Money, cost: Money, left_ns: u64) -> Option<Money> {
    let year = net.0.checked_mul(365 * i128::from(DAY_NS))?;
    let year = year.checked_div_euclid(i128::from(left_ns))?;
    // In units of 1e-9, which 38 digits hold for any price and time.
    let scaled = year
        .checked_mul(1_000_000_000)?
        .checked_div_euclid(cost.0)?;
    scaled.checked_mul(1_000_000_000).map(Money)
}

/// `T = min(T0 x (1 + k / depth), cap) x m`; `None` without depth.
pub(super) fn threshold(
    least: Money,
    k: Money,
    depth: Money,
    cap: Money,
    multiplier: Money,
) -> Option<Money> {
    let by_depth = times(least, k).ok()?.0.checked_mul(1_000_000_000)?;
    let raised = by_depth.checked_div(depth.0 / 1_000_000_000)?;
    let raised = least.add(Money(raised)).ok()?.min(cap);
    times(raised, multiplier).ok()
}
