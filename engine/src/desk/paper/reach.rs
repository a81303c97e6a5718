//! Which market events can matter to the orders that rest: nearly none does, so an instrument's orders are summed up in
//! what they wait for, and a tick is held against that instead of against each order.
use super::Resting;
use crate::event::{Aggressor, BookUpdate, Level, Trade, TradingStatus};
use crate::market::Instrument;
use crate::number::Price;
use crate::order::Side;

/// The prices of the orders of one instrument. Follows from the orders that rest, so it is no state of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    buys: Prices,
    sells: Prices,
    /// Trades have filled one of them, and no report has said so yet.
    fillable: bool,
}

/// From the lowest to the highest; the other way round where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prices {
    low: i64,
    high: i64,
}

impl Prices {
    const NONE: Self = Self {
        low: i64::MAX,
        high: i64::MIN,
    };

    fn add(&mut self, price: Price) {
        self.low = self.low.min(price.0);
        self.high = self.high.max(price.0);
    }

    #[inline]
    fn have(&self, level: &Level) -> bool {
        (self.low <= level.price.0) & (level.price.0 <= self.high)
    }
}

impl Reach {
    pub(super) const NOTHING: Self = Self {
        buys: Prices::NONE,
        sells: Prices::NONE,
        fillable: false,
    };

    pub(super) fn add(&mut self, rest: &Resting) {
        match rest.side {
            Side::Buy => self.buys.add(rest.price),
            Side::Sell => self.sells.add(rest.price),
        }
        self.fillable |= rest.fillable > 0;
    }

    /// Whether an update may show a level at which an order rests.
    #[inline]
    pub(super) fn is_shown(&self, update: &BookUpdate<'_>) -> bool {
        match update.single() {
            Some((side, level)) => [self.buys, self.sells][side as usize].have(level),
            None => {
                let shown =
                    |prices: Prices, levels: &[Level]| levels.iter().any(|it| prices.have(it));
                shown(self.buys, update.bids) || shown(self.sells, update.asks)
            }
        }
    }

    /// Whether a trade comes to the price of an order.
    #[inline]
    pub(super) const fn is_hit(&self, trade: &Trade) -> bool {
        let (buys, sells) = (
            trade.price.0 <= self.buys.high,
            trade.price.0 >= self.sells.low,
        );
        match trade.aggressor() {
            Aggressor::Buyer => sells,
            Aggressor::Seller => buys,
            Aggressor::Unknown => buys || sells,
        }
    }

    /// Whether an order may be filled, or ended, as the market is now.
    #[inline]
    pub(super) fn may_report(&self, instrument: &Instrument) -> bool {
        let top = instrument.top().unwrap_or_default();
        let bid = top.side(Side::Buy).map_or(i64::MIN, |bid| bid.price.0);
        let ask = top.side(Side::Sell).map_or(i64::MAX, |ask| ask.price.0);
        let met = ask <= self.buys.high || bid >= self.sells.low;
        met || self.fillable
            || (instrument.status == TradingStatus::Closed && *self != Self::NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::paper::Queue;
    use crate::event::BookHeader;
    use crate::id::{InstrumentId, OrderId};
    use crate::number::Qty;
    use crate::session::PaperVenueConfig;
    use proptest::prelude::*;

    fn rest(is_buy: bool, price: i64) -> Resting {
        Resting {
            order: OrderId(1),
            instrument: InstrumentId(0),
            side: if is_buy { Side::Buy } else { Side::Sell },
            price: Price(price),
            remaining: Qty(1),
            queue: Queue::join(&PaperVenueConfig::default(), Some(1)),
            fillable: 0,
        }
    }

    fn levels(prices: &[i64]) -> Vec<Level> {
        let level = |price: &i64| Level {
            price: Price(*price),
            qty: Qty(1),
        };
        prices.iter().map(level).collect()
    }

    proptest! {
        /// Whatever rests, no level and no trade that comes to an order is missed; without orders there is nothing.
        #[test]
        fn nothing_that_comes_to_an_order_is_out_of_reach(
            orders in prop::collection::vec((any::<bool>(), 1i64..40), 0..6),
            bids in prop::collection::vec(1i64..40, 0..4),
            asks in prop::collection::vec(1i64..40, 0..4),
            traded in 1i64..40,
            aggressor in 0u8..3,
        ) {
            let resting: Vec<_> = orders.iter().map(|(is_buy, price)| rest(*is_buy, *price)).collect();
            let mut reach = Reach::NOTHING;
            resting.iter().for_each(|rest| reach.add(rest));
            let (header, bids, asks) = (BookHeader::default(), levels(&bids), levels(&asks));
            let update = BookUpdate { header: &header, bids: &bids, asks: &asks };
            let is_shown = |rest: &Resting| {
                update.side(rest.side).iter().any(|level| level.price == rest.price)
            };
            let trade = Trade { aggressor, price: Price(traded), qty: Qty(1), ..Trade::default() };
            let is_hit = |rest: &Resting| {
                let hits = match trade.aggressor() {
                    Aggressor::Buyer => rest.side == Side::Sell,
                    Aggressor::Seller => rest.side == Side::Buy,
                    Aggressor::Unknown => true,
                };
                hits && rest.side.opposite().crosses(trade.price, rest.price)
            };
            prop_assert!(reach.is_shown(&update) || !resting.iter().any(is_shown));
            prop_assert_eq!(reach.is_hit(&trade), resting.iter().any(is_hit));
            if resting.is_empty() {
                prop_assert!(!reach.is_shown(&update));
            }
        }
    }
}
