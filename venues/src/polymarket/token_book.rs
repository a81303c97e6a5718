//! The book of one token as the venue's changes make it, kept to be held against the best prices that the venue tells.
use onetape_engine::event::Level;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use std::collections::BTreeMap;

/// Best bid and best ask; `None` where a side is empty.
pub(super) type Best = (Option<Price>, Option<Price>);

/// Levels by price. Prices lie between 0 and 1, so there are never more of them than the decimals allow.
#[derive(Debug, Default)]
pub(super) struct TokenBook {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
}

impl TokenBook {
    pub(super) fn replace(&mut self, bids: &[Level], asks: &[Level]) {
        let side = |levels: &[Level]| levels.iter().map(|l| (l.price, l.qty)).collect();
        self.bids = side(bids);
        self.asks = side(asks);
    }

    pub(super) fn set(&mut self, side: Side, level: Level) {
        let levels = match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if level.qty.0 == 0 {
            levels.remove(&level.price);
        } else {
            levels.insert(level.price, level.qty);
        }
    }

    pub(super) fn best(&self) -> Best {
        let bid = self.bids.last_key_value().map(|(price, _)| *price);
        let ask = self.asks.first_key_value().map(|(price, _)| *price);
        (bid, ask)
    }

    pub(super) fn is_crossed(&self) -> bool {
        matches!(self.best(), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// All levels, best first.
    pub(super) fn levels(&self) -> (Vec<Level>, Vec<Level>) {
        let level = |(price, qty): (&Price, &Qty)| Level {
            price: *price,
            qty: *qty,
        };
        let bids = self.bids.iter().rev().map(level).collect();
        (bids, self.asks.iter().map(level).collect())
    }
}
