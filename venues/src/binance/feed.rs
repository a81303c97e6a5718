//! Market data of several symbols over one connection: depth diffs, best prices and trades.
//!
//! Sources: "WebSocket Streams" of spot and USD-M futures. The books follow "How to manage a local order book correctly":
//! [`DepthSync`] holds the rules, this file fetches the snapshots. A snapshot has the best 5000 (futures: 1000) levels,
//! and what lies beyond drifts unseen, so it is taken anew when the price walks towards its edge, and from time to time.
mod config;

pub use config::FeedConfig;

use super::error::{bad_field, malformed, wire};
use super::message::{BookTicker, DepthUpdate, Message, PublicTrade, decode};
use super::sync::{DepthSync, DiffVerdict, Product, SnapshotVerdict};
use super::{DecodeError, VENUE};
use crate::gateway::{
    Feed, Handshake, Instruments, Listed, Outbox, Response, WireError, shortened,
};
use onetape_engine::event::{
    Event, Feed as Content, FeedCondition, FeedState, Level, Quote, StaleReason,
};
use onetape_engine::number::Price;
use onetape_engine::time::{Nanos, SECOND_NS};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;

/// Streams that one connection may carry ("General WSS information"); a symbol takes three.
pub const STREAMS_MAX: usize = 1024;
/// Streams named in one SUBSCRIBE: 3 kB. One message goes out a tick, four a second; the venue takes five.
const STREAMS_PER_MESSAGE: usize = 100;

/// Where the next snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    Idle,
    Due(Nanos),
    Pending { tag: u32, since: Nanos },
}

/// The prices that a snapshot reaches where it is cut off, and the best prices when it was taken.
#[derive(Clone, Copy, Debug)]
struct Reach {
    best: (Price, Price),
    lowest: Option<Price>,
    highest: Option<Price>,
}

impl Reach {
    /// Whether a price has walked `percent` of the way to an edge.
    fn is_near_edge(&self, quote: &Quote, percent: u8) -> bool {
        let near = |from: Price, now: Price, edge: Option<Price>| {
            edge.is_some_and(|edge| {
                let whole = i128::from(edge.0) - i128::from(from.0);
                let walked = i128::from(now.0) - i128::from(from.0);
                whole != 0 && walked.signum() == whole.signum() && {
                    walked.abs() * 100 >= whole.abs() * i128::from(percent)
                }
            })
        };
        near(self.best.0, quote.bid_price, self.lowest)
            || near(self.best.1, quote.ask_price, self.highest)
    }
}

/// When a content was last seen, and whether the tape was told of its silence.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    seen: Nanos,
    silent: bool,
}

impl Watch {
    const fn seen(&mut self, now: Nanos) {
        *self = Self {
            seen: now,
            silent: false,
        };
    }

    /// True once when the silence begins.
    const fn falls_silent(&mut self, now: Nanos, limit_ns: u64) -> bool {
        let begins = !self.silent && now.since(self.seen) > limit_ns;
        self.silent |= begins;
        begins
    }
}

/// One symbol.
#[derive(Debug)]
struct Symbol {
    listed: Listed,
    sync: DepthSync,
    fetch: Fetch,
    failures: u32,
    snapshot_at: Nanos,
    reach: Option<Reach>,
    book: Watch,
    quotes: Watch,
    trades: Watch,
    last_quote_id: u64,
    last_trade_id: u64,
}

impl Symbol {
    fn state(&self, feed: Content, reason: StaleReason) -> Event<'static> {
        Event::FeedState(Box::new(FeedState {
            instrument: self.listed.instrument,
            feed,
            condition: FeedCondition::Stale(reason),
        }))
    }

    fn lose(&mut self, reason: StaleReason, out: &mut Outbox) {
        let Ok(()) = self.sync.lose(reason, &mut into(out));
        self.reach = None;
    }

    /// Asks for a snapshot with the next tick, unless one is on its way, failed, or came just now.
    fn want_snapshot(&mut self, config: &FeedConfig, now: Nanos) {
        let at = now.max(self.snapshot_at.after(config.snapshot_retry_ns));
        self.fetch = match self.fetch {
            Fetch::Idle => Fetch::Due(at),
            Fetch::Due(due) if self.failures == 0 => Fetch::Due(due.min(at)),
            other => other,
        };
    }

    fn retry(&mut self, config: &FeedConfig, now: Nanos, at_least_ns: u64) {
        let wait = config
            .snapshot_retry_ns
            .saturating_mul(1 << self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.fetch = Fetch::Due(now.after(wait.max(at_least_ns)));
    }
}

/// A sink that never refuses.
fn into(out: &mut Outbox) -> impl FnMut(&Event<'_>) -> Result<(), Infallible> {
    |event| {
        out.event(event);
        Ok(())
    }
}

/// Market data of several symbols over one connection.
#[derive(Debug)]
pub struct MarketFeed {
    config: FeedConfig,
    symbols: Vec<Symbol>,
    by_name: HashMap<String, usize>,
    unsent: VecDeque<String>,
    opened_at: Option<Nanos>,
    content_seen: Nanos,
    next_tag: u32,
    levels: Vec<Level>,
}

impl MarketFeed {
    /// For these instruments.
    ///
    /// # Errors
    /// [`WireError::BadField`] for more symbols than a connection may carry ([`STREAMS_MAX`] / 3).
    pub fn new(config: FeedConfig, instruments: &Instruments) -> Result<Self, WireError> {
        if instruments.len() * 3 > STREAMS_MAX {
            let count = instruments.len().to_string();
            return Err(bad_field(
                "subscription",
                "symbols",
                &count,
                "at most 341 a connection",
            ));
        }
        let symbol = |listed: &Listed| Symbol {
            sync: DepthSync::new(config.product, listed.instrument),
            listed: listed.clone(),
            fetch: Fetch::Idle,
            failures: 0,
            snapshot_at: Nanos(0),
            reach: None,
            book: Watch::default(),
            quotes: Watch::default(),
            trades: Watch::default(),
            last_quote_id: 0,
            last_trade_id: 0,
        };
        let symbols: Vec<Symbol> = instruments.iter().map(symbol).collect();
        let name = |(place, one): (usize, &Symbol)| (one.listed.symbol.clone(), place);
        Ok(Self {
            by_name: symbols.iter().enumerate().map(name).collect(),
            symbols,
            config,
            unsent: VecDeque::new(),
            opened_at: None,
            content_seen: Nanos(0),
            next_tag: 0,
            levels: Vec::new(),
        })
    }

    fn subscriptions(&self) -> VecDeque<String> {
        let streams: Vec<String> = self
            .symbols
            .iter()
            .flat_map(|one| {
                let name = one.listed.symbol.to_lowercase();
                ["depth@100ms", "bookTicker", "trade"].map(|kind| format!("{name}@{kind}"))
            })
            .collect();
        let message = |(place, params): (usize, &[String])| {
            serde_json::json!({"method": "SUBSCRIBE", "params": params, "id": place + 1})
                .to_string()
        };
        streams
            .chunks(STREAMS_PER_MESSAGE)
            .enumerate()
            .map(message)
            .collect()
    }

    fn depth(
        &mut self,
        update: &DepthUpdate<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let one = find(&self.by_name, &mut self.symbols, update.symbol)?;
        one.book.seen(now);
        self.content_seen = now;
        match update.diff(self.config.product, one.listed.decimals, &mut self.levels) {
            Ok(diff) => {
                let Ok(verdict) = one.sync.on_diff(&diff, &mut into(out));
                if matches!(verdict, DiffVerdict::Buffered | DiffVerdict::Gap { .. }) {
                    one.want_snapshot(&self.config, now);
                }
                Ok(())
            }
            Err(error) => {
                // A diff is missing now, whatever it said.
                one.lose(StaleReason::BadLevel, out);
                one.want_snapshot(&self.config, now);
                Err(wire(error, update.symbol))
            }
        }
    }

    fn ticker(
        &mut self,
        ticker: &BookTicker<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let one = find(&self.by_name, &mut self.symbols, ticker.symbol)?;
        one.quotes.seen(now);
        self.content_seen = now;
        match ticker.quote(one.listed.instrument, one.listed.decimals) {
            // Late or said twice.
            Ok(quote) if quote.update_id <= one.last_quote_id => Ok(()),
            Ok(quote) => {
                one.last_quote_id = quote.update_id;
                out.event(&Event::Quote(&quote));
                let percent = self.config.refresh_at_percent;
                if one
                    .reach
                    .is_some_and(|reach| reach.is_near_edge(&quote, percent))
                {
                    one.want_snapshot(&self.config, now);
                }
                Ok(())
            }
            Err(error) => {
                out.event(&one.state(Content::Quotes, StaleReason::BadLevel));
                Err(wire(error, ticker.symbol))
            }
        }
    }

    fn trade(
        &mut self,
        trade: &PublicTrade<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let one = find(&self.by_name, &mut self.symbols, trade.symbol)?;
        one.trades.seen(now);
        self.content_seen = now;
        let read = trade
            .trade(one.listed.instrument, one.listed.decimals)
            .map_err(|error| wire(error, trade.symbol));
        if trade.trade_id > one.last_trade_id {
            let expected = one.last_trade_id + 1;
            // The spot's ids are consecutive; the futures' count trades outside the order book, too.
            if self.config.product == Product::Spot && expected != 1 && trade.trade_id != expected {
                let found = trade.trade_id;
                out.event(&one.state(Content::Trades, StaleReason::Gap { expected, found }));
            }
            if let Ok(read) = &read {
                one.last_trade_id = trade.trade_id;
                out.event(&Event::Trade(read));
            }
        }
        read.map(drop)
    }

    /// Acknowledgements, refusals and the announcement that the server goes down.
    fn control(&self, text: &str, out: &mut Outbox) -> Result<(), WireError> {
        let control: Control<'_> =
            serde_json::from_str(text).map_err(|e| malformed("stream message", &e.to_string()))?;
        let wrapped = control.data.and_then(|data| {
            serde_json::from_str::<Control<'_>>(data.get())
                .ok()
                .and_then(|inner| inner.e)
        });
        if [control.e.as_deref(), wrapped.as_deref()].contains(&Some("serverShutdown")) {
            out.reconnect("the server announced its shutdown");
            return Ok(());
        }
        let flat = control.code.map(|code| Refusal {
            code,
            msg: control.msg.unwrap_or_default(),
        });
        if let Some(refusal) = control.error.or(flat) {
            return Err(WireError::Refused {
                venue: VENUE,
                code: refusal.code.to_string(),
                message: shortened(&refusal.msg),
            });
        }
        match control.id {
            Some(_) => Ok(()),
            None => Err(malformed("stream message", text)),
        }
    }

    fn send_due_requests(&mut self, now: Nanos, out: &mut Outbox) {
        for one in &mut self.symbols {
            if matches!(one.fetch, Fetch::Due(at) if at <= now) {
                let tag = self.next_tag;
                self.next_tag = tag.wrapping_add(1);
                out.request(tag, self.config.snapshot_request(&one.listed.symbol));
                one.fetch = Fetch::Pending { tag, since: now };
            }
        }
    }

    /// Takes a snapshot's answer; what is wrong with it leads to another attempt.
    fn snapshot(
        &mut self,
        place: usize,
        response: &Response<'_>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<bool, WireError> {
        let limit = self.config.snapshot_levels();
        let Some(one) = self.symbols.get_mut(place) else {
            return Ok(true);
        };
        let symbol = one.listed.symbol.as_str();
        let text = std::str::from_utf8(response.body)
            .map_err(|e| malformed("depth snapshot", &e.to_string()))?;
        if response.status != 200 {
            return Err(WireError::Refused {
                venue: VENUE,
                code: response.status.to_string(),
                message: shortened(text),
            });
        }
        let Message::Snapshot(snapshot) = decode(text).map_err(|error| wire(error, symbol))? else {
            return Err(malformed("depth snapshot", text));
        };
        let (bids, asks) = snapshot
            .sides(one.listed.decimals, &mut self.levels)
            .map_err(|error| wire(error, symbol))?;
        let prices = |side: &[Level]| {
            let all = side.iter().map(|level| level.price);
            Some((all.clone().min()?, all.max()?))
        };
        let (bid, ask) = (prices(bids), prices(asks));
        if let (Some((_, best_bid)), Some((best_ask, _))) = (bid, ask)
            && best_bid >= best_ask
        {
            return Err(bad_field(
                "depth snapshot",
                "bids",
                symbol,
                "a best bid below the best ask",
            ));
        }
        let Ok(verdict) = one.sync.on_snapshot(
            snapshot.last_id,
            snapshot.venue_time_ns,
            bids,
            asks,
            &mut into(out),
        );
        if verdict == SnapshotVerdict::Taken {
            one.snapshot_at = now;
            one.book.seen(now);
            one.reach = bid.zip(ask).map(|(bid, ask)| Reach {
                best: (bid.1, ask.0),
                lowest: (bids.len() >= limit).then_some(bid.0),
                highest: (asks.len() >= limit).then_some(ask.1),
            });
        }
        // Taken, and nothing that waited for it left a gap.
        Ok(verdict == SnapshotVerdict::Taken && one.sync.live_id().is_some())
    }
}

fn find<'a>(
    by_name: &HashMap<String, usize>,
    symbols: &'a mut [Symbol],
    name: &str,
) -> Result<&'a mut Symbol, WireError> {
    by_name
        .get(name)
        .and_then(|place| symbols.get_mut(*place))
        .ok_or_else(|| bad_field("market message", "s", name, "a symbol that was subscribed"))
}

#[derive(Deserialize)]
struct Control<'a> {
    #[serde(borrow)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    code: i64,
    #[serde(borrow)]
    msg: Cow<'a, str>,
}

impl Feed for MarketFeed {
    fn name(&self) -> &str {
        match self.config.product {
            Product::Spot => "binance market",
            Product::UsdMargined => "binance futures market",
        }
    }

    fn handshake(&self, _: Nanos) -> Result<Handshake, WireError> {
        Ok(Handshake {
            base: self.config.stream_base(),
            target: "/stream".to_owned(),
            headers: Vec::new(),
        })
    }

    fn opened(&mut self, now: Nanos, out: &mut Outbox) {
        self.opened_at = Some(now);
        self.content_seen = now;
        self.unsent = self.subscriptions();
        if let Some(first) = self.unsent.pop_front() {
            out.send(first);
        }
        for one in &mut self.symbols {
            for watch in [&mut one.book, &mut one.quotes, &mut one.trades] {
                watch.seen(now);
            }
            one.failures = 0;
            one.fetch = Fetch::Due(now.after(self.config.first_diff_ns));
        }
    }

    fn message(&mut self, bytes: &[u8], now: Nanos, out: &mut Outbox) -> Result<(), WireError> {
        let text =
            std::str::from_utf8(bytes).map_err(|e| malformed("stream message", &e.to_string()))?;
        match decode(text) {
            Ok(Message::Depth(update)) => self.depth(&update, now, out),
            Ok(Message::Ticker(ticker)) => self.ticker(&ticker, now, out),
            Ok(Message::Trade(trade)) => self.trade(&trade, now, out),
            Ok(Message::Ignored(_)) => Ok(()),
            Ok(Message::Snapshot(_)) => Err(malformed("stream message", "a snapshot")),
            Err(DecodeError::UnknownMessage(_)) => self.control(text, out),
            Err(error) => Err(wire(error, "")),
        }
    }

    fn response(
        &mut self,
        tag: u32,
        response: Option<&Response<'_>>,
        now: Nanos,
        out: &mut Outbox,
    ) -> Result<(), WireError> {
        let pending =
            |one: &Symbol| matches!(one.fetch, Fetch::Pending { tag: of, .. } if of == tag);
        // An answer to a connection that is gone already.
        let Some(place) = self.symbols.iter().position(pending) else {
            return Ok(());
        };
        let result = response.map_or(Ok(false), |response| {
            self.snapshot(place, response, now, out)
        });
        let refused = response.filter(|response| response.status != 200);
        let pause_ns = refused.map_or(0, retry_after_ns);
        if let Some(one) = self.symbols.get_mut(place) {
            if matches!(result, Ok(true)) {
                one.failures = 0;
                one.fetch = Fetch::Idle;
            } else {
                one.retry(&self.config, now, pause_ns);
            }
        }
        result.map(drop)
    }

    fn tick(&mut self, now: Nanos, out: &mut Outbox) {
        let Some(opened_at) = self.opened_at else {
            return;
        };
        if let Some(next) = self.unsent.pop_front() {
            out.send(next);
        }
        if now.since(opened_at) > self.config.life_ns {
            out.reconnect("the connection is nearly 24 hours old");
        }
        if now.since(self.content_seen) > self.config.reconnect_after_ns {
            out.reconnect("no market data of any symbol");
        }
        for one in &mut self.symbols {
            if one.sync.live_id().is_some() {
                if one.book.falls_silent(now, self.config.book_silence_ns) {
                    one.lose(StaleReason::Silent, out);
                    one.want_snapshot(&self.config, now);
                } else if now.since(one.snapshot_at) > self.config.refresh_ns {
                    one.want_snapshot(&self.config, now);
                }
            }
            if one.quotes.falls_silent(now, self.config.quote_silence_ns) {
                out.event(&one.state(Content::Quotes, StaleReason::Silent));
            }
            if one.trades.falls_silent(now, self.config.trade_silence_ns) {
                out.event(&one.state(Content::Trades, StaleReason::Silent));
            }
            if let Fetch::Pending { since, .. } = one.fetch
                && now.since(since) > self.config.snapshot_timeout_ns
            {
                one.retry(&self.config, now, 0);
            }
        }
        self.send_due_requests(now, out);
    }

    fn closed(&mut self, _: Nanos, out: &mut Outbox) {
        self.opened_at = None;
        self.unsent.clear();
        for one in &mut self.symbols {
            one.lose(StaleReason::Disconnected, out);
            for feed in [Content::Quotes, Content::Trades] {
                out.event(&one.state(feed, StaleReason::Disconnected));
            }
            one.fetch = Fetch::Idle;
            one.last_quote_id = 0;
        }
    }
}

/// What `Retry-After` asks for; 0 where there is none.
fn retry_after_ns(response: &Response<'_>) -> u64 {
    let seconds = response
        .header("retry-after")
        .and_then(|text| text.parse().ok());
    seconds.map_or(0, |seconds: u64| seconds.saturating_mul(SECOND_NS))
}

#[cfg(test)]
mod tests;
