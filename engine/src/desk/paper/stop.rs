//! Stop orders before they are triggered: the venue holds them beside its book, in no queue.
//!
//! A buy stop is triggered by a trade at its price or above, or by the best ask coming there; a sell stop by a trade at
//! its price or below, or by the best bid coming there. The touch counts beside the prints, so that a feed with quotes
//! alone triggers too; it is the side that the order would pay. Prints before the order arrived do not count, and a
//! market that is not open triggers nothing.
use crate::event::TradingStatus;
use crate::id::{InstrumentId, OrderId};
use crate::market::Instrument;
use crate::number::Price;
use crate::order::{Order, Side};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) order: OrderId,
    pub(super) instrument: InstrumentId,
    pub(super) side: Side,
    pub(super) trigger: Price,
    /// Reached: the order takes what it finds as soon as there is something.
    pub(super) triggered: bool,
}

impl Stop {
    /// As an order arrives, which a gap may have triggered already.
    pub(super) fn new(order: &Order, instrument: &Instrument) -> Self {
        let mut stop = Self {
            order: order.id,
            instrument: order.instrument,
            side: order.side,
            trigger: order.price,
            triggered: false,
        };
        stop.see_touch(instrument);
        stop
    }

    /// A trade in an open market.
    pub(super) const fn see_print(&mut self, price: Price) {
        self.triggered |= self.side.opposite().crosses(self.trigger, price);
    }

    /// The best price that it would hit, as it is now.
    pub(super) fn see_touch(&mut self, instrument: &Instrument) {
        let top = instrument
            .top()
            .filter(|_| instrument.status == TradingStatus::Open);
        if let Some(best) = top.and_then(|top| top.side(self.side.opposite())) {
            self.see_print(best.price);
        }
    }
}
