//! The L2 book of one instrument.
//!
//! A side keeps its levels in pages of 64 neighbouring prices with a bitmap of the occupied ones; a short directory
//! keeps the pages sorted with the best one last. Updates near the best price, which are nearly all, touch the end of
//! the directory and one cache line of a page; nothing is moved when a level comes or goes inside a page.
use super::Top;
use crate::event::Level;
use crate::number::{Price, Qty};
use crate::order::Side;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PAGE_BITS: u32 = 6;
const PAGE_LEVELS: i64 = 1 << PAGE_BITS;

/// A price as a rank: the better, the higher, on both sides.
#[inline]
const fn rank(side: Side, price: Price) -> i64 {
    match side {
        Side::Buy => price.0,
        // The complement turns the order round and can't overflow.
        Side::Sell => !price.0,
    }
}

#[inline]
const fn price_of(side: Side, rank: i64) -> Price {
    match side {
        Side::Buy => Price(rank),
        Side::Sell => Price(!rank),
    }
}

#[derive(Clone, Debug)]
struct Page {
    occupied: u64,
    qty: [i64; PAGE_LEVELS as usize],
}

const EMPTY_PAGE: Page = Page {
    occupied: 0,
    qty: [0; PAGE_LEVELS as usize],
};

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Rank of the page's first level, without its low bits.
    page: i64,
    slot: u32,
}

/// One side of a book.
#[derive(Clone, Debug)]
pub struct BookSide {
    side: Side,
    /// Sorted, best page last; every page in it has a level.
    directory: Vec<Entry>,
    pages: Vec<Page>,
    free: Vec<u32>,
    levels: usize,
}

impl BookSide {
    fn new(side: Side) -> Self {
        Self {
            side,
            directory: Vec::new(),
            pages: Vec::new(),
            free: Vec::new(),
            levels: 0,
        }
    }

    fn clear(&mut self) {
        self.directory.clear();
        self.free.clear();
        self.pages.clear();
        self.levels = 0;
    }

    /// How many levels have a quantity.
    pub const fn len(&self) -> usize {
        self.levels
    }

    /// Whether no level has a quantity.
    pub const fn is_empty(&self) -> bool {
        self.levels == 0
    }

    /// Where the page stands in the directory, or where it would.
    #[inline]
    fn find(&self, page: i64) -> Result<usize, usize> {
        // Most updates are near the best price: look at the last pages before searching.
        let mut end = self.directory.len();
        for entry in self.directory.iter().rev().take(4) {
            if entry.page < page {
                return Err(end);
            }
            end -= 1;
            if entry.page == page {
                return Ok(end);
            }
        }
        self.directory[..end].binary_search_by_key(&page, |entry| entry.page)
    }

    /// Sets the quantity of a level; 0 removes it.
    #[inline]
    fn set(&mut self, price: Price, qty: Qty) {
        let rank = rank(self.side, price);
        let (page_number, bit) = (rank >> PAGE_BITS, (rank & (PAGE_LEVELS - 1)) as usize);
        match self.find(page_number) {
            Ok(place) => {
                let slot = self.directory[place].slot;
                let page = &mut self.pages[slot as usize];
                let mask = 1u64 << bit;
                let had = page.occupied & mask != 0;
                if qty.0 != 0 {
                    page.qty[bit] = qty.0;
                    page.occupied |= mask;
                    self.levels += usize::from(!had);
                } else if had {
                    page.occupied &= !mask;
                    self.levels -= 1;
                    if page.occupied == 0 {
                        self.remove_page(place, slot);
                    }
                }
            }
            Err(_) if qty.0 == 0 => {}
            Err(place) => self.insert_page(place, page_number, bit, qty),
        }
    }

    #[cold]
    fn remove_page(&mut self, place: usize, slot: u32) {
        self.directory.remove(place);
        self.free.push(slot);
    }

    #[cold]
    fn insert_page(&mut self, place: usize, page_number: i64, bit: usize, qty: Qty) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.pages.push(EMPTY_PAGE);
                (self.pages.len() - 1) as u32
            }
        };
        let page = &mut self.pages[slot as usize];
        page.occupied = 1 << bit;
        page.qty[bit] = qty.0;
        self.directory.insert(
            place,
            Entry {
                page: page_number,
                slot,
            },
        );
        self.levels += 1;
    }

    /// The quantity at a price; 0 where there is no level.
    #[inline]
    pub fn qty_at(&self, price: Price) -> Qty {
        let rank = rank(self.side, price);
        let bit = (rank & (PAGE_LEVELS - 1)) as usize;
        match self.find(rank >> PAGE_BITS) {
            Ok(place) => {
                let page = &self.pages[self.directory[place].slot as usize];
                Qty(if page.occupied & (1 << bit) != 0 {
                    page.qty[bit]
                } else {
                    0
                })
            }
            Err(_) => Qty(0),
        }
    }

    /// The best level.
    #[inline]
    pub fn best(&self) -> Option<Level> {
        let entry = self.directory.last()?;
        let page = &self.pages[entry.slot as usize];
        let bit = 63 - page.occupied.leading_zeros();
        let rank = (entry.page << PAGE_BITS) | i64::from(bit);
        Some(Level {
            price: price_of(self.side, rank),
            qty: Qty(page.qty[bit as usize]),
        })
    }

    /// The levels, best first.
    pub fn levels(&self) -> impl Iterator<Item = Level> + '_ {
        self.directory.iter().rev().flat_map(move |entry| {
            let page = &self.pages[entry.slot as usize];
            let mut left = page.occupied;
            core::iter::from_fn(move || {
                let bit = 63u32.checked_sub(left.leading_zeros())?;
                left &= !(1 << bit);
                let rank = (entry.page << PAGE_BITS) | i64::from(bit);
                Some(Level {
                    price: price_of(self.side, rank),
                    qty: Qty(page.qty[bit as usize]),
                })
            })
        })
    }
}

/// A state is its levels: how they are paged says nothing about the market.
impl Serialize for BookSide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        struct Levels<'a>(&'a BookSide);
        impl Serialize for Levels<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeSeq;
                let mut seq = serializer.serialize_seq(Some(self.0.levels))?;
                for level in self.0.levels() {
                    seq.serialize_element(&(level.price, level.qty))?;
                }
                seq.end()
            }
        }
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&self.side)?;
        tuple.serialize_element(&Levels(self))?;
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for BookSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (side, levels) = <(Side, Vec<(Price, Qty)>)>::deserialize(deserializer)?;
        let mut restored = BookSide::new(side);
        for (price, qty) in levels {
            restored.set(price, qty);
        }
        Ok(restored)
    }
}

/// Both sides of a book.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "(BookSide, BookSide)")]
pub struct Book {
    bids: BookSide,
    asks: BookSide,
    /// Best bid and ask, kept because everybody asks for them after every event.
    top: Top,
}

impl From<(BookSide, BookSide)> for Book {
    fn from((bids, asks): (BookSide, BookSide)) -> Self {
        let top = Top {
            bid: bids.best().unwrap_or_default(),
            ask: asks.best().unwrap_or_default(),
        };
        Self { bids, asks, top }
    }
}

impl Serialize for Book {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.bids, &self.asks).serialize(serializer)
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::from((BookSide::new(Side::Buy), BookSide::new(Side::Sell)))
    }
}

impl Book {
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.top = Top::default();
    }

    /// Sets the given levels; false when one has a negative quantity or a price that is not positive.
    #[inline]
    pub(super) fn apply(&mut self, bids: &[Level], asks: &[Level]) -> bool {
        let is_bad = |level: &Level| level.qty.0 < 0 || level.price.0 <= 0;
        if bids.iter().any(is_bad) || asks.iter().any(is_bad) {
            return false;
        }
        // Most updates are behind the best level, which stays.
        let Top { bid, ask } = self.top;
        let mut leads = false;
        for level in bids {
            self.bids.set(level.price, level.qty);
            leads |= level.price >= bid.price;
        }
        if leads {
            self.top.bid = self.bids.best().unwrap_or_default();
        }
        leads = false;
        for level in asks {
            self.asks.set(level.price, level.qty);
            leads |= level.price <= ask.price || ask.qty.0 == 0;
        }
        if leads {
            self.top.ask = self.asks.best().unwrap_or_default();
        }
        true
    }

    /// Best bid and ask; a side without one has quantity 0.
    #[inline]
    pub const fn top(&self) -> Top {
        self.top
    }

    /// One side: `Buy` for the bids.
    #[inline]
    pub const fn side(&self, side: Side) -> &BookSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// Whether the best bid is at or above the best ask.
    #[inline]
    pub fn is_crossed(&self) -> bool {
        let Top { bid, ask } = self.top;
        bid.qty.0 > 0 && ask.qty.0 > 0 && bid.price.0 >= ask.price.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The paged side against the simplest thing that could be right, over prices that share pages, lie pages
        /// apart and are negative in rank.
        #[test]
        fn a_side_equals_a_sorted_map(
            updates in prop::collection::vec((prop_oneof![1i64..300, 1i64..1_000_000_000_000], 0i64..4), 0..400),
            buy: bool,
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let (mut paged, mut model) = (BookSide::new(side), BTreeMap::new());
            for (price, qty) in updates {
                paged.set(Price(price), Qty(qty));
                if qty == 0 { model.remove(&price); } else { model.insert(price, qty); }
                let best = if buy { model.last_key_value() } else { model.first_key_value() };
                prop_assert_eq!(paged.best().map(|l| (l.price.0, l.qty.0)), best.map(|(p, q)| (*p, *q)));
                prop_assert_eq!(paged.len(), model.len());
                prop_assert_eq!(paged.qty_at(Price(price)), Qty(qty));
            }
            let mut expected: Vec<(i64, i64)> = model.into_iter().collect();
            if buy { expected.reverse(); }
            let found: Vec<(i64, i64)> = paged.levels().map(|l| (l.price.0, l.qty.0)).collect();
            prop_assert_eq!(&found, &expected);

            let bytes = rmp_serde::to_vec(&paged).unwrap();
            let restored: BookSide = rmp_serde::from_slice(&bytes).unwrap();
            prop_assert!(restored.levels().eq(paged.levels()));
            prop_assert_eq!(rmp_serde::to_vec(&restored).unwrap(), bytes);
        }
    }

    #[test]
    fn a_bad_level_is_refused_before_anything_is_applied() {
        let mut book = Book::default();
        let level = |price, qty| Level {
            price: Price(price),
            qty: Qty(qty),
        };
        assert!(!book.apply(&[level(10, 1)], &[level(11, -1)]));
        assert!(book.side(Side::Buy).is_empty());
        assert!(!book.apply(&[level(0, 1)], &[]));
    }
}
