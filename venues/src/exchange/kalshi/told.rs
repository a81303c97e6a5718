//! What a subscription is told of what happened.
use super::VENUE;
use super::wire;
use crate::exchange::{Published, Truth, VenueFill, VenueOrder};
use onetape_engine::event::{Aggressor, Event, Liquidity, TradingStatus};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Instrument;
use onetape_engine::number::{Price, Qty};
use onetape_engine::order::Side;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The levels that a client was told, by side and price.
pub(super) type Levels = BTreeMap<(bool, Price), Qty>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Book,
    Ticker,
    Trade,
    Lifecycle,
    Orders,
    Fills,
    Positions,
}

pub(super) const CHANNELS: [(&str, Channel); 7] = [
    ("orderbook_delta", Channel::Book),
    ("ticker", Channel::Ticker),
    ("trade", Channel::Trade),
    ("market_lifecycle_v2", Channel::Lifecycle),
    ("user_orders", Channel::Orders),
    ("fill", Channel::Fills),
    ("market_positions", Channel::Positions),
];

impl Channel {
    /// Channels whose messages are counted.
    pub(super) const fn counts(self) -> bool {
        matches!(self, Channel::Book | Channel::Trade | Channel::Lifecycle)
    }

    pub(super) const fn needs_markets(self) -> bool {
        matches!(self, Channel::Book)
    }
}

pub(super) struct Subscription {
    pub(super) channel: Channel,
    /// Empty for all.
    pub(super) markets: BTreeSet<InstrumentId>,
    pub(super) use_yes_price: bool,
    pub(super) seq: u64,
    /// What was published up to here is in what the client was told when it subscribed.
    pub(super) from: u64,
    /// What the client was told of each book, and up to which number.
    pub(super) books: BTreeMap<InstrumentId, (u64, Levels)>,
    /// The best levels that each market's ticker told.
    pub(super) tops: BTreeMap<InstrumentId, [(Price, Qty); 2]>,
}

impl Subscription {
    pub(super) fn has(&self, instrument: InstrumentId) -> bool {
        self.markets.is_empty() || self.markets.contains(&instrument)
    }

    pub(super) fn envelope(&mut self, sid: u64, kind: &str, msg: Value) -> String {
        let mut envelope = json!({"type": kind, "sid": sid, "msg": msg});
        if self.channel.counts() {
            self.seq += 1;
            envelope["seq"] = json!(self.seq);
        }
        envelope.to_string()
    }
}

pub(super) type Send<'a> = dyn FnMut(&mut Subscription, &'static str, Value) + 'a;

pub(super) fn levels(instrument: &Instrument) -> Levels {
    let Some(book) = instrument.book() else {
        return Levels::new();
    };
    let side = |side: Side| {
        let of = move |level: onetape_engine::event::Level| {
            ((side == Side::Sell, level.price), level.qty)
        };
        book.side(side).levels().map(of)
    };
    side(Side::Buy).chain(side(Side::Sell)).collect()
}

/// A level's price as the subscription wants it: asks are bids of the NO leg.
fn leg_price(instrument: &Instrument, is_no: bool, price: Price, use_yes_price: bool) -> String {
    let d = instrument.decimals();
    match is_no && !use_yes_price {
        true => wire::no_dollars(d, price),
        false => wire::dollars(d, price),
    }
}

pub(super) fn snapshot(instrument: &Instrument, levels: &Levels, use_yes_price: bool) -> Value {
    let d = instrument.decimals();
    let mut msg = json!({
        "market_ticker": instrument.definition.symbol,
        "market_id": wire::trade_id(instrument.id().0.into()),
    });
    for (is_no, name) in [(false, "yes_dollars_fp"), (true, "no_dollars_fp")] {
        let of_side = levels.iter().filter(|((no, _), _)| *no == is_no);
        let level = |((_, price), qty): (&(bool, Price), &Qty)| {
            json!([
                leg_price(instrument, is_no, *price, use_yes_price),
                wire::count(d, *qty)
            ])
        };
        let mut told: Vec<Value> = of_side.map(level).collect();
        // Bids of a leg ascend in that leg's price; an empty side is left out.
        if is_no && !use_yes_price {
            told.reverse();
        }
        if !told.is_empty() {
            msg[name] = json!(told);
        }
    }
    msg
}

pub(super) fn market_event(
    truth: &Truth,
    subscription: &mut Subscription,
    published: &Published,
    event: &Event<'_>,
    send: &mut Send<'_>,
) {
    let Some(id) = event.instrument() else {
        return;
    };
    let Ok(instrument) = truth.market().instrument(id) else {
        return;
    };
    if instrument.definition.venue != VENUE || !subscription.has(id) {
        return;
    }
    let at_ms = published.at.0 / 1_000_000;
    match subscription.channel {
        Channel::Book => {
            if matches!(event, Event::BookSnapshot(_) | Event::BookDelta(_)) {
                changes(instrument, subscription, published, send);
            }
        }
        Channel::Ticker => ticker(instrument, subscription, at_ms, send),
        Channel::Trade if published.number > subscription.from => {
            if let Event::Trade(trade) = event {
                let d = instrument.decimals();
                let taker = match trade.aggressor() {
                    Aggressor::Seller => ("no", "ask"),
                    _ => ("yes", "bid"),
                };
                let msg = json!({
                    "trade_id": wire::trade_id(published.number),
                    "market_ticker": instrument.definition.symbol,
                    "yes_price_dollars": wire::dollars(d, trade.price),
                    "no_price_dollars": wire::no_dollars(d, trade.price),
                    "count_fp": wire::count(d, trade.qty),
                    "taker_side": taker.0,
                    "taker_outcome_side": taker.0,
                    "taker_book_side": taker.1,
                    "is_block_trade": false,
                    "ts": at_ms / 1_000,
                    "ts_ms": at_ms,
                });
                send(subscription, "trade", msg);
            }
        }
        Channel::Lifecycle if published.number > subscription.from => {
            lifecycle(instrument, subscription, at_ms, event, send);
        }
        _ => {}
    }
}

/// What changed in a book since it was told, removals first so that no step in between is crossed.
fn changes(
    instrument: &Instrument,
    subscription: &mut Subscription,
    published: &Published,
    send: &mut Send<'_>,
) {
    let id = instrument.id();
    let Some((number, told)) = subscription.books.get(&id) else {
        return;
    };
    // The snapshot was taken after this, or the journal's book is gone: the venue's is not, and tells nothing.
    if published.number <= *number || instrument.book().is_none() {
        return;
    }
    let now = levels(instrument);
    let of = |levels: &Levels, key: &(bool, Price)| levels.get(key).map_or(0, |qty| qty.0);
    let keys: BTreeSet<(bool, Price)> = told.keys().chain(now.keys()).copied().collect();
    let mut moved: Vec<((bool, Price), i64)> = keys
        .into_iter()
        .map(|key| (key, of(&now, &key) - of(told, &key)))
        .filter(|(_, change)| *change != 0)
        .collect();
    moved.sort_by_key(|(_, change)| *change > 0);
    subscription.books.insert(id, (published.number, now));
    let d = instrument.decimals();
    for ((is_no, price), change) in moved {
        let msg = json!({
            "market_ticker": instrument.definition.symbol,
            "market_id": wire::trade_id(id.0.into()),
            "price_dollars": leg_price(instrument, is_no, price, subscription.use_yes_price),
            "delta_fp": wire::count(d, Qty(change)),
            "side": if is_no { "no" } else { "yes" },
            "ts": wire::rfc3339(published.at),
            "ts_ms": published.at.0 / 1_000_000,
        });
        send(subscription, "orderbook_delta", msg);
    }
}

/// The best levels, when they change.
fn ticker(
    instrument: &Instrument,
    subscription: &mut Subscription,
    at_ms: u64,
    send: &mut Send<'_>,
) {
    let id = instrument.id();
    let d = instrument.decimals();
    let Some(top) = instrument.top() else {
        return;
    };
    let top = [(top.bid.price, top.bid.qty), (top.ask.price, top.ask.qty)];
    if subscription.tops.get(&id) == Some(&top) {
        return;
    }
    subscription.tops.insert(id, top);
    let [bid, ask] = top;
    let last = instrument.last_trade.unwrap_or(Price(0));
    // Nobody asks: a dollar, which no order can cost.
    let ask_dollars = match ask.1.0 {
        0 => "1.0000".to_owned(),
        _ => wire::dollars(d, ask.0),
    };
    let msg = json!({
        "market_ticker": instrument.definition.symbol,
        "market_id": wire::trade_id(id.0.into()),
        "price_dollars": wire::dollars(d, last),
        "yes_bid_dollars": wire::dollars(d, bid.0),
        "yes_ask_dollars": ask_dollars,
        "yes_bid_size_fp": wire::count(d, bid.1),
        "yes_ask_size_fp": wire::count(d, ask.1),
        "ts": at_ms / 1_000,
        "ts_ms": at_ms,
    });
    send(subscription, "ticker", msg);
}

fn lifecycle(
    instrument: &Instrument,
    subscription: &mut Subscription,
    at_ms: u64,
    event: &Event<'_>,
    send: &mut Send<'_>,
) {
    let d = instrument.decimals();
    let seconds = at_ms / 1_000;
    let mut step = |name: &str, more: Value| {
        let mut msg = json!({"market_ticker": instrument.definition.symbol, "event_type": name});
        if let (Value::Object(msg), Value::Object(more)) = (&mut msg, more) {
            msg.extend(more);
        }
        send(subscription, "market_lifecycle_v2", msg);
    };
    match event {
        Event::InstrumentDefined(_) => step("created", json!({"exchange_index": 0})),
        Event::MarketStatus(status) => match status.status {
            TradingStatus::Open => step("activated", json!({"is_deactivated": false})),
            TradingStatus::Halted => step("deactivated", json!({"is_deactivated": true})),
            TradingStatus::Closed => step("close_date_updated", json!({"close_ts": seconds})),
        },
        Event::TradingRules(rules) => step(
            "price_level_structure_updated",
            json!({
                "price_level_structure": "local",
                "price_ranges": wire::price_ranges(d, rules),
            }),
        ),
        Event::Resolution(resolution) => {
            let value = resolution.settlement_price;
            step(
                "determined",
                json!({
                    "result": wire::result(d, Some(value)),
                    "determination_ts": seconds,
                    "settlement_value": wire::dollars(d, value),
                }),
            );
            step("settled", json!({"settled_ts": seconds}));
        }
        _ => {}
    }
}

pub(super) fn own_order(
    truth: &Truth,
    subscription: &mut Subscription,
    published: &Published,
    order: &VenueOrder,
    send: &mut Send<'_>,
) {
    let is_told = published.number <= subscription.from;
    if subscription.channel != Channel::Orders || is_told || !subscription.has(order.new.instrument)
    {
        return;
    }
    if let Ok(instrument) = truth.market().instrument(order.new.instrument)
        && instrument.definition.venue == VENUE
    {
        send(subscription, "user_order", wire::order(instrument, order));
    }
}

pub(super) fn own_fill(
    truth: &Truth,
    subscription: &mut Subscription,
    published: &Published,
    fill: &VenueFill,
    send: &mut Send<'_>,
) {
    if published.number <= subscription.from || !subscription.has(fill.instrument) {
        return;
    }
    let Ok(instrument) = truth.market().instrument(fill.instrument) else {
        return;
    };
    if instrument.definition.venue != VENUE {
        return;
    }
    let d = instrument.decimals();
    let held = wire::count(d, truth.holding(fill.instrument));
    match subscription.channel {
        Channel::Fills => {
            let (book_side, outcome) = match fill.side {
                Side::Buy => ("bid", "yes"),
                Side::Sell => ("ask", "no"),
            };
            let msg = json!({
                "trade_id": wire::fill_id(fill.id),
                "order_id": wire::order_id(fill.order),
                "client_order_id": fill.client_id,
                "market_ticker": instrument.definition.symbol,
                "exchange_index": 0,
                "is_taker": fill.liquidity == Liquidity::Taker,
                "side": "yes",
                "purchased_side": outcome,
                "outcome_side": outcome,
                "book_side": book_side,
                "yes_price_dollars": wire::dollars(d, fill.price),
                "count_fp": wire::count(d, fill.qty),
                "fee_cost": fill.fee.to_string(),
                "post_position_fp": held,
                "ts": fill.at.0 / 1_000_000_000,
                "ts_ms": fill.at.0 / 1_000_000,
                "subaccount": 0,
            });
            send(subscription, "fill", msg);
        }
        Channel::Positions => {
            let msg = json!({
                "user_id": "local",
                "market_ticker": instrument.definition.symbol,
                "position_fp": held,
                "subaccount": 0,
            });
            send(subscription, "market_position", msg);
        }
        _ => {}
    }
}
