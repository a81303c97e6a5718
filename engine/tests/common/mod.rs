//! A sequencer with frames in memory, and events with the fields that a test cares about.
#![allow(dead_code, reason = "every test file uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
pub(crate) mod samples;
pub(crate) mod world;

use onetape_engine::event::{
    Aggressor, BookHeader, BookUpdate, CancelDecided, Event, ExecutionReport, FeeSchedule, Fill,
    InstrumentDefined, InstrumentType, Level, OrderDecided, Quote, SessionStart, Trade,
    TradingRules, VenueReason,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::sequencer::{MemorySink, Sequencer, StepError};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::{DAY_NS, Nanos};
use onetape_journal::{Frame, Tag};
use rust_decimal::Decimal;
use std::convert::Infallible;

/// Noon of some day.
pub(crate) const NOON: u64 = 20_000 * DAY_NS + DAY_NS / 2;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const X: InstrumentId = InstrumentId(0);

/// A strategy that never trades by itself, to own orders that a test decides.
pub(crate) fn silent(id: &str) -> StrategyConfig {
    ema(
        id,
        r#"{"slow": 4000000000, "fast": 1, "instrument": "none:NONE"}"#,
    )
}

pub(crate) fn ema(id: &str, params: &str) -> StrategyConfig {
    strategy(id, "ema_cross", params)
}

pub(crate) fn market_maker(id: &str, params: &str) -> StrategyConfig {
    strategy(id, "market_maker", params)
}

fn strategy(id: &str, name: &str, params: &str) -> StrategyConfig {
    let mut json = serde_json::Deserializer::from_str(params);
    let params = StrategyParams::read(name, &mut json).unwrap().unwrap();
    StrategyConfig {
        id: id.into(),
        params,
    }
}

/// One silent strategy, no limits, a latency of 1 ms.
pub(crate) fn quiet_session() -> SessionConfig {
    SessionConfig {
        strategies: vec![silent("s")],
        ..SessionConfig::default()
    }
}

/// "paper:X" and its like: prices with 2 decimals, quantities with 3.
pub(crate) fn instrument(id: u32, venue: &str, symbol: &str) -> Event<'static> {
    Event::InstrumentDefined(Box::new(InstrumentDefined {
        instrument: InstrumentId(id),
        venue: venue.into(),
        symbol: symbol.into(),
        instrument_type: InstrumentType::Spot,
        base: symbol.into(),
        quote: "USD".into(),
        decimals: Decimals { price: 2, qty: 3 },
    }))
}

/// Tick 0.01, lot 0.001, no minimum, from the beginning of time.
pub(crate) fn rules(id: u32) -> TradingRules {
    TradingRules {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        tick_size: Price(1),
        lot_size: Qty(1),
        min_qty: Qty(1),
        min_notional: Money::ZERO,
        min_price: Price(1),
        max_price: Price(1_000_000_000),
        bands: Vec::new(),
        allows_short: true,
    }
}

/// Maker and taker in hundredths of a basis point, rounded up to 8 decimals.
pub(crate) fn fees(id: u32, maker: i64, taker: i64) -> FeeSchedule {
    let formula = |rate| FeeFormula::Notional {
        rate: Decimal::new(rate, 6),
    };
    FeeSchedule {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        maker: formula(maker),
        taker: formula(taker),
        rounding: Rounding {
            decimals: 8,
            mode: RoundingMode::Up,
        },
        source: "test".into(),
        accrual: FeeAccrual::PerFill,
    }
}

pub(crate) fn level(price: i64, qty: i64) -> Level {
    Level {
        price: Price(price),
        qty: Qty(qty),
    }
}

pub(crate) fn encoded(event: &Event<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    event.encode(&mut payload);
    payload
}

/// A frame as the sink keeps it.
pub(crate) type Kept = (Sequence, Nanos, Tag, Vec<u8>);

pub(crate) fn frame((sequence, at, tag, payload): &Kept) -> Frame<'_> {
    Frame {
        sequence: sequence.0,
        timestamp_ns: at.0,
        tag: *tag,
        payload,
    }
}

pub(crate) fn decoded(kept: &Kept) -> Event<'_> {
    Event::decode(kept.2.kind(), &kept.3).unwrap()
}

/// What a report says, for comparison.
pub(crate) type Said = (OrderState, Option<(i64, i64)>, Option<VenueReason>);

pub(crate) fn filled(state: OrderState, price: i64, qty: i64) -> Said {
    (state, Some((price, qty)), None)
}

pub(crate) fn said(state: OrderState) -> Said {
    (state, None, None)
}

pub(crate) fn ended(state: OrderState, reason: VenueReason) -> Said {
    (state, None, Some(reason))
}

/// Whether a step could be taken.
pub(crate) type Taken = Result<(), StepError<Infallible>>;

/// A sequencer under test.
pub(crate) struct Rig {
    pub(crate) sequencer: Sequencer<MemorySink>,
}

impl Rig {
    /// A session that starts at noon, with instrument X of venue "paper": maker 5 bps, taker 10 bps.
    pub(crate) fn new(config: SessionConfig) -> Self {
        let mut rig = Self::bare(config);
        rig.input(NOON, &instrument(0, "paper", "X"));
        rig.input(NOON, &Event::TradingRules(rules(0)));
        rig.input(NOON, &Event::FeeSchedule(Box::new(fees(0, 500, 1_000))));
        rig
    }

    /// A session without instruments.
    pub(crate) fn bare(config: SessionConfig) -> Self {
        let mut rig = Self {
            sequencer: Sequencer::new(MemorySink::default()),
        };
        rig.start(config);
        rig
    }

    pub(crate) fn start(&mut self, config: SessionConfig) {
        let start = SessionStart {
            engine_version: "test".into(),
            logic_hash: "test".into(),
            config,
        };
        self.input(NOON, &Event::SessionStart(Box::new(start)));
    }

    pub(crate) fn input(&mut self, at: u64, event: &Event<'_>) {
        self.try_input(at, event).unwrap();
    }

    pub(crate) fn try_input(&mut self, at: u64, event: &Event<'_>) -> Taken {
        self.sequencer
            .step(Nanos(at), event.kind().number(), &encoded(event))
    }

    /// Puts a derived frame on the tape that no strategy decided.
    pub(crate) fn derive(&mut self, at: u64, event: &Event<'_>) -> Sequence {
        let sequence = self.sequencer.next_sequence();
        let frame = Frame {
            sequence: sequence.0,
            timestamp_ns: at,
            tag: Tag::derived(event.kind().number()).with_step_end(true),
            payload: &encoded(event),
        };
        self.sequencer.fold(&frame).unwrap();
        sequence
    }

    /// Decides a limit order of strategy 0 in X.
    pub(crate) fn limit(
        &mut self,
        at: u64,
        side: Side,
        tif: TimeInForce,
        price: i64,
        qty: i64,
    ) -> OrderId {
        self.order(at, OrderType::Limit, side, tif, price, qty)
    }

    /// Decides a market order of strategy 0 in X.
    pub(crate) fn market(&mut self, at: u64, side: Side, qty: i64) -> OrderId {
        let tif = TimeInForce::ImmediateOrCancel;
        self.order(at, OrderType::Market, side, tif, 0, qty)
    }

    fn order(
        &mut self,
        at: u64,
        order_type: OrderType,
        side: Side,
        time_in_force: TimeInForce,
        price: i64,
        qty: i64,
    ) -> OrderId {
        let decided = OrderDecided {
            cause: Sequence(1),
            strategy: StrategyId(0),
            instrument: X,
            side,
            order_type,
            time_in_force,
            price: Price(price),
            qty: Qty(qty),
            tag: 0,
            worst_price: None,
            one_of: None,
            protect: None,
            attached_to: None,
        };
        OrderId(self.derive(at, &Event::OrderDecided(decided)).0)
    }

    pub(crate) fn cancel(&mut self, at: u64, order: OrderId) {
        let cancel = CancelDecided {
            cause: Sequence(1),
            strategy: StrategyId(0),
            instrument: X,
            order,
        };
        self.derive(at, &Event::CancelDecided(cancel));
    }

    /// Whether nothing but the next midnight is due.
    pub(crate) fn nothing_is_due(&self) -> bool {
        let next = self.sequencer.desk().schedule().next();
        next.is_none_or(|due| due.task == onetape_engine::desk::Task::DayRoll)
    }

    pub(crate) fn heartbeat(&mut self, at: u64) {
        self.input(at, &Event::Heartbeat(onetape_engine::event::Heartbeat {}));
    }

    pub(crate) fn quote(&mut self, at: u64, bid: (i64, i64), ask: (i64, i64)) {
        self.quote_of(at, 0, bid, ask);
    }

    pub(crate) fn quote_of(&mut self, at: u64, id: u32, bid: (i64, i64), ask: (i64, i64)) {
        self.try_quote_of(at, id, bid, ask).unwrap();
    }

    pub(crate) fn try_quote(&mut self, at: u64, bid: (i64, i64), ask: (i64, i64)) -> Taken {
        self.try_quote_of(at, 0, bid, ask)
    }

    fn try_quote_of(&mut self, at: u64, id: u32, bid: (i64, i64), ask: (i64, i64)) -> Taken {
        let quote = Quote {
            instrument: InstrumentId(id),
            bid_price: Price(bid.0),
            bid_qty: Qty(bid.1),
            ask_price: Price(ask.0),
            ask_qty: Qty(ask.1),
            ..Quote::default()
        };
        self.try_input(at, &Event::Quote(&quote))
    }

    pub(crate) fn trade(&mut self, at: u64, aggressor: Aggressor, price: i64, qty: i64) {
        let trade = trade_of(aggressor, price, qty);
        self.input(at, &Event::Trade(&trade));
    }

    pub(crate) fn try_trade(&mut self, at: u64, price: i64, qty: i64) -> Taken {
        self.try_input(at, &Event::Trade(&trade_of(Aggressor::Unknown, price, qty)))
    }

    /// A whole book of X: (price, quantity), best first.
    pub(crate) fn book(&mut self, at: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        self.try_update(at, true, bids, asks).unwrap();
    }

    /// New quantities of some levels of X.
    pub(crate) fn delta(&mut self, at: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        self.try_update(at, false, bids, asks).unwrap();
    }

    pub(crate) fn try_update(
        &mut self,
        at: u64,
        whole: bool,
        bids: &[(i64, i64)],
        asks: &[(i64, i64)],
    ) -> Taken {
        let levels = |side: &[(i64, i64)]| -> Vec<Level> {
            side.iter()
                .map(|(price, qty)| level(*price, *qty))
                .collect()
        };
        let (bids, asks) = (levels(bids), levels(asks));
        let header = BookHeader {
            instrument: X,
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            ..BookHeader::default()
        };
        let update = BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        };
        let event = if whole {
            Event::BookSnapshot(update)
        } else {
            Event::BookDelta(update)
        };
        self.try_input(at, &event)
    }

    pub(crate) fn frames(&self) -> &[Kept] {
        &self.sequencer.sink().frames
    }

    /// Every frame's stamp and event.
    pub(crate) fn events(&self) -> Vec<(u64, Event<'_>)> {
        let frames = self.frames().iter();
        frames.map(|kept| (kept.1.0, decoded(kept))).collect()
    }

    pub(crate) fn reports(&self) -> Vec<(u64, ExecutionReport)> {
        let report = |(at, event): (u64, Event<'_>)| match event {
            Event::ExecutionReport(report) => Some((at, report)),
            _ => None,
        };
        self.events().into_iter().filter_map(report).collect()
    }

    /// Limits that were warned of: which, whose, value and limit.
    pub(crate) fn warned(&self) -> Vec<(String, Option<String>, String, String)> {
        let warned = |(_, event): (u64, Event<'_>)| match event {
            Event::LimitWarned(w) => {
                let figures = (w.value.to_string(), w.limit.to_string());
                Some((w.gate.into_owned(), w.of, figures.0, figures.1))
            }
            _ => None,
        };
        self.events().into_iter().filter_map(warned).collect()
    }

    /// What was reported on an order, in order.
    pub(crate) fn said(&self, order: OrderId) -> Vec<Said> {
        let reports = self.reports().into_iter();
        reports
            .filter(|(_, report)| report.order == order)
            .map(|(_, r)| (r.state, r.fill.map(|f| (f.price.0, f.qty.0)), r.reason))
            .collect()
    }

    pub(crate) fn fills(&self) -> Vec<Fill> {
        let reports = self.reports().into_iter();
        reports.filter_map(|(_, report)| report.fill).collect()
    }
}

fn trade_of(aggressor: Aggressor, price: i64, qty: i64) -> Trade {
    Trade {
        instrument: X,
        aggressor: aggressor.byte(),
        price: Price(price),
        qty: Qty(qty),
        ..Trade::default()
    }
}
