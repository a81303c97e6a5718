//! Market data of several markets over the public socket: whole order books, trades, and whether a market trades.
//!
//! Source: "WebSocket" guide. A book comes whole with every frame, without a sequence: nothing can be missed in between, and
//! only age tells whether it is good. Codes are upper case; an unknown one is ignored without an error, so silence is the
//! only sign of it. A handshake has no Origin header: with one the venue allows one connection in ten seconds.
use super::VENUE;
use super::error::malformed;
use super::message::{Message, OrderBook, PublicTrade, Ticker, decode, unlisted};
use crate::gateway::{
    Bucket, Feed, Handshake, Instruments, Listed, Outbox, Request, Response, WireError, shortened,
};
use onetape_engine::event::{
    BookHeader, BookUpdate, Event, Feed as Content, FeedCondition, FeedState, Level, MarketStatus,
    StaleReason, TradingStatus,
};
use onetape_engine::time::{Nanos, SECOND_NS};
use std::collections::{HashMap, VecDeque};

/// Trades of a market that are remembered to drop what is said twice.
const TRADES_REMEMBERED: usize = 64;

/// Limits of a [`MarketFeed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// A book without a frame for this long is stale and asked for by REST: 30 s.
    pub book_silence_ns: u64,
    /// A book frame older than this by the venue's own stamp is not used: 10 s.
    pub book_age_ns: u64,
    /// No trade for this long is a mark on the tape: 10 minutes.
    pub trade_silence_ns: u64,
    /// No content of any market for this long: a new connection. 20 s.
    pub reconnect_after_ns: u64,
    /// How often PING is sent; the venue closes an idle socket after 60 s (120 s by its documents): 20 s.
    pub ping_ns: u64,
    /// Wait before a book is asked for again by REST, and how long an answer is waited for: 5 s.
    pub retry_ns: u64,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            book_silence_ns: 30 * SECOND_NS,
            book_age_ns: 10 * SECOND_NS,
            trade_silence_ns: 600 * SECOND_NS,
            reconnect_after_ns: 20 * SECOND_NS,
            ping_ns: 20 * SECOND_NS,
            retry_ns: 5 * SECOND_NS,
        }
    }
}

#[derive(Debug)]
struct Market {
    listed: Listed,
    /// Whether the tape has a book that it may use.
    is_live: bool,
    book_seen: Nanos,
    book_time_ns: u64,
    /// The request for the book that is under way or planned.
    fetch: Option<(u32, Nanos)>,
    trades_seen: Nanos,
    trades_silent: bool,
    trades: VecDeque<u64>,
    status: Option<TradingStatus>,
}

impl Market {
    fn state(&self, feed: Content, reason: StaleReason) -> Event<'static> {
        Event::FeedState(Box::new(FeedState {
            instrument: self.listed.instrument,
            feed,
            condition: FeedCondition::Stale(reason),
        }))
    }

    fn lose_book(&mut self, reason: StaleReason, out: &mut Outbox) {
        if self.is_live {
            self.is_live = false;
            out.event(&self.state(Content::Book, reason));
        }
    }

    fn take_book(
        &mut self,
        book: &OrderBook<'_>,
        now: Nanos,
        levels: &mut Vec<Level>,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let venue_time_ns = book.venue_time_ns();
        let (bids, asks) = match book.sides(&self.listed, levels) {
            Ok(sides) => sides,
            Err(error) => {
                self.lose_book(StaleReason::BadLevel, out);
                return Err(error);
            }
        };
        let header = BookHeader {
            instrument: self.listed.instrument,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            venue_time_ns,
            ..BookHeader::default()
        };
        out.event(&Event::BookSnapshot(BookUpdate {
            header: &header,
            bids,
            asks,
        }));
        self.is_live = true;
        self.book_seen = now;
        self.book_time_ns = venue_time_ns;
        self.fetch = None;
        Ok(())
    }
}

/// Market data of several markets over one connection.
#[derive(Debug)]
pub struct MarketFeed {
    config: FeedConfig,
    markets: Vec<Market>,
    by_code: HashMap<String, usize>,
    opened_at: Option<Nanos>,
    content_seen: Nanos,
    pinged_at: Nanos,
    next_tag: u32,
    levels: Vec<Level>,
}

impl MarketFeed {
    /// For these instruments.
    pub fn new(config: FeedConfig, instruments: &Instruments) -> Self {
        let market = |listed: &Listed| Market {
            listed: listed.clone(),
            is_live: false,
            book_seen: Nanos(0),
            book_time_ns: 0,
            fetch: None,
            trades_seen: Nanos(0),
            trades_silent: false,
            trades: VecDeque::with_capacity(TRADES_REMEMBERED),
            status: None,
        };
        let markets: Vec<Market> = instruments.iter().map(market).collect();
        let code = |(place, one): (usize, &Market)| (one.listed.symbol.clone(), place);
        Self {
            by_code: markets.iter().enumerate().map(code).collect(),
            markets,
            config,
            opened_at: None,
            content_seen: Nanos(0),
            pinged_at: Nanos(0),
            next_tag: 0,
            levels: Vec::new(),
        }
    }

    fn subscription(&self, now: Nanos) -> String {
        let codes: Vec<&str> = self
            .markets
            .iter()
            .map(|one| one.listed.symbol.as_str())
            .collect();
        let kind = |name: &str| serde_json::json!({"type": name, "codes": codes});
        serde_json::json!([
            {"ticket": format!("onetape-{}", now.0)},
            kind("orderbook"),
            kind("trade"),
            kind("ticker"),
            {"format": "DEFAULT"}
        ])
        .to_string()
    }

    fn book(
        &mut self,
        book: &OrderBook<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let one = find(&self.by_code, &mut self.markets, &book.code)?;
        one.book_seen = now;
        let time_ns = book.venue_time_ns();
        // Late: the tape has a newer one.
        if time_ns < one.book_time_ns {
            return Ok(());
        }
        // What is in the way for so long is not the market any more. The first frame may be old: nothing moved since.
        if !book.is_snapshot() && now.since(Nanos(time_ns)) > self.config.book_age_ns {
            one.lose_book(StaleReason::Silent, out);
            return Ok(());
        }
        one.take_book(book, now, &mut self.levels, out)
    }

    fn trade(
        &mut self,
        trade: &PublicTrade<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let one = find(&self.by_code, &mut self.markets, &trade.code)?;
        one.trades_seen = now;
        one.trades_silent = false;
        let read = trade.trade(&one.listed)?;
        let known = one.trades.contains(&trade.sequential_id);
        if !known {
            if one.trades.len() >= TRADES_REMEMBERED {
                one.trades.pop_front();
            }
            one.trades.push_back(trade.sequential_id);
        }
        // The first after a subscription was there before it.
        if !known && !trade.is_snapshot() {
            out.event(&Event::Trade(&read));
        }
        Ok(())
    }

    fn ticker(&mut self, ticker: &Ticker<'_>, out: &mut Outbox) -> Result<(), WireError> {
        let one = find(&self.by_code, &mut self.markets, &ticker.code)?;
        let status = ticker.status();
        if one.status != Some(status) {
            one.status = Some(status);
            out.event(&Event::MarketStatus(MarketStatus {
                instrument: one.listed.instrument,
                status,
            }));
        }
        Ok(())
    }

    fn fetched(
        &mut self,
        place: usize,
        response: &Response<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let Some(one) = self.markets.get_mut(place) else {
            return Ok(());
        };
        if response.status != 200 {
            return Err(WireError::Refused {
                venue: VENUE,
                code: response.status.to_string(),
                message: shortened(&String::from_utf8_lossy(response.body)),
            });
        }
        let books = OrderBook::list(response.body)?;
        let Some(book) = books.iter().find(|book| book.code == one.listed.symbol) else {
            return Err(malformed("orderbook", "the market asked for is missing"));
        };
        if one.is_live || book.venue_time_ns() < one.book_time_ns {
            return Ok(());
        }
        one.take_book(book, now, &mut self.levels, out)
    }
}

fn find<'a>(
    by_code: &HashMap<String, usize>,
    markets: &'a mut [Market],
    code: &str,
) -> Result<&'a mut Market, WireError> {
    by_code
        .get(code)
        .and_then(|place| markets.get_mut(*place))
        .ok_or_else(|| unlisted("market frame", code))
}

impl Feed for MarketFeed {
    fn name(&self) -> &str {
        "upbit market"
    }

    fn handshake(&self, _: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: "stream",
            target: "/websocket/v1".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.opened_at = Some(now);
        self.content_seen = now;
        self.pinged_at = now;
        for one in &mut self.markets {
            one.book_seen = now;
            one.trades_seen = now;
            one.trades_silent = false;
        }
        out.send(self.subscription(now));
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        match decode(bytes)? {
            Message::Book(book) => {
                self.content_seen = now;
                self.book(&book, now, out)
            }
            Message::Trade(trade) => {
                self.content_seen = now;
                self.trade(&trade, now, out)
            }
            Message::Ticker(ticker) => self.ticker(&ticker, out),
            Message::Status => Ok(()),
            Message::Error(error) => {
                out.reconnect("the venue refused the subscription");
                Err(error.refused())
            }
            Message::MyOrder(_) | Message::MyAsset(_) => {
                Err(malformed("market frame", "a message of the private socket"))
            }
        }
    }

    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let asked = |one: &Market| one.fetch.is_some_and(|(of, _)| of == tag);
        let place = self.markets.iter().position(asked);
        match (place, response) {
            (Some(place), Some(response)) => self.fetched(place, response, now, out),
            _ => Ok(()),
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        if self.opened_at.is_none() {
            return;
        }
        if now.since(self.pinged_at) >= self.config.ping_ns {
            self.pinged_at = now;
            out.send("PING");
        }
        if now.since(self.content_seen) > self.config.reconnect_after_ns {
            out.reconnect("no market data of any market");
        }
        for one in &mut self.markets {
            if now.since(one.book_seen) > self.config.book_silence_ns {
                one.lose_book(StaleReason::Silent, out);
                let waited = |since: Nanos| now.since(since) > self.config.retry_ns;
                if !one.is_live && one.fetch.is_none_or(|(_, since)| waited(since)) {
                    let tag = self.next_tag;
                    self.next_tag = tag.wrapping_add(1);
                    one.fetch = Some((tag, now));
                    let target = format!("/v1/orderbook?markets={}", one.listed.symbol);
                    out.request(tag, Request::get("rest", target, Bucket::Public));
                }
            }
            if !one.trades_silent && now.since(one.trades_seen) > self.config.trade_silence_ns {
                one.trades_silent = true;
                out.event(&one.state(Content::Trades, StaleReason::Silent));
            }
        }
    }

    fn closed(&mut self, _: Nanos, out: &mut Outbox) {
        self.opened_at = None;
        for one in &mut self.markets {
            one.is_live = false;
            one.fetch = None;
            for feed in [Content::Book, Content::Trades] {
                out.event(&one.state(feed, StaleReason::Disconnected));
            }
        }
    }
}

#[cfg(test)]
mod tests;
