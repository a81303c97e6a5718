//! One market of the feed: its book, what the tape knows of it, and when it was heard of.
use super::super::book::Book;
use crate::gateway::{Listed, Outbox};
use onetape_engine::event::{
    BookHeader, BookUpdate, ContractTerms, Event, Feed, FeedCondition, FeedState, Level,
    MarketStatus, Resolution, RulesText, StaleReason, TradingRules, TradingStatus,
};
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;

/// Whether the kept book is the venue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// No book, and nothing asked for yet: the grid comes first, or the subscription.
    Lost,
    /// No book since `since`; a snapshot was last asked for at `asked`.
    Waiting { since: Nanos, asked: Nanos },
    /// The book after message `last_id`, heard of at `heard`; `probed` once a snapshot was asked for to hear again.
    Live {
        last_id: u64,
        heard: Nanos,
        probed: bool,
    },
}

/// What the tape holds of a market, so that only changes go onto it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) rules: Option<TradingRules>,
    pub(super) status: Option<TradingStatus>,
    pub(super) terms: Option<ContractTerms>,
    pub(super) rules_hash: Option<String>,
    pub(super) is_resolved: bool,
}

/// One market.
#[derive(Debug)]
pub(super) struct MarketState {
    pub(super) listed: Listed,
    pub(super) trust: Trust,
    pub(super) known: Known,
    /// When the last quote came; `None` before the first one and after the tape was told of the silence.
    pub(super) quoted: Option<Nanos>,
    /// What a YES pays, once it is determined.
    pub(super) value: Option<Price>,
    /// When to ask for the market again.
    pub(super) list_at: Nanos,
    /// When it stops trading, as its last answer said.
    pub(super) closes_at: Option<Nanos>,
    /// The venue does not know it, or not yet; asked for again from then on.
    pub(super) missing_until: Option<Nanos>,
    /// An event's overrides whose series has been asked for.
    pub(super) fees: Option<(Option<String>, Option<rust_decimal::Decimal>)>,
    book: Book,
}

impl MarketState {
    pub(super) fn new(listed: Listed) -> Self {
        Self {
            listed,
            trust: Trust::Lost,
            known: Known::default(),
            quoted: None,
            value: None,
            list_at: Nanos(0),
            closes_at: None,
            missing_until: None,
            fees: None,
            book: Book::default(),
        }
    }

    /// Whether the venue keeps a book of it: one that closed has none any more.
    pub(super) fn is_kept(&self) -> bool {
        self.known.status != Some(TradingStatus::Closed) && self.missing_until.is_none()
    }

    /// Whether its silence means something: a market that does not trade may say nothing.
    pub(super) fn is_judged(&self) -> bool {
        self.is_kept() && self.known.status != Some(TradingStatus::Halted)
    }

    /// The book is not to be used, and the tape is told.
    pub(super) fn lose(&mut self, condition: FeedCondition, out: &mut Outbox) {
        self.book.clear();
        self.trust = Trust::Lost;
        self.feed_state(Feed::Book, condition, out);
    }

    /// A snapshot of the book is on its way.
    pub(super) fn await_snapshot(&mut self, now: Nanos) {
        self.trust = Trust::Waiting {
            since: now,
            asked: now,
        };
    }

    /// All that the connection kept fresh is stale.
    pub(super) fn disconnect(&mut self, out: &mut Outbox) {
        let stale = || FeedCondition::Stale(StaleReason::Disconnected);
        self.lose(stale(), out);
        self.quoted = None;
        self.feed_state(Feed::Quotes, stale(), out);
        self.feed_state(Feed::Trades, stale(), out);
    }

    pub(super) fn feed_state(&self, feed: Feed, condition: FeedCondition, out: &mut Outbox) {
        out.event(&Event::FeedState(Box::new(FeedState {
            instrument: self.listed.instrument,
            feed,
            condition,
        })));
    }

    /// The book that a snapshot is read into.
    pub(super) fn new_book(&mut self) -> &mut Book {
        self.book.clear();
        &mut self.book
    }

    /// The book is the snapshot's: the tape gets it whole.
    pub(super) fn restore(
        &mut self,
        seq: u64,
        now: Nanos,
        levels: &mut Vec<Level>,
        out: &mut Outbox,
    ) {
        let bids = self.book.write(levels);
        let (bids, asks) = levels.split_at(bids);
        let header = BookHeader {
            instrument: self.listed.instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            last_id: seq,
            ..BookHeader::default()
        };
        out.event(&Event::BookSnapshot(BookUpdate {
            header: &header,
            bids,
            asks,
        }));
        self.trust = Trust::Live {
            last_id: seq,
            heard: now,
            probed: false,
        };
    }

    /// Applies a signed change and puts the level's new total onto the tape. An error is what the book is stale of.
    pub(super) fn change(
        &mut self,
        (side, price, change): (Side, Price, Qty),
        seq: u64,
        venue_time: Nanos,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), StaleReason> {
        let Trust::Live { last_id, .. } = self.trust else {
            return Ok(());
        };
        let total = self.book.change(side, price, change);
        let total = total.ok_or(StaleReason::BadLevel)?;
        // Levels from before a change of the grid may go; none may come.
        let off_grid = |rules: &TradingRules| !rules.is_on_grid(price);
        if change.0 > 0 && self.known.rules.as_ref().is_some_and(off_grid) {
            return Err(StaleReason::OffGrid);
        }
        let level = [Level { price, qty: total }];
        let none: [Level; 0] = [];
        let (bids, asks): (&[Level], &[Level]) = match side {
            Side::Buy => (&level, &none),
            Side::Sell => (&none, &level),
        };
        let header = BookHeader {
            instrument: self.listed.instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            flags: 0,
            venue_time_ns: venue_time.0,
            first_id: seq,
            last_id: seq,
            // The count is shared with other markets: what this book builds on is its own last message.
            previous_id: last_id,
        };
        out.event(&Event::BookDelta(BookUpdate {
            header: &header,
            bids,
            asks,
        }));
        self.trust = Trust::Live {
            last_id: seq,
            heard: now,
            probed: false,
        };
        if self.book.is_crossed() {
            return Err(StaleReason::Crossed);
        }
        Ok(())
    }

    /// Tells the tape of a status that is new to it.
    pub(super) fn set_status(&mut self, status: TradingStatus, out: &mut Outbox) {
        if self.known.status != Some(status) {
            self.known.status = Some(status);
            out.event(&Event::MarketStatus(MarketStatus {
                instrument: self.listed.instrument,
                status,
            }));
        }
    }

    /// Tells the tape of a grid that is new to it; whether it was.
    pub(super) fn set_rules(&mut self, rules: TradingRules, out: &mut Outbox) -> bool {
        let same = |known: &TradingRules| {
            let from = rules.effective_from;
            TradingRules {
                effective_from: from,
                ..known.clone()
            } == rules
        };
        if self.known.rules.as_ref().is_some_and(same) {
            return false;
        }
        out.event(&Event::TradingRules(rules.clone()));
        self.known.rules = Some(rules);
        true
    }

    /// Tells the tape of times or strikes that changed, and of a rule text that is new to it.
    pub(super) fn set_terms(&mut self, terms: ContractTerms, out: &mut Outbox) {
        if self.known.rules_hash.as_ref() != Some(&terms.rules_hash) {
            self.known.rules_hash = Some(terms.rules_hash.clone());
            out.event(&Event::RulesText(Box::new(RulesText {
                instrument: self.listed.instrument,
                rules_hash: terms.rules_hash.clone(),
            })));
        }
        // Without a listing the tape's terms are not known here, nor the topic that stands in them.
        if let Some(known) = &self.known.terms
            && *known != terms
        {
            out.event(&Event::ContractTerms(Box::new(terms.clone())));
            self.known.terms = Some(terms);
        }
    }

    /// Pays out, once.
    pub(super) fn resolve(&mut self, value: Price, out: &mut Outbox) {
        if !self.known.is_resolved {
            self.known.is_resolved = true;
            self.known.status = Some(TradingStatus::Closed);
            out.event(&Event::Resolution(Resolution {
                instrument: self.listed.instrument,
                settlement_price: value,
            }));
        }
    }
}
