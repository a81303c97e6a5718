//! One record of any format, its numbers still text.
use super::error::Fault;
use super::grid::{Plain, plain};
use onetape_engine::event::Aggressor;
use onetape_engine::order::Side;
use onetape_venues::binance::{DepthSnapshot, DepthUpdate};

/// A record and whose it is.
pub(super) struct Row<'a> {
    /// When it was received, UTC ns.
    pub(super) stamp_ns: u64,
    pub(super) venue: &'a str,
    /// `None` where the record does not say; the file must be about one instrument then.
    pub(super) symbol: Option<&'a str>,
    pub(super) content: Content<'a>,
}

/// Which frame a level belongs to: rows of one key that follow each other are one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameKey {
    pub(super) snapshot: bool,
    /// Zero where rows of several stamps are one frame.
    pub(super) stamp_ns: u64,
    pub(super) venue_time_ns: u64,
    pub(super) id: u64,
    pub(super) previous_id: u64,
}

pub(super) enum Content<'a> {
    /// A side without a price is empty text.
    Quote {
        venue_time_ns: u64,
        update_id: u64,
        bid: (&'a str, &'a str),
        ask: (&'a str, &'a str),
    },
    Trade {
        venue_time_ns: u64,
        trade_id: u64,
        price: &'a str,
        qty: &'a str,
        aggressor: Aggressor,
    },
    Diff(DepthUpdate<'a>),
    Snapshot(DepthSnapshot<'a>),
    Level {
        key: FrameKey,
        side: Side,
        price: &'a str,
        qty: &'a str,
    },
    Ignored(&'static str),
}

/// Most levels in one frame: far more than any venue sends, and less than a frame of the journal can hold.
pub(super) const LEVELS_MAX: usize = 50_000;

/// One level too many.
pub(super) fn too_many_levels(field: &'static str) -> Fault {
    Fault::new(
        field,
        "",
        format!("more than {LEVELS_MAX} levels in one snapshot or update"),
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Price,
    Qty,
}

impl Content<'_> {
    /// Checks every number and calls `each` with it.
    pub(super) fn numbers(
        &self,
        each: &mut impl FnMut(Unit, Plain, &str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut levels = 0;
        let mut pair =
            |price: &str, qty: &str, fields: (&'static str, &'static str), zero_qty: bool| {
                levels += 1;
                if levels > LEVELS_MAX {
                    return Err(too_many_levels(fields.0));
                }
                let read =
                    |field, text: &str| plain(text).map_err(|why| Fault::number(field, text, &why));
                let (p, q) = (read(fields.0, price)?, read(fields.1, qty)?);
                if q.mantissa < 0 || (q.mantissa == 0 && !zero_qty) {
                    let expected = if zero_qty {
                        "expected zero or more"
                    } else {
                        "expected more than zero"
                    };
                    return Err(Fault::new(fields.1, qty, expected));
                }
                if p.mantissa <= 0 {
                    return Err(Fault::new(fields.0, price, "expected more than zero"));
                }
                each(Unit::Price, p, price).map_err(|f| Fault {
                    field: fields.0,
                    ..f
                })?;
                each(Unit::Qty, q, qty).map_err(|f| Fault {
                    field: fields.1,
                    ..f
                })
            };
        match self {
            Content::Quote { bid, ask, .. } => {
                for (side, fields) in [
                    (bid, ("bid price", "bid quantity")),
                    (ask, ("ask price", "ask quantity")),
                ] {
                    if !side_is_empty(*side)? {
                        pair(side.0, side.1, fields, true)?;
                    }
                }
                Ok(())
            }
            Content::Trade { price, qty, .. } => pair(price, qty, ("price", "quantity"), false),
            Content::Level { price, qty, .. } => pair(price, qty, ("price", "quantity"), true),
            Content::Diff(diff) => {
                diff.bids
                    .for_each(|price, qty| pair(price, qty, ("b", "b"), true))?;
                diff.asks
                    .for_each(|price, qty| pair(price, qty, ("a", "a"), true))
            }
            Content::Snapshot(book) => {
                book.bids
                    .for_each(|price, qty| pair(price, qty, ("bids", "bids"), true))?;
                book.asks
                    .for_each(|price, qty| pair(price, qty, ("asks", "asks"), true))
            }
            Content::Ignored(_) => Ok(()),
        }
    }
}

/// Whether a quote has nothing on a side: no price, or a quantity of zero.
pub(super) fn side_is_empty((price, qty): (&str, &str)) -> Result<bool, Fault> {
    if price.is_empty() && qty.is_empty() {
        return Ok(true);
    }
    let read = |text: &str| plain(text).map_err(|why| Fault::number("quantity", text, &why));
    Ok(read(qty)?.mantissa == 0)
}
