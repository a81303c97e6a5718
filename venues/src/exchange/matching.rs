//! What an order meets: pure functions over the journal's book and what was taken from it.
use super::truth::{NewVenueOrder, PlaceError, VenueOrder};
use onetape_engine::event::{Aggressor, Event, Level, TradingStatus};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::number::Price;
use onetape_engine::order::{OrderType, Side};
use onetape_engine::time::Nanos;
use std::collections::BTreeMap;

/// What orders took from a level since the journal last changed it.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<(InstrumentId, Side, Price), i64>);

impl Taken {
    pub(super) fn add(&mut self, instrument: InstrumentId, side: Side, price: Price, qty: i64) {
        *self.0.entry((instrument, side, price)).or_default() += qty;
    }

    /// A level that the journal states anew has all of its quantity again.
    pub(super) fn see(&mut self, event: &Event<'_>) {
        if self.0.is_empty() {
            return;
        }
        match event {
            Event::BookSnapshot(update) => {
                let id = update.header.instrument;
                self.0.retain(|(instrument, _, _), _| *instrument != id);
            }
            Event::Quote(quote) => {
                let id = quote.instrument;
                self.0.retain(|(instrument, _, _), _| *instrument != id);
            }
            Event::BookDelta(update) => {
                let id = update.header.instrument;
                for (side, levels) in [(Side::Buy, update.bids), (Side::Sell, update.asks)] {
                    for level in levels {
                        self.0.remove(&(id, side, level.price));
                    }
                }
            }
            _ => {}
        }
    }

    fn left(&self, instrument: InstrumentId, side: Side, level: Level) -> i64 {
        let taken = self.0.get(&(instrument, side, level.price)).copied();
        level.qty.0 - taken.unwrap_or(0)
    }
}

/// A price and how much is to be had at it.
pub(super) struct Take {
    pub(super) price: Price,
    pub(super) qty: i64,
}

/// The levels of a side, best first: of the book where there is a live one, else of the quote.
fn levels(instrument: &Instrument, side: Side) -> Vec<Level> {
    match instrument.book() {
        Some(book) => book.side(side).levels().take(1_000).collect(),
        None => {
            let best = instrument.quote().and_then(|top| top.side(side));
            best.into_iter().collect()
        }
    }
}

/// Whether the venue's rules allow the order.
pub(super) fn check(
    instrument: &Instrument,
    new: &NewVenueOrder,
    now: Nanos,
) -> Result<(), PlaceError> {
    if instrument.status != TradingStatus::Open || instrument.settled_at.is_some() {
        return Err(PlaceError::MarketNotOpen);
    }
    let rules = instrument.rules_at(now).ok_or(PlaceError::MarketNotOpen)?;
    if new.qty.0 <= 0 || new.qty.0 % rules.lot_size.0 != 0 {
        return Err(PlaceError::Rules("quantity is off the lot"));
    }
    if new.qty < rules.min_qty {
        return Err(PlaceError::TooSmall);
    }
    if new.order_type == OrderType::Market {
        return Ok(());
    }
    if new.price < rules.min_price || new.price > rules.max_price {
        return Err(PlaceError::Rules("price is out of bounds"));
    }
    if !rules.is_on_grid(new.price) {
        return Err(PlaceError::Rules("price is off the grid"));
    }
    let notional = instrument.decimals().notional(new.price, new.qty);
    if notional.map_err(|_| PlaceError::OutOfRange)? < rules.min_notional {
        return Err(PlaceError::TooSmall);
    }
    Ok(())
}

/// What the order takes on arrival, best price first.
pub(super) fn takes(instrument: &Instrument, taken: &Taken, new: &NewVenueOrder) -> Vec<Take> {
    let (mut takes, mut wanted) = (Vec::new(), new.qty.0);
    if new.order_type == OrderType::Stop {
        return takes;
    }
    let side = new.side.opposite();
    for level in levels(instrument, side) {
        let at_limit = new.order_type == OrderType::Limit;
        if wanted <= 0 || (at_limit && !new.side.crosses(new.price, level.price)) {
            break;
        }
        let qty = taken.left(instrument.id(), side, level).min(wanted);
        if qty > 0 {
            wanted -= qty;
            takes.push(Take {
                price: level.price,
                qty,
            });
        }
    }
    takes
}

/// The displayed quantity at a price on an order's own side: the queue that it joins.
pub(super) fn displayed(instrument: &Instrument, side: Side, price: Price) -> i64 {
    let at = levels(instrument, side);
    at.iter().find(|l| l.price == price).map_or(0, |l| l.qty.0)
}

/// Whether the market has reached a stop's trigger.
pub(super) fn triggers(
    instrument: &Instrument,
    order: &VenueOrder,
    trade: Option<&Event<'_>>,
) -> bool {
    let reached = |price: Price| match order.new.side {
        Side::Buy => price >= order.new.price,
        Side::Sell => price <= order.new.price,
    };
    match trade {
        Some(Event::Trade(trade)) => reached(trade.price),
        _ => {
            let far = instrument
                .top()
                .and_then(|t| t.side(order.new.side.opposite()));
            far.is_some_and(|level| reached(level.price))
        }
    }
}

/// How much of a resting order the market reaches, and at which price of the other side: a trade through its price, a
/// trade at its price once the queue before it is used up, or a book that has come to stand across it.
pub(super) fn reached(
    instrument: &Instrument,
    taken: &Taken,
    order: &mut VenueOrder,
    trade: Option<&Event<'_>>,
) -> (Price, i64) {
    let (side, price) = (order.new.side, order.new.price);
    if let Some(Event::Trade(trade)) = trade {
        let hits = match trade.aggressor() {
            Aggressor::Buyer => side == Side::Sell,
            Aggressor::Seller => side == Side::Buy,
            Aggressor::Unknown => true,
        };
        if !hits || !side.crosses(price, trade.price) {
            return (price, 0);
        }
        if trade.price != price {
            return (trade.price, trade.qty.0.min(order.remaining().0));
        }
        let queued = order.queue_ahead.min(trade.qty.0);
        order.queue_ahead -= queued;
        return (price, (trade.qty.0 - queued).min(order.remaining().0));
    }
    let far = side.opposite();
    let Some(level) = levels(instrument, far).first().copied() else {
        return (price, 0);
    };
    if !side.crosses(price, level.price) {
        return (price, 0);
    }
    let left = taken.left(instrument.id(), far, level).max(0);
    (level.price, left.min(order.remaining().0))
}
