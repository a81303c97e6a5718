//! Liquidity that is still displayed, but not there for us: we, or a print before the venue showed it, took it.
use super::{displayed, displayed_at};
use crate::event::{Fill, Level, Liquidity};
use crate::id::InstrumentId;
use crate::market::Instrument;
use crate::number::{Price, Qty};
use crate::order::{Order, Side};
use serde::{Deserialize, Serialize};

/// What was taken from a level as it was displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) displayed: Qty,
    qty: Qty,
}

/// All that was taken and not shown anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Consumed {
    levels: Vec<Taken>,
}

impl Consumed {
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Keeps what the venue has not shown anew.
    #[inline]
    pub(super) fn retain(&mut self, keep: impl FnMut(&Taken) -> bool) {
        self.levels.retain(keep);
    }

    /// What is left of a displayed level.
    pub(super) fn left_at(&self, instrument: InstrumentId, side: Side, level: Level) -> i64 {
        let same = |t: &&Taken| (t.instrument, t.side, t.price) == (instrument, side, level.price);
        let taken = self.levels.iter().find(same).map_or(0, |t| t.qty.0);
        (level.qty.0 - taken).max(0)
    }

    /// Whether anything is left of a side.
    pub(super) fn has_left(&self, instrument: &Instrument, side: Side) -> bool {
        displayed(instrument, side).any(|level| self.left_at(instrument.id(), side, level) > 0)
    }

    /// A fill of ours: what it took, or what came to it and filled it, is not there for the next order.
    pub(super) fn fill(&mut self, order: &Order, fill: &Fill, instrument: &Instrument) {
        let side = order.side.opposite();
        match fill.liquidity {
            Liquidity::Taker => self.take(instrument, side, fill.price, fill.qty.0),
            Liquidity::Maker => self.take_up_to(instrument, side, order.price, fill.qty.0),
        }
    }

    /// A print: what is displayed better than its price is gone, and so is its quantity at its price.
    pub(super) fn print(&mut self, instrument: &Instrument, side: Side, price: Price, qty: i64) {
        for level in displayed(instrument, side) {
            if !side.opposite().crosses(price, level.price) {
                break;
            }
            let gone = if level.price == price {
                qty
            } else {
                level.qty.0
            };
            self.take(instrument, side, level.price, gone);
        }
    }

    fn take_up_to(&mut self, instrument: &Instrument, side: Side, limit: Price, qty: i64) {
        let mut left = qty;
        for level in displayed(instrument, side) {
            if left == 0 || !side.opposite().crosses(limit, level.price) {
                break;
            }
            let part = left.min(self.left_at(instrument.id(), side, level));
            if part > 0 {
                self.take(instrument, side, level.price, part);
                left -= part;
            }
        }
    }

    fn take(&mut self, instrument: &Instrument, side: Side, price: Price, qty: i64) {
        let id = instrument.id();
        let same = |t: &&mut Taken| (t.instrument, t.side, t.price) == (id, side, price);
        match self.levels.iter_mut().find(same) {
            Some(taken) => taken.qty = Qty(taken.qty.0.saturating_add(qty)),
            None => self.levels.push(Taken {
                instrument: id,
                side,
                price,
                displayed: Qty(displayed_at(instrument, side, price).unwrap_or(0)),
                qty: Qty(qty),
            }),
        }
    }
}
