//! What an order would find in a book right now.
use crate::event::{Level, Liquidity};
use crate::fees::OrderFees;
use crate::market::Instrument;
use crate::number::{Money, NumberError, Price, Qty};
use crate::order::Side;
use crate::time::Nanos;

/// What an order would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// How much of it the displayed depth fills, in whole lots.
    pub(crate) qty: Qty,
    /// The worst price on the way.
    pub(crate) worst: Price,
    /// Price times quantity.
    pub(crate) notional: Money,
    /// Taker's fees.
    pub(crate) fees: Money,
}

/// The levels that an order of `side` would meet, best first: the book's while it is live, the quote otherwise.
pub(crate) fn met_by(instrument: &Instrument, side: Side) -> impl Iterator<Item = Level> + '_ {
    let opposite = side.opposite();
    let book = instrument.book();
    let quote = match book {
        Some(_) => None,
        None => instrument.quote().and_then(|top| top.side(opposite)),
    };
    let levels = book
        .into_iter()
        .flat_map(move |book| book.side(opposite).levels());
    levels.chain(quote)
}

/// Walks the depth for an order of `side` and `qty`. `None` where nothing can be traded: no live market, no rules or
/// fees in force, less than a lot.
pub(crate) fn find(
    instrument: &Instrument,
    now: Nanos,
    side: Side,
    qty: Qty,
) -> Result<Option<Found>, NumberError> {
    let (Some(rules), Some(schedule)) = (instrument.rules_at(now), instrument.fees_at(now)) else {
        return Ok(None);
    };
    let displayed: i64 = met_by(instrument, side).fold(0, |sum, level| {
        sum.saturating_add(level.qty.0).min(qty.0.max(0))
    });
    let fits = displayed - displayed % rules.lot_size.0.max(1);
    if fits <= 0 {
        return Ok(None);
    }
    let mut found = Found {
        qty: Qty(0),
        worst: Price(0),
        notional: Money::ZERO,
        fees: Money::ZERO,
    };
    let mut so_far = OrderFees::default();
    for level in met_by(instrument, side) {
        let part = Qty(level.qty.0.min(fits - found.qty.0));
        if part.0 <= 0 {
            break;
        }
        found.qty.0 += part.0;
        found.worst = level.price;
        let notional = instrument.decimals().notional(level.price, part)?;
        found.notional = found.notional.add(notional)?;
        let (d, taker) = (instrument.decimals(), Liquidity::Taker);
        let fee;
        (fee, so_far) = schedule.charge(&so_far, d, side, taker, level.price, part)?;
        found.fees = found.fees.add(fee)?;
    }
    Ok(Some(found))
}
