//! A generated order book: quantities by step on both sides of a mid that nothing crosses.
use super::rng::Rng;
use onetape_engine::event::Level;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;

/// Steps in the band that the mid stays in.
const BAND: usize = 8_192;
/// How far from the mid quantities change.
const ACTIVE: u64 = 50;

/// Bids stand below `mid`, asks above it, in steps of `step` price units from `base`.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    base: i64,
    step: i64,
    mid: usize,
    low: usize,
    high: usize,
    bids: Vec<i64>,
    asks: Vec<i64>,
    lot: i64,
    largest: i64,
}

impl Ladder {
    /// A ladder around `mid` (price units) with `levels` a side; quantities are 1 to `largest` lots.
    pub(super) fn new(
        rng: &mut Rng,
        mid: i64,
        step: i64,
        bounds: Option<(i64, i64)>,
        levels: usize,
        lot: i64,
        largest: i64,
    ) -> Self {
        let half = (BAND / 2) as i64;
        let base = (mid / step - half).max(0) * step;
        let place = |price: i64| ((price - base) / step).clamp(1, BAND as i64 - 2) as usize;
        let margin = levels + 1;
        // Between bounds the mid leaves room for a level on either side.
        let (low, high) = bounds.map_or((margin, BAND - margin), |(low, high)| {
            (place(low) + 1, place(high) - 1)
        });
        let mut ladder = Self {
            base,
            step,
            mid: place(mid),
            low,
            high,
            bids: vec![0; BAND],
            asks: vec![0; BAND],
            lot,
            largest,
        };
        for away in 1..=levels {
            if let Some(place) = ladder
                .mid
                .checked_sub(away)
                .filter(|place| ladder.price(*place) > 0 && *place >= low.min(1))
            {
                ladder.bids[place] = ladder.random_qty(rng);
            }
            let place = ladder.mid + away;
            if bounds.map_or(place < BAND, |_| place <= high + 1) {
                ladder.asks[place] = ladder.random_qty(rng);
            }
        }
        ladder
    }

    const fn price(&self, place: usize) -> i64 {
        self.base + place as i64 * self.step
    }

    const fn level(&self, place: usize, qty: i64) -> Level {
        Level {
            price: Price(self.price(place)),
            qty: Qty(qty),
        }
    }

    fn random_qty(&self, rng: &mut Rng) -> i64 {
        self.lot * rng.between(1, self.largest)
    }

    /// The mid in price units.
    pub(super) const fn mid(&self) -> i64 {
        self.price(self.mid)
    }

    /// Best level of a side; quantity 0 where it is empty.
    pub(super) fn best(&self, side: Side) -> Level {
        let found = match side {
            Side::Buy => (0..self.mid)
                .rev()
                .find(|place| self.bids[*place] > 0)
                .map(|place| (place, self.bids[place])),
            Side::Sell => (self.mid + 1..BAND)
                .find(|place| self.asks[*place] > 0)
                .map(|place| (place, self.asks[place])),
        };
        found.map_or_else(Level::default, |(place, qty)| self.level(place, qty))
    }

    /// All levels of a side, best first.
    pub(super) fn levels(&self, side: Side) -> Vec<Level> {
        let places: Vec<usize> = match side {
            Side::Buy => (0..self.mid)
                .rev()
                .filter(|place| self.bids[*place] > 0)
                .collect(),
            Side::Sell => (self.mid + 1..BAND)
                .filter(|place| self.asks[*place] > 0)
                .collect(),
        };
        let qty = |place: usize| {
            if side == Side::Buy {
                self.bids[place]
            } else {
                self.asks[place]
            }
        };
        places
            .into_iter()
            .map(|place| self.level(place, qty(place)))
            .collect()
    }

    /// One level changes: the mid goes a step towards `target` if it is not there, otherwise a random level near it gets
    /// a new quantity.
    pub(super) fn change(&mut self, rng: &mut Rng, target: i64) -> (Side, Level) {
        let wanted =
            ((target - self.base) / self.step).clamp(self.low as i64, self.high as i64) as usize;
        if wanted > self.mid && self.mid + 2 < BAND {
            self.mid += 1;
            self.asks[self.mid] = 0;
            return (Side::Sell, self.level(self.mid, 0));
        }
        if wanted < self.mid && self.mid > 1 {
            self.mid -= 1;
            self.bids[self.mid] = 0;
            return (Side::Buy, self.level(self.mid, 0));
        }
        let away = 1 + rng.below(ACTIVE) as usize;
        let side = if rng.once_in(2) {
            Side::Buy
        } else {
            Side::Sell
        };
        // The levels right at the mid are never taken out, so the spread comes back after each move.
        let qty = if away > 2 && rng.once_in(3) {
            0
        } else {
            self.random_qty(rng)
        };
        let place = match side {
            Side::Buy => self.mid.saturating_sub(away).max(1),
            Side::Sell => (self.mid + away).min(BAND - 1),
        };
        let place = match side {
            Side::Buy if self.price(place) <= 0 => self.mid - 1,
            Side::Sell if self.high < BAND / 2 && place > self.high + 1 => self.mid + 1,
            _ => place,
        };
        match side {
            Side::Buy => self.bids[place] = qty,
            Side::Sell => self.asks[place] = qty,
        }
        (side, self.level(place, qty))
    }

    /// Takes from the best level of a side; returns price and quantity taken and the level as it is then.
    pub(super) fn take(&mut self, rng: &mut Rng, side: Side) -> Option<(Price, Qty, Level)> {
        let best = self.best(side);
        let lots = best.qty.0 / self.lot;
        if lots == 0 {
            return None;
        }
        let taken = self.lot * rng.between(1, lots);
        let place = ((best.price.0 - self.base) / self.step) as usize;
        let left = best.qty.0 - taken;
        match side {
            Side::Buy => self.bids[place] = left,
            Side::Sell => self.asks[place] = left,
        }
        Some((best.price, Qty(taken), self.level(place, left)))
    }
}
