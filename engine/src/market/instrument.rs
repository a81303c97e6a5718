//! One instrument: its definition, the rules and fees in force, its quotes and its book with their trust.
use super::Book;
use crate::error::EngineError;
use crate::event::{
    BookUpdate, FeeSchedule, Feed, FeedCondition, FeedState, InstrumentDefined, InstrumentType,
    Level, Quote, Resolution, StaleReason, TradingRules, TradingStatus,
};
use crate::id::{CurrencyId, InstrumentId, VenueId};
use crate::number::{Decimals, Price, Qty};
use crate::order::Side;
use crate::time::Nanos;
use serde::{Deserialize, Serialize};

/// Whether a feed's content may be used. Strategies see only `Live`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// Nothing came yet.
    #[default]
    Empty,
    /// Updates come; what they build on does not stand yet.
    Snapshotting,
    /// Complete and in order.
    Live,
    /// Was live, and is not to be used until it is rebuilt.
    Stale(StaleReason),
}

/// Best bid and ask together; a side without one has quantity 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

impl Top {
    /// The best level of a side: `Buy` for the bid. `None` where the side is empty.
    #[inline]
    pub const fn side(&self, side: Side) -> Option<Level> {
        let level = match side {
            Side::Buy => self.bid,
            Side::Sell => self.ask,
        };
        if level.qty.0 > 0 { Some(level) } else { None }
    }

    /// Bid plus ask: twice the mid, exact. `None` where a side is empty.
    #[inline]
    pub const fn twice_mid(&self) -> Option<i64> {
        if self.bid.qty.0 > 0 && self.ask.qty.0 > 0 {
            self.bid.price.0.checked_add(self.ask.price.0)
        } else {
            None
        }
    }
}

/// The best-bid-and-ask feed of an instrument.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QuoteFeed {
    bid: (Price, Qty),
    ask: (Price, Qty),
    received_at: Nanos,
    trust: Trust,
}

/// One instrument and all that is known of its market.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instrument {
    /// "venue:symbol".
    pub name: String,
    /// As defined.
    pub definition: InstrumentDefined,
    /// Its venue.
    pub venue: VenueId,
    /// The currency that it is paid in.
    pub quote_currency: CurrencyId,
    /// Whether its market takes orders.
    pub status: TradingStatus,
    /// The last trade's price.
    pub last_trade: Option<Price>,
    /// What its contract paid, once resolved.
    pub settled_at: Option<Price>,
    quotes: QuoteFeed,
    book: Book,
    book_trust: Trust,
    book_received_at: Nanos,
    book_last_id: u64,
    #[serde(with = "as_on_tape")]
    rules: Vec<TradingRules>,
    fees: Vec<FeeSchedule>,
    /// Whether any rules can find fault with a quote; known in advance, for most instruments' can't.
    checks_quotes: bool,
    /// The same for the levels of a book.
    checks_levels: bool,
}

/// Rules stand in a state as they do on the tape, by name: without the names nobody could tell which ones a frame leaves
/// out.
mod as_on_tape {
    use crate::event::TradingRules;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(
        rules: &[TradingRules],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let frames: Result<Vec<_>, _> = rules.iter().map(rmp_serde::to_vec_named).collect();
        serializer.collect_seq(frames.map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<TradingRules>, D::Error> {
        let frames = Vec::<Vec<u8>>::deserialize(deserializer)?;
        let read = |frame: &Vec<u8>| rmp_serde::from_slice(frame).map_err(de::Error::custom);
        frames.iter().map(read).collect()
    }
}

impl Instrument {
    pub(super) fn new(
        definition: InstrumentDefined,
        name: String,
        venue: VenueId,
        quote_currency: CurrencyId,
    ) -> Self {
        Self {
            name,
            definition,
            venue,
            quote_currency,
            status: TradingStatus::Open,
            last_trade: None,
            settled_at: None,
            quotes: QuoteFeed::default(),
            book: Book::default(),
            book_trust: Trust::Empty,
            book_received_at: Nanos(0),
            book_last_id: 0,
            rules: Vec::new(),
            fees: Vec::new(),
            checks_quotes: false,
            checks_levels: false,
        }
    }

    /// "venue:symbol".
    pub fn full_name(definition: &InstrumentDefined) -> String {
        format!("{}:{}", definition.venue, definition.symbol)
    }

    /// Its id.
    pub const fn id(&self) -> InstrumentId {
        self.definition.instrument
    }

    /// The decimals of its numbers.
    pub const fn decimals(&self) -> Decimals {
        self.definition.decimals
    }

    /// The best bid and ask by the quote feed, while it is live.
    #[inline]
    pub fn quote(&self) -> Option<Top> {
        let level = |(price, qty): (Price, Qty)| Level { price, qty };
        (self.quotes.trust == Trust::Live).then(|| Top {
            bid: level(self.quotes.bid),
            ask: level(self.quotes.ask),
        })
    }

    /// The L2 book, while it is live.
    #[inline]
    pub fn book(&self) -> Option<&Book> {
        (self.book_trust == Trust::Live).then_some(&self.book)
    }

    /// The book's trust.
    pub const fn book_trust(&self) -> &Trust {
        &self.book_trust
    }

    /// The quote feed's trust.
    pub const fn quote_trust(&self) -> &Trust {
        &self.quotes.trust
    }

    /// The venue's id of the book's state; 0 where the feed has none.
    pub const fn book_last_id(&self) -> u64 {
        self.book_last_id
    }

    /// Best bid and ask of what an order would meet: the L2 book while it is live, the quotes otherwise.
    #[inline]
    pub fn top(&self) -> Option<Top> {
        match self.book() {
            Some(book) => Some(book.top()),
            None => self.quote(),
        }
    }

    /// What an order of that side is worth now: at the price that it would hit, otherwise at the last trade's.
    pub fn mark(&self, side: Side) -> Option<Price> {
        let hit = self.top().and_then(|top| top.side(side.opposite()));
        hit.map(|level| level.price).or(self.last_trade)
    }

    /// When what [`Instrument::top`] shows was received.
    #[inline]
    pub fn top_received_at(&self) -> Nanos {
        if self.book().is_some() {
            self.book_received_at
        } else {
            self.quotes.received_at
        }
    }

    /// The trading rules in force; `None` means no trading.
    #[inline]
    pub fn rules_at(&self, now: Nanos) -> Option<&TradingRules> {
        self.rules
            .iter()
            .rev()
            .find(|rules| rules.effective_from <= now)
    }

    /// The fees in force; `None` means no trading.
    #[inline]
    pub fn fees_at(&self, now: Nanos) -> Option<&FeeSchedule> {
        self.fees
            .iter()
            .rev()
            .find(|fees| fees.effective_from <= now)
    }

    #[inline]
    pub(super) fn take_quote(&mut self, now: Nanos, quote: &Quote) {
        self.quotes.bid = (quote.bid_price, quote.bid_qty);
        self.quotes.ask = (quote.ask_price, quote.ask_qty);
        self.quotes.received_at = now;
        let side_is_sane = |price: Price, qty: Qty| qty.0 == 0 || (qty.0 > 0 && price.0 > 0);
        let both = quote.bid_qty.0 > 0 && quote.ask_qty.0 > 0;
        self.quotes.trust = if !side_is_sane(quote.bid_price, quote.bid_qty)
            || !side_is_sane(quote.ask_price, quote.ask_qty)
        {
            Trust::Stale(StaleReason::BadLevel)
        } else if both && quote.bid_price >= quote.ask_price {
            Trust::Stale(StaleReason::Crossed)
        } else if self.checks_quotes
            && let Some(reason) = self.quote_breach(now, quote)
        {
            Trust::Stale(reason)
        } else {
            Trust::Live
        };
    }

    fn quote_breach(&self, now: Nanos, quote: &Quote) -> Option<StaleReason> {
        let level = |price, qty| [Level { price, qty }];
        let bid = level(quote.bid_price, quote.bid_qty);
        let ask = level(quote.ask_price, quote.ask_qty);
        self.breach(now, &bid, &ask)
    }

    /// How the levels break the rules in force. What takes a level away breaks none.
    ///
    /// Bounds count only where they are part of what is traded: other venues let orders stand outside their bands.
    fn breach(&self, now: Nanos, bids: &[Level], asks: &[Level]) -> Option<StaleReason> {
        let rules = self.rules_at(now)?;
        let is_binary = self.definition.instrument_type == InstrumentType::Binary;
        for level in bids.iter().chain(asks).filter(|level| level.qty.0 != 0) {
            if is_binary && !(rules.min_price..=rules.max_price).contains(&level.price) {
                return Some(StaleReason::OutOfBounds);
            }
            if !rules.is_on_grid(level.price) {
                return Some(StaleReason::OffGrid);
            }
        }
        None
    }

    pub(super) fn take_snapshot(&mut self, now: Nanos, update: &BookUpdate<'_>) {
        self.book.clear();
        self.book_last_id = update.header.last_id;
        self.apply_levels(now, update);
    }

    #[inline]
    pub(super) fn take_delta(&mut self, now: Nanos, update: &BookUpdate<'_>) {
        if self.book_trust != Trust::Live {
            // Nothing to build on: only a snapshot helps.
            return;
        }
        let previous = update.header.previous_id;
        if previous != 0 && self.book_last_id != 0 && previous != self.book_last_id {
            self.book_trust = Trust::Stale(StaleReason::Gap {
                expected: self.book_last_id,
                found: previous,
            });
            return;
        }
        self.book_last_id = update.header.last_id;
        self.apply_levels(now, update);
    }

    #[inline]
    fn apply_levels(&mut self, now: Nanos, update: &BookUpdate<'_>) {
        self.book_received_at = now;
        self.book_trust = if !self.book.apply(update) {
            Trust::Stale(StaleReason::BadLevel)
        } else if self.checks_levels
            && let Some(reason) = self.breach(now, update.bids, update.asks)
        {
            Trust::Stale(reason)
        } else if self.book.is_crossed() {
            Trust::Stale(StaleReason::Crossed)
        } else {
            Trust::Live
        };
    }

    pub(super) fn take_feed_state(&mut self, state: &FeedState) {
        let trust = match &state.condition {
            FeedCondition::Snapshotting => Trust::Snapshotting,
            FeedCondition::Stale(reason) => Trust::Stale(reason.clone()),
        };
        match state.feed {
            Feed::Book => {
                self.book.clear();
                self.book_last_id = 0;
                self.book_trust = trust;
            }
            Feed::Quotes => self.quotes.trust = trust,
            Feed::Trades => {}
        }
    }

    pub(super) fn take_status(&mut self, status: TradingStatus) {
        // A resolved contract does not open again.
        if self.settled_at.is_none() {
            self.status = status;
        }
    }

    pub(super) fn resolve(&mut self, resolution: &Resolution) {
        self.status = TradingStatus::Closed;
        self.settled_at = Some(resolution.settlement_price);
    }

    pub(super) fn add_rules(&mut self, rules: TradingRules) -> Result<(), EngineError> {
        let bad = |why| EngineError::BadRules {
            what: "trading rules",
            instrument: rules.instrument,
            why,
        };
        rules.check().map_err(bad)?;
        // Books of other instruments hold levels from before a change of tick (Binance's do, far from the best prices).
        self.checks_levels |= self.definition.instrument_type == InstrumentType::Binary;
        self.checks_quotes |=
            self.checks_levels || !rules.bands.is_empty() || rules.tick_size.0 > 1;
        let place = self
            .rules
            .partition_point(|known| known.effective_from <= rules.effective_from);
        self.rules.insert(place, rules);
        Ok(())
    }

    pub(super) fn add_fees(&mut self, fees: FeeSchedule) -> Result<(), EngineError> {
        let bad = |why| EngineError::BadRules {
            what: "fee schedule",
            instrument: fees.instrument,
            why,
        };
        fees.check(self.decimals()).map_err(bad)?;
        let place = self
            .fees
            .partition_point(|known| known.effective_from <= fees.effective_from);
        self.fees.insert(place, fees);
        Ok(())
    }
}
