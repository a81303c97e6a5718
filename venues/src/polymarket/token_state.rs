//! What is known of one token's book, and when it stops being known.
use super::message::{Book, PriceChange, best_price, level};
use super::token_book::{Best, TokenBook};
use crate::gateway::{Listed, Outbox, WireError};
use onetape_engine::event::{
    BookHeader, BookUpdate, Event, Feed, FeedCondition, FeedState, Level, StaleReason, TradingRules,
};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use std::collections::VecDeque;

/// A change that waits for a book.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) venue_time_ns: u64,
    pub(super) side: Side,
    pub(super) level: Level,
}

/// Best prices that the book does not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) venue_time_ns: u64,
    pub(super) best: Best,
    pub(super) since: Nanos,
}

#[derive(Debug)]
pub(super) enum State {
    /// No book. Changes up to `lost_until` found no room: a book that is not newer would lack them.
    Waiting {
        changes: VecDeque<Waiting>,
        lost_until: u64,
    },
    /// A book, complete as far as anybody can tell.
    Live { doubt: Option<Doubt> },
    /// Resolved: nothing is kept any more.
    Over,
}

#[derive(Debug)]
pub(super) struct TokenState {
    pub(super) listed: Listed,
    pub(super) rules: TradingRules,
    pub(super) book: TokenBook,
    /// The venue's time of the book, and of its last change.
    pub(super) taken_at: u64,
    pub(super) changed_at: u64,
    pub(super) state: State,
    /// When a book was last asked for; `None` where one may be asked for at once.
    pub(super) asked_at: Option<Nanos>,
    /// Whether the book is one of `/book`, and how many of those the channel contradicted in a row.
    pub(super) fetched: bool,
    pub(super) contradicted: u32,
}

impl State {
    pub(super) const fn waiting() -> Self {
        State::Waiting {
            changes: VecDeque::new(),
            lost_until: 0,
        }
    }
}

impl TokenState {
    pub(super) fn event(&self, condition: FeedCondition, out: &mut Outbox) {
        out.event(&Event::FeedState(Box::new(FeedState {
            instrument: self.listed.instrument,
            feed: Feed::Book,
            condition,
        })));
    }

    /// The book can't be trusted from here on.
    pub(super) fn lose(&mut self, reason: StaleReason, out: &mut Outbox) {
        self.book.replace(&[], &[]);
        self.state = State::waiting();
        self.event(FeedCondition::Stale(reason), out);
    }

    pub(super) fn lost_change() -> StaleReason {
        // The channel has no ids; zero is what it has none of.
        StaleReason::Gap {
            expected: 0,
            found: 0,
        }
    }

    /// Takes a whole book and what waited for it.
    pub(super) fn take(
        &mut self,
        book: &Book<'_>,
        fetched: bool,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let (bids, asks) = match book.levels(&self.listed) {
            Ok(levels) => levels,
            Err(why) => {
                self.lose(StaleReason::BadLevel, out);
                return Err(why);
            }
        };
        self.book.replace(&bids, &asks);
        self.fetched = fetched;
        self.taken_at = book.venue_time_ns;
        self.changed_at = book.venue_time_ns;
        if let State::Waiting { changes, .. } = &mut self.state {
            for change in std::mem::take(changes) {
                if change.venue_time_ns >= self.taken_at {
                    self.book.set(change.side, change.level);
                    self.changed_at = change.venue_time_ns;
                }
            }
        }
        if self.book.is_crossed() {
            self.lose(StaleReason::Crossed, out);
            return Ok(());
        }
        let (bids, asks) = self.book.levels();
        let header = self.header(self.changed_at, bids.len(), asks.len());
        out.event(&Event::BookSnapshot(BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        }));
        self.state = State::Live { doubt: None };
        Ok(())
    }

    pub(super) fn header(&self, venue_time_ns: u64, bids: usize, asks: usize) -> BookHeader {
        BookHeader {
            instrument: self.listed.instrument,
            bids: bids as u32,
            asks: asks as u32,
            flags: 0,
            venue_time_ns,
            first_id: 0,
            last_id: 0,
            previous_id: 0,
        }
    }

    pub(super) fn best(&self, (bid, ask): (&str, &str)) -> Result<Best, WireError> {
        Ok((
            best_price(&self.listed, "best_bid", bid)?,
            best_price(&self.listed, "best_ask", ask)?,
        ))
    }

    pub(super) fn change(
        &mut self,
        message: &PriceChange<'_>,
        waiting_max: usize,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        if matches!(self.state, State::Over) {
            return Ok(());
        }
        let at = message.venue_time_ns;
        let symbol = self.listed.symbol.clone();
        let mine = || message.changes.iter().filter(|c| c.asset_id == symbol);
        let mut levels: Vec<(Side, Level)> = Vec::new();
        for change in mine() {
            let Some(size) = change.size else {
                self.lose(Self::lost_change(), out);
                return Ok(());
            };
            levels.push((change.side, level(&self.listed, change.price, size)?));
        }
        let told: Option<Best> = match mine().rev().find_map(|change| change.best) {
            Some(best) => Some(self.best(best)?),
            None => None,
        };
        match &mut self.state {
            State::Over => return Ok(()),
            State::Waiting {
                changes,
                lost_until,
            } => {
                for (side, level) in levels {
                    changes.push_back(Waiting {
                        venue_time_ns: at,
                        side,
                        level,
                    });
                }
                while changes.len() > waiting_max {
                    let oldest = changes.pop_front();
                    *lost_until = oldest.map_or(*lost_until, |change| change.venue_time_ns);
                }
                return Ok(());
            }
            State::Live { .. } if at < self.taken_at => return Ok(()),
            State::Live { .. } => {}
        }
        for (side, level) in &levels {
            self.book.set(*side, *level);
        }
        self.changed_at = at;
        // In the millisecond of the snapshot a change may be one that is in it already.
        if let Some(told) = told
            && told != self.book.best()
            && at > self.taken_at
        {
            self.contradicted += u32::from(self.fetched);
            self.lose(Self::lost_change(), out);
            return Ok(());
        }
        if self.book.is_crossed() {
            self.lose(StaleReason::Crossed, out);
            return Ok(());
        }
        if told.is_some() && self.fetched {
            self.contradicted = 0;
        }
        if let State::Live { doubt } = &mut self.state
            && doubt.is_some_and(|doubt| doubt.venue_time_ns <= at)
        {
            *doubt = None;
        }
        // Bids first, as the frame has them.
        let (bids, asks): (Vec<_>, Vec<_>) =
            levels.iter().partition(|(side, _)| *side == Side::Buy);
        let only = |levels: Vec<(Side, Level)>| -> Vec<Level> {
            levels.into_iter().map(|(_, level)| level).collect()
        };
        let (bids, asks) = (only(bids), only(asks));
        let header = self.header(at, bids.len(), asks.len());
        out.event(&Event::BookDelta(BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        }));
        Ok(())
    }

    /// Somebody tells other best prices than the book has.
    pub(super) fn doubt(&mut self, venue_time_ns: u64, best: Best, now: Nanos) {
        let agrees = best == self.book.best();
        let State::Live { doubt } = &mut self.state else {
            return;
        };
        if agrees {
            *doubt = doubt.filter(|doubt| doubt.venue_time_ns > venue_time_ns);
        } else if venue_time_ns >= self.changed_at && doubt.is_none() {
            *doubt = Some(Doubt {
                venue_time_ns,
                best,
                since: now,
            });
        }
    }
}
