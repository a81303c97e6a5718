//! The levels of one market: the venue's deltas are signed changes, the tape's are new totals.
use onetape_engine::event::Level;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use std::collections::BTreeMap;

/// Both sides in YES prices. A price lies between 0 and 1 dollar on the instrument's decimals, so a side holds a bounded
/// number of levels whatever comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

impl Book {
    /// Sets a level. The same price twice in a snapshot is its sum: two orders of one level.
    pub(super) fn add(&mut self, side: Side, price: Price, qty: Qty) {
        let level = self.side(side).entry(price).or_default();
        level.0 = level.0.saturating_add(qty.0);
    }

    /// Changes a level; its new total, or `None` where it would fall below zero.
    pub(super) fn change(&mut self, side: Side, price: Price, change: Qty) -> Option<Qty> {
        let levels = self.side(side);
        let before = levels.get(&price).copied().unwrap_or_default();
        let total = before.0.checked_add(change.0).filter(|total| *total >= 0)?;
        if total == 0 {
            levels.remove(&price);
        } else {
            levels.insert(price, Qty(total));
        }
        Some(Qty(total))
    }

    /// Whether the best bid is at or above the best ask.
    pub(super) fn is_crossed(&self) -> bool {
        let bid = self.bids.last_key_value().map(|(price, _)| *price);
        let ask = self.asks.first_key_value().map(|(price, _)| *price);
        bid.zip(ask).is_some_and(|(bid, ask)| bid >= ask)
    }

    /// Empties it.
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Writes the levels to `out`, best first, bids first; returns how many are bids.
    pub(super) fn write(&self, out: &mut Vec<Level>) -> usize {
        let level = |(price, qty): (&Price, &Qty)| Level {
            price: *price,
            qty: *qty,
        };
        out.clear();
        out.extend(self.bids.iter().rev().map(level));
        let bids = out.len();
        out.extend(self.asks.iter().map(level));
        bids
    }

    const fn side(&mut self, side: Side) -> &mut BTreeMap<Price, Qty> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_add_up_and_never_below_zero() {
        let mut book = Book::default();
        book.add(Side::Buy, Price(4_200), Qty(300));
        book.add(Side::Sell, Price(4_400), Qty(100));
        assert_eq!(
            book.change(Side::Buy, Price(4_200), Qty(-50)),
            Some(Qty(250))
        );
        assert_eq!(book.change(Side::Buy, Price(4_300), Qty(10)), Some(Qty(10)));
        assert_eq!(book.change(Side::Buy, Price(4_100), Qty(-1)), None);
        assert_eq!(book.change(Side::Buy, Price(4_300), Qty(i64::MAX)), None);
        assert!(!book.is_crossed());
        let mut levels = Vec::new();
        assert_eq!(book.write(&mut levels), 2);
        let prices: Vec<i64> = levels.iter().map(|level| level.price.0).collect();
        assert_eq!(prices, [4_300, 4_200, 4_400]);
        assert_eq!(book.change(Side::Buy, Price(4_400), Qty(5)), Some(Qty(5)));
        assert!(book.is_crossed());
        assert_eq!(
            book.change(Side::Sell, Price(4_400), Qty(-100)),
            Some(Qty(0))
        );
        assert!(!book.is_crossed());
    }
}
