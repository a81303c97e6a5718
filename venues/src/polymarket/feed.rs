//! The market channel: books, trades, ticks and results of up to 500 tokens.
//!
//! The channel has no sequence numbers. What it has instead is the best bid and ask in every change: where they differ from
//! the local book's, a change was lost, the book goes stale and `/book` is fetched. Changes that come meanwhile wait; those
//! that are not older than the answer are applied to it (totals are absolute, so one that is already in it does no harm).
//!
//! Two more things can go wrong and leave the pings answered: no content for hours, and a book that stands still. So silence
//! is judged by content of any token, one token's book after the other is held against `/book`, and the connection is made
//! anew on schedule. A `best_bid_ask` or a cross-check that contradicts the book may only be ahead of the channel: it gets
//! `lag_ns` to be confirmed or overtaken.
//!
//! `/book` itself is known to freeze. A token whose answers the channel contradicted `resyncs_max` times in a row is not
//! asked for any more: its book then comes with a new connection.
use super::error::{answer, bad, price, refused};
use super::message::{
    BestBidAsk, Book, MarketMessage, PriceChange, Resolved, TickSizeChange, decode, one, rest_book,
};
use super::token_book::TokenBook;
use super::token_state::{State, TokenState};
use super::tokens::Tokens;
use crate::gateway::{
    Bucket, Feed, Handshake, Instruments, Listed, Outbox, Request, Response, WireError,
};
use onetape_engine::event::{Event, FeedCondition, Resolution, StaleReason, TradingRules};
use onetape_engine::number::Price;
use onetape_engine::time::{Nanos, SECOND_NS};
use serde_json::json;
use std::collections::HashMap;

/// Tokens on one connection at the most: with more the venue sends no snapshots.
pub const ASSETS_MAX: usize = 500;

/// When the market channel is asked, doubted and left. All in ns but the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketFeedConfig {
    /// A `PING` goes out this often: 10 s, as the venue asks for.
    pub ping_ns: u64,
    /// No `PONG` for so long ends the connection: 25 s.
    pub pong_limit_ns: u64,
    /// No content of any token for so long makes every book stale and ends the connection: 120 s.
    pub silence_ns: u64,
    /// A book that was asked for is waited for so long before it is asked for again: 5 s.
    pub snapshot_wait_ns: u64,
    /// Other best prices than the book's may stand so long: 5 s.
    pub lag_ns: u64,
    /// One token's book is held against `/book` this often: 10 s.
    pub cross_check_ns: u64,
    /// A connection is made anew after: 4 h.
    pub max_age_ns: u64,
    /// So many fetched books that the channel contradicts end the connection: 3.
    pub resyncs_max: u32,
    /// Changes that wait for a book, for each token: 10,000.
    pub waiting_max: usize,
}

impl Default for MarketFeedConfig {
    fn default() -> Self {
        Self {
            ping_ns: 10 * SECOND_NS,
            pong_limit_ns: 25 * SECOND_NS,
            silence_ns: 120 * SECOND_NS,
            snapshot_wait_ns: 5 * SECOND_NS,
            lag_ns: 5 * SECOND_NS,
            cross_check_ns: 10 * SECOND_NS,
            max_age_ns: 4 * 3_600 * SECOND_NS,
            resyncs_max: 3,
            waiting_max: 10_000,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    opened_at: Nanos,
    pinged_at: Nanos,
    answered_at: Nanos,
    content_at: Nanos,
    checked_at: Nanos,
    next_check: usize,
}

/// The market channel's protocol.
#[derive(Debug)]
pub struct MarketFeed {
    config: MarketFeedConfig,
    tokens: Vec<TokenState>,
    by_id: HashMap<String, usize>,
    shared: Tokens,
    connection: Option<Connection>,
}

impl MarketFeed {
    /// Of tokens with the trading rules in force. Changes of the tick go to `shared` as well as onto the tape.
    ///
    /// # Errors
    /// [`WireError`] for more than [`ASSETS_MAX`] tokens, or one without rules.
    pub fn new(
        config: MarketFeedConfig,
        instruments: &Instruments,
        rules: &[TradingRules],
        shared: Tokens,
    ) -> Result<Self, WireError> {
        if instruments.len() > ASSETS_MAX {
            let count = instruments.len().to_string();
            return Err(bad("subscription", "assets_ids", &count, "at most 500"));
        }
        let token = |listed: &Listed| {
            let found = rules.iter().find(|r| r.instrument == listed.instrument);
            let rules = found
                .ok_or_else(|| bad("subscription", "assets_ids", &listed.symbol, "rules for it"))?;
            Ok(TokenState {
                listed: listed.clone(),
                rules: rules.clone(),
                book: TokenBook::default(),
                taken_at: 0,
                changed_at: 0,
                state: State::waiting(),
                asked_at: None,
                fetched: false,
                contradicted: 0,
            })
        };
        let tokens: Vec<TokenState> = instruments
            .iter()
            .map(token)
            .collect::<Result<_, WireError>>()?;
        let by_id = tokens.iter().enumerate();
        let by_id = by_id
            .map(|(place, token)| (token.listed.symbol.clone(), place))
            .collect();
        Ok(Self {
            config,
            tokens,
            by_id,
            shared,
            connection: None,
        })
    }

    fn take(
        &mut self,
        message: &MarketMessage<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let content = match message {
            MarketMessage::Book(book) => self.take_book(book, now, out)?,
            MarketMessage::PriceChange(change) => self.take_change(change, now, out)?,
            MarketMessage::BestBidAsk(best) => self.take_best(best, now)?,
            MarketMessage::LastTrade(last) => match self.place(last.asset_id) {
                Some(place) => {
                    let trade = last.trade(&self.tokens[place].listed)?;
                    out.event(&Event::Trade(&trade));
                    true
                }
                None => false,
            },
            MarketMessage::TickSizeChange(change) => {
                self.take_tick(change, now, out)?;
                false
            }
            MarketMessage::Resolved(resolved) => {
                self.take_result(resolved, out);
                false
            }
            MarketMessage::NewMarket => false,
            MarketMessage::Pong => {
                if let Some(connection) = &mut self.connection {
                    connection.answered_at = now;
                }
                false
            }
        };
        if content && let Some(connection) = &mut self.connection {
            connection.content_at = now;
        }
        Ok(())
    }

    fn place(&self, asset_id: &str) -> Option<usize> {
        self.by_id.get(asset_id).copied()
    }

    fn take_book(
        &mut self,
        book: &Book<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<bool, WireError> {
        let Some(place) = self.place(book.asset_id) else {
            return Ok(false);
        };
        let token = &mut self.tokens[place];
        let live = matches!(token.state, State::Live { .. });
        if matches!(token.state, State::Over) || (live && book.venue_time_ns < token.taken_at) {
            return Ok(true);
        }
        // The channel is in order: what waited is in this book.
        if !live {
            token.state = State::waiting();
        }
        let taken = token.take(book, false, out);
        token.asked_at = None;
        self.refetch(place, now, out);
        taken.map(|()| true)
    }

    fn take_change(
        &mut self,
        change: &PriceChange<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<bool, WireError> {
        let mut places: Vec<usize> = Vec::with_capacity(2);
        for one in &change.changes {
            if let Some(place) = self.place(one.asset_id)
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        let mut result = Ok(!places.is_empty());
        for place in places {
            let token = &mut self.tokens[place];
            if let Err(why) = token.change(change, self.config.waiting_max, out) {
                token.lose(StaleReason::BadLevel, out);
                result = Err(why);
            }
            self.refetch(place, now, out);
        }
        result
    }

    fn take_best(&mut self, best: &BestBidAsk<'_>, now: Nanos) -> Result<bool, WireError> {
        let Some(place) = self.place(best.asset_id) else {
            return Ok(false);
        };
        let token = &mut self.tokens[place];
        let told = token.best(best.best)?;
        token.doubt(best.venue_time_ns, told, now);
        Ok(true)
    }

    /// Other rules from now on; what stands in the book was quoted by the old ones.
    fn take_tick(
        &mut self,
        change: &TickSizeChange<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(place) = self.place(change.asset_id) else {
            return Ok(());
        };
        let token = &mut self.tokens[place];
        let tick = price(&token.listed, "new_tick_size", change.new)?;
        let one = one(&token.listed);
        if tick.0 <= 0 || tick >= one {
            return Err(bad(
                "tick_size_change",
                "new_tick_size",
                change.new,
                "a tick between 0 and 1",
            ));
        }
        token.rules = TradingRules {
            effective_from: now,
            tick_size: tick,
            min_price: tick,
            max_price: Price(one.0 - tick.0),
            ..token.rules.clone()
        };
        let decimal = token.listed.decimals.price_decimal(tick).normalize();
        self.shared.set_tick(change.asset_id, decimal);
        out.event(&Event::TradingRules(token.rules.clone()));
        if !matches!(token.state, State::Over) {
            token.lose(StaleReason::OffGrid, out);
        }
        self.refetch(place, now, out);
        Ok(())
    }

    fn take_result(&mut self, resolved: &Resolved<'_>, out: &mut Outbox) {
        for asset_id in &resolved.assets_ids {
            let Some(place) = self.place(asset_id) else {
                continue;
            };
            let token = &mut self.tokens[place];
            let pays = if *asset_id == resolved.winner {
                one(&token.listed)
            } else {
                Price(0)
            };
            if !matches!(token.state, State::Over) {
                token.state = State::Over;
                out.event(&Event::Resolution(Resolution {
                    instrument: token.listed.instrument,
                    settlement_price: pays,
                }));
            }
        }
    }

    /// Asks for a token's book where it has none and was not asked for just now.
    fn refetch(&mut self, place: usize, now: Nanos, out: &mut Outbox) {
        let token = &mut self.tokens[place];
        let wait = self.config.snapshot_wait_ns;
        let asked = token.asked_at.is_some_and(|at| now.since(at) < wait);
        if asked || self.connection.is_none() || !matches!(token.state, State::Waiting { .. }) {
            return;
        }
        token.asked_at = Some(now);
        if token.contradicted >= self.config.resyncs_max {
            out.reconnect("the books that /book gives are not those of the channel");
            return;
        }
        request_book(place, &token.listed, out);
    }

    fn checks(&mut self, connection: &mut Connection, now: Nanos, out: &mut Outbox) {
        if now.since(connection.checked_at) < self.config.cross_check_ns {
            return;
        }
        connection.checked_at = now;
        for _ in 0..self.tokens.len() {
            let place = connection.next_check % self.tokens.len();
            connection.next_check = place + 1;
            let token = &self.tokens[place];
            let trusted = token.contradicted < self.config.resyncs_max;
            if trusted && matches!(token.state, State::Live { .. }) {
                request_book(place, &token.listed, out);
                return;
            }
        }
    }

    fn lose_all(&mut self, reason: &StaleReason, out: &mut Outbox) {
        for token in &mut self.tokens {
            if !matches!(token.state, State::Over) {
                token.lose(reason.clone(), out);
            }
        }
    }
}

fn request_book(place: usize, listed: &Listed, out: &mut Outbox) {
    let target = format!("/book?token_id={}", listed.symbol);
    out.request(place as u32, Request::get("rest", target, Bucket::Public));
}

impl Feed for MarketFeed {
    fn name(&self) -> &str {
        "polymarket market"
    }

    fn handshake(&self, _now: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "stream",
            target: "/ws/market".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.connection = Some(Connection {
            opened_at: now,
            pinged_at: now,
            answered_at: now,
            content_at: now,
            checked_at: now,
            next_check: 0,
        });
        let mut assets: Vec<&str> = Vec::new();
        for token in &mut self.tokens {
            if matches!(token.state, State::Over) {
                continue;
            }
            token.state = State::waiting();
            // The book comes by itself; if it does not, it is asked for.
            token.asked_at = Some(now);
            token.event(FeedCondition::Snapshotting, out);
            assets.push(&token.listed.symbol);
        }
        // Without the flag there are no results and no best prices; the venue forgets it with the connection.
        let subscription = json!({
            "assets_ids": assets, "type": "market", "custom_feature_enabled": true,
        });
        out.send(subscription.to_string());
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        let mut result = Ok(());
        for message in decode(bytes)? {
            // One bad message of a list does not keep the others from the book.
            if let Err(why) = self.take(&message, now, out) {
                result = Err(why);
            }
        }
        result
    }

    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(token) = self.tokens.get_mut(tag as usize) else {
            return Err(bad("/book", "tag", &tag.to_string(), "one that was given"));
        };
        // Asked for again when it was waited for long enough.
        let response = response.ok_or_else(|| refused("no answer", "/book"))?;
        answer::<serde::de::IgnoredAny>("/book", response)?;
        let book = rest_book(response.body)?;
        if book.asset_id != token.listed.symbol {
            return Err(bad(
                "/book",
                "asset_id",
                book.asset_id,
                "the token asked for",
            ));
        }
        match &token.state {
            State::Over => Ok(()),
            State::Live { .. } => {
                let (bids, asks) = book.levels(&token.listed)?;
                let mut other = TokenBook::default();
                other.replace(&bids, &asks);
                token.doubt(book.venue_time_ns, other.best(), now);
                Ok(())
            }
            State::Waiting { lost_until, .. } if book.venue_time_ns <= *lost_until => Ok(()),
            State::Waiting { .. } => token.take(&book, true, out),
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        let Some(mut connection) = self.connection else {
            return;
        };
        if now.since(connection.pinged_at) >= self.config.ping_ns {
            connection.pinged_at = now;
            out.send("PING");
        }
        let over = self.tokens.iter().all(|t| matches!(t.state, State::Over));
        if now.since(connection.content_at) >= self.config.silence_ns && !over {
            connection.content_at = now;
            self.lose_all(&StaleReason::Silent, out);
            out.reconnect("no content of any token");
        }
        if now.since(connection.answered_at) >= self.config.pong_limit_ns {
            out.reconnect("pings are not answered");
        }
        if now.since(connection.opened_at) >= self.config.max_age_ns {
            out.reconnect("the connection is old");
        }
        self.connection = Some(connection);
        if out.wants_reconnect().is_some() {
            return;
        }
        for place in 0..self.tokens.len() {
            let token = &mut self.tokens[place];
            if let State::Live { doubt: Some(doubt) } = &token.state
                && now.since(doubt.since) >= self.config.lag_ns
            {
                if doubt.best == token.book.best() {
                    token.state = State::Live { doubt: None };
                } else {
                    token.lose(TokenState::lost_change(), out);
                }
            }
            self.refetch(place, now, out);
        }
        self.checks(&mut connection, now, out);
        self.connection = Some(connection);
    }

    fn closed(&mut self, _now: Nanos, out: &mut Outbox) {
        self.connection = None;
        self.lose_all(&StaleReason::Disconnected, out);
    }
}
