//! Fixed layouts of the events that arrive on every tick, read in place.
//!
//! ```text
//! Quote  56 B   u32 instrument | u32 flags | u64 venue time ns | u64 update id | i64 bid price | i64 bid qty
//!               | i64 ask price | i64 ask qty
//! Trade  40 B   u32 instrument | u8 aggressor | 3 zero | u64 venue time ns | u64 trade id | i64 price | i64 qty
//! Book   48 B   u32 instrument | u32 bids | u32 asks | u32 flags | u64 venue time ns | u64 first id | u64 last id
//!               | u64 previous id, then 16 B a level: i64 price | i64 qty, bids first
//! ```
use super::Kind;
use crate::error::DecodeError;
use crate::id::InstrumentId;
use crate::number::{Price, Qty};
use crate::order::Side;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Best bid and ask. A side without a bid or ask has quantity 0.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Quote {
    /// Whose.
    pub instrument: InstrumentId,
    /// No flag is defined yet; zero.
    pub flags: u32,
    /// The venue's own time, UTC ns; 0 where the feed has none.
    pub venue_time_ns: u64,
    /// The venue's update id; 0 where the feed has none.
    pub update_id: u64,
    /// Best bid.
    pub bid_price: Price,
    /// Quantity at the best bid.
    pub bid_qty: Qty,
    /// Best ask.
    pub ask_price: Price,
    /// Quantity at the best ask.
    pub ask_qty: Qty,
}

/// Who crossed the spread in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggressor {
    /// The venue does not say.
    Unknown,
    /// The buyer took.
    Buyer,
    /// The seller took.
    Seller,
}

impl Aggressor {
    /// The byte in a [`Trade`].
    pub const fn byte(self) -> u8 {
        match self {
            Aggressor::Unknown => 0,
            Aggressor::Buyer => 1,
            Aggressor::Seller => 2,
        }
    }
}

/// A public trade.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Trade {
    /// Whose.
    pub instrument: InstrumentId,
    /// See [`Aggressor::byte`]; other values read as unknown.
    pub aggressor: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// The venue's own time, UTC ns; 0 where the feed has none.
    pub venue_time_ns: u64,
    /// The venue's trade id; 0 where the feed has none.
    pub trade_id: u64,
    /// Price.
    pub price: Price,
    /// Quantity.
    pub qty: Qty,
}

impl Trade {
    /// Whether price and quantity can be those of a trade; one that is not stands on the tape and moves nothing.
    #[inline]
    pub const fn is_sane(&self) -> bool {
        self.price.0 > 0 && self.qty.0 > 0
    }

    /// Who crossed the spread.
    pub const fn aggressor(&self) -> Aggressor {
        match self.aggressor {
            1 => Aggressor::Buyer,
            2 => Aggressor::Seller,
            _ => Aggressor::Unknown,
        }
    }
}

/// What a book update says of itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BookHeader {
    /// Whose.
    pub instrument: InstrumentId,
    /// How many of the levels are bids; they come first.
    pub bids: u32,
    /// How many of the levels are asks.
    pub asks: u32,
    /// No flag is defined yet; zero.
    pub flags: u32,
    /// The venue's own time, UTC ns; 0 where the feed has none.
    pub venue_time_ns: u64,
    /// The venue's first update id in here; 0 where the feed has none.
    pub first_id: u64,
    /// The venue's last update id in here: the book's state id afterwards; 0 where the feed has none.
    pub last_id: u64,
    /// The state id that a delta builds on; 0 where the feed has none, and in snapshots.
    pub previous_id: u64,
}

/// One price level: the new total quantity there; 0 removes it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: Price,
    /// Total quantity at the price.
    pub qty: Qty,
}

/// A book snapshot or delta in place.
#[derive(Clone, Copy, Debug)]
pub struct BookUpdate<'a> {
    /// Counts and ids.
    pub header: &'a BookHeader,
    /// New bid quantities.
    pub bids: &'a [Level],
    /// New ask quantities.
    pub asks: &'a [Level],
}

impl<'a> BookUpdate<'a> {
    #[inline]
    pub(super) fn read(kind: Kind, payload: &'a [u8]) -> Result<Self, DecodeError> {
        let wrong_size = || DecodeError::WrongSize {
            kind: kind.name(),
            found: payload.len(),
        };
        let (header, rest) = BookHeader::ref_from_prefix(payload).map_err(|_| wrong_size())?;
        let levels = <[Level]>::ref_from_bytes(rest).map_err(|_| wrong_size())?;
        let bids = usize::try_from(header.bids).map_err(|_| wrong_size())?;
        let asks = usize::try_from(header.asks).map_err(|_| wrong_size())?;
        if bids.checked_add(asks) != Some(levels.len()) {
            return Err(wrong_size());
        }
        let (bids, asks) = levels.split_at(bids);
        Ok(Self { header, bids, asks })
    }

    /// The new quantities of a side: `Buy` for the bids.
    #[inline]
    pub const fn side(&self, side: Side) -> &'a [Level] {
        match side {
            Side::Buy => self.bids,
            Side::Sell => self.asks,
        }
    }

    /// The one level of an update that has no more, and its side: so are most of some venues.
    #[inline(always)]
    pub fn single(&self) -> Option<(Side, &'a Level)> {
        if self.bids.len() + self.asks.len() != 1 {
            return None;
        }
        // Which side it is of is anybody's guess: found by index, not by a branch.
        let place = usize::from(self.bids.is_empty());
        let level = [self.bids, self.asks][place].first()?;
        Some(([Side::Buy, Side::Sell][place], level))
    }

    /// Appends the payload's bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.header.as_bytes());
        out.extend_from_slice(self.bids.as_bytes());
        out.extend_from_slice(self.asks.as_bytes());
    }
}

#[inline]
pub(super) fn read<T: FromBytes + KnownLayout + Immutable>(
    kind: Kind,
    payload: &[u8],
) -> Result<&T, DecodeError> {
    T::ref_from_bytes(payload).map_err(|_| DecodeError::WrongSize {
        kind: kind.name(),
        found: payload.len(),
    })
}

// The tape is little-endian and its integers are read in place.
const _: () = assert!(cfg!(target_endian = "little"));
const _: () = assert!(size_of::<Quote>() == 56 && size_of::<Trade>() == 40);
const _: () = assert!(size_of::<BookHeader>() == 48 && size_of::<Level>() == 16);
