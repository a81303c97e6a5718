//! The L2 book of one instrument.
//!
//! A side keeps its levels in pages of 64 neighbouring prices with a bitmap of the occupied ones; a short directory
//! keeps the pages sorted with the best one last. Where pages are neighbours, as near the best price they nearly all are,
//! a price's page is found without a search; nothing is moved when a level comes or goes inside a page.
use super::Top;
use crate::event::{BookUpdate, Level};
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
    /// 0 where there is no level.
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
    #[inline(always)]
    fn find(&self, page: i64) -> Result<(usize, Entry), usize> {
        // Among neighbours the place follows from the distance to the best one; any other number is no place.
        if let Some(best) = self.directory.last() {
            let behind = best.page.wrapping_sub(page) as usize;
            let place = (self.directory.len() - 1).wrapping_sub(behind);
            if let Some(entry) = self.directory.get(place)
                && entry.page == page
            {
                return Ok((place, *entry));
            }
        }
        self.search(page)
    }

    #[inline(never)]
    fn search(&self, page: i64) -> Result<(usize, Entry), usize> {
        let place = self
            .directory
            .binary_search_by_key(&page, |entry| entry.page)?;
        Ok((place, self.directory[place]))
    }

    /// Sets the quantity of a level; 0 removes it.
    #[inline(always)]
    fn set(&mut self, price: Price, qty: Qty) {
        let rank = rank(self.side, price);
        let (page_number, bit) = (rank >> PAGE_BITS, (rank & (PAGE_LEVELS - 1)) as usize);
        match self.find(page_number) {
            Ok((place, Entry { slot, .. })) => {
                let page = &mut self.pages[slot as usize];
                // Whether a level comes, goes or changes is anybody's guess, so nothing here branches on it.
                let (had, has) = (page.occupied >> bit & 1, u64::from(qty.0 != 0));
                page.qty[bit] = qty.0;
                page.occupied = page.occupied & !(1 << bit) | has << bit;
                self.levels = self.levels + has as usize - had as usize;
                if page.occupied == 0 {
                    self.remove_page(place, slot);
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
            Ok((_, entry)) => Qty(self.pages[entry.slot as usize].qty[bit]),
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

const fn is_bad(level: &Level) -> bool {
    level.qty.0 < 0 || level.price.0 <= 0
}

/// Both sides of a book.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "(BookSide, BookSide)")]
pub struct Book {
    sides: [BookSide; 2],
    /// Best bid and ask, kept because everybody asks for them after every event.
    best: [Level; 2],
}

impl From<(BookSide, BookSide)> for Book {
    fn from((bids, asks): (BookSide, BookSide)) -> Self {
        let best = [&bids, &asks].map(|side| side.best().unwrap_or_default());
        Self {
            sides: [bids, asks],
            best,
        }
    }
}

impl Serialize for Book {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sides.serialize(serializer)
    }
}

impl Default for Book {
    fn default() -> Self {
        Self::from((BookSide::new(Side::Buy), BookSide::new(Side::Sell)))
    }
}

impl Book {
    pub(super) fn clear(&mut self) {
        self.sides.iter_mut().for_each(BookSide::clear);
        self.best = [Level::default(); 2];
    }

    /// Sets the given levels; false when one has a negative quantity or a price that is not positive.
    #[inline(always)]
    pub(super) fn apply(&mut self, update: &BookUpdate<'_>) -> bool {
        if let Some((side, level)) = update.single() {
            if is_bad(level) {
                return false;
            }
            let place = side as usize;
            self.sides[place].set(level.price, level.qty);
            self.best[place] = self.sides[place].best().unwrap_or_default();
            return true;
        }
        self.apply_several(update)
    }

    /// Apart, so that an update of one level stays small.
    fn apply_several(&mut self, update: &BookUpdate<'_>) -> bool {
        if update.bids.iter().any(is_bad) || update.asks.iter().any(is_bad) {
            return false;
        }
        for (place, levels) in [update.bids, update.asks].into_iter().enumerate() {
            for level in levels {
                self.sides[place].set(level.price, level.qty);
            }
            self.best[place] = self.sides[place].best().unwrap_or_default();
        }
        true
    }

    /// Best bid and ask; a side without one has quantity 0.
    #[inline]
    pub const fn top(&self) -> Top {
        let [bid, ask] = self.best;
        Top { bid, ask }
    }

    /// One side: `Buy` for the bids.
    #[inline]
    pub const fn side(&self, side: Side) -> &BookSide {
        &self.sides[side as usize]
    }

    /// Whether the best bid is at or above the best ask.
    #[inline]
    pub fn is_crossed(&self) -> bool {
        let [bid, ask] = &self.best;
        bid.qty.0 > 0 && ask.qty.0 > 0 && bid.price.0 >= ask.price.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BookHeader;
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

    fn level((price, qty): (i64, i64)) -> Level {
        Level {
            price: Price(price),
            qty: Qty(qty),
        }
    }

    fn apply(book: &mut Book, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> bool {
        let levels = |of: &[(i64, i64)]| of.iter().copied().map(level).collect::<Vec<_>>();
        book.apply(&BookUpdate {
            header: &BookHeader::default(),
            bids: &levels(bids),
            asks: &levels(asks),
        })
    }

    proptest! {
        /// Updates of one level, which go a way of their own, of several and of none: what a whole update says stands, and
        /// the best are the best of each side.
        #[test]
        fn a_book_is_its_sides_after_any_updates(
            updates in prop::collection::vec(
                (prop::collection::vec((1i64..400, 0i64..3), 0..3), prop::collection::vec((1i64..400, 0i64..3), 0..3)),
                0..60,
            ),
        ) {
            let (mut book, mut model) = (Book::default(), [BTreeMap::new(), BTreeMap::new()]);
            for (bids, asks) in updates {
                prop_assert!(apply(&mut book, &bids, &asks));
                for (side, levels) in model.iter_mut().zip([&bids, &asks]) {
                    side.extend(levels.iter().copied());
                    side.retain(|_, qty| *qty != 0);
                }
                let best = |level: Option<(&i64, &i64)>| level.map_or((0, 0), |(price, qty)| (*price, *qty));
                let Top { bid, ask } = book.top();
                prop_assert_eq!((bid.price.0, bid.qty.0), best(model[0].last_key_value()));
                prop_assert_eq!((ask.price.0, ask.qty.0), best(model[1].first_key_value()));
                prop_assert_eq!(book.side(Side::Buy).len(), model[0].len());
                prop_assert_eq!(book.side(Side::Sell).len(), model[1].len());
            }
        }
    }

    #[test]
    fn a_bad_level_is_refused_before_anything_is_applied() {
        let mut book = Book::default();
        assert!(!apply(&mut book, &[(10, 1)], &[(11, -1)]));
        assert!(book.side(Side::Buy).is_empty());
        assert!(!apply(&mut book, &[(0, 1)], &[]));
        assert!(!apply(&mut book, &[], &[(11, -1)]));
        assert!(book.side(Side::Sell).is_empty());
    }
}
