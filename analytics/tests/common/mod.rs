//! Journals to export: a day of two markets traded by two strategies, and a tape with every kind of frame once.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../../../engine/tests/common/samples.rs"]
mod samples;

use onetape_backtest::{BacktestOptions, Summary, backtest};
use onetape_engine::event::*;
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, OrderType, Side, TimeInForce};
use onetape_engine::risk::{Gate, HaltReason};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::{Nanos, SECOND_NS};
use onetape_journal::{Options, Reader, Tag, Writer};
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// 2026-01-02 00:00 UTC.
pub(crate) const MIDNIGHT: u64 = 1_767_312_000 * SECOND_NS;

/// Stamp of the sample facts.
pub(crate) const NOON: u64 = MIDNIGHT + 43_200 * SECOND_NS;

/// Writes frames of our making.
pub(crate) struct Tape {
    writer: Writer,
    pub(crate) at: u64,
    bytes: Vec<u8>,
}

impl Tape {
    pub(crate) fn create(dir: &Path) -> Self {
        Self {
            writer: Writer::create(dir, Options::default()).unwrap(),
            at: MIDNIGHT,
            bytes: Vec::new(),
        }
    }

    pub(crate) fn input(&mut self, event: &Event<'_>) -> u64 {
        self.frame(Tag::input(event.kind().number()).with_step_end(true), event)
    }

    pub(crate) fn derived(&mut self, event: &Event<'_>) -> u64 {
        self.frame(Tag::derived(event.kind().number()), event)
    }

    fn frame(&mut self, tag: Tag, event: &Event<'_>) -> u64 {
        self.bytes.clear();
        event.encode(&mut self.bytes);
        self.raw(tag, &self.bytes.clone())
    }

    pub(crate) fn raw(&mut self, tag: Tag, payload: &[u8]) -> u64 {
        let sequence = self.writer.stage(tag, self.at, payload).unwrap();
        self.writer.publish(tag.ends_step());
        sequence
    }

    pub(crate) fn close(self) {
        self.writer.close().unwrap();
    }

    /// Defines an instrument with a tick and lot of one unit.
    pub(crate) fn define(
        &mut self,
        id: u32,
        venue: &str,
        symbol: &str,
        kind: InstrumentType,
        decimals: Decimals,
        fees: FeeFormula,
    ) {
        let instrument = InstrumentId(id);
        self.input(&Event::InstrumentDefined(Box::new(InstrumentDefined {
            instrument,
            venue: venue.into(),
            symbol: symbol.into(),
            instrument_type: kind,
            base: symbol.chars().take(3).collect(),
            quote: "USDT".into(),
            decimals,
        })));
        self.input(&Event::TradingRules(TradingRules {
            instrument,
            effective_from: Nanos(0),
            tick_size: Price(1),
            lot_size: Qty(1),
            min_qty: Qty(1),
            min_notional: Money(0),
            min_price: Price(1),
            max_price: Price(100_000_000_000),
            bands: Vec::new(),
            allows_short: true,
        }));
        self.input(&Event::FeeSchedule(Box::new(FeeSchedule {
            instrument,
            effective_from: Nanos(0),
            maker: fees,
            taker: fees,
            rounding: Rounding {
                decimals: 8,
                mode: RoundingMode::Up,
            },
            source: "assumed".into(),
            accrual: FeeAccrual::PerFill,
        })));
    }
}

/// Numbers that look random and are the same every time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A recorded day of two markets: `ticks` quotes, book deltas and trades each, `every_ns` apart.
pub(crate) fn record_day(dir: &Path, ticks: u64, every_ns: u64) {
    let mut tape = Tape::create(dir);
    tape.input(&Event::DataSource(Box::new(DataSource {
        name: "random walk".into(),
        format: "generated".into(),
        identity: "1".into(),
        generated: true,
    })));
    let notional = FeeFormula::Notional {
        rate: Decimal::new(1, 3),
    };
    tape.define(
        0,
        "binance",
        "BTCUSDT",
        InstrumentType::Spot,
        Decimals { price: 2, qty: 5 },
        notional,
    );
    tape.define(
        1,
        "binance",
        "ETHUSDT",
        InstrumentType::Perpetual,
        Decimals { price: 3, qty: 4 },
        notional,
    );
    let mut random = Random(7);
    let mut mids = [6_173_763_i64, 3_021_417];
    for (id, mid) in mids.iter().enumerate() {
        book(&mut tape, true, id as u32, *mid, 1, &mut random);
    }
    for tick in 0..ticks {
        tape.at += every_ns;
        let id = (tick % 2) as u32;
        let mid = &mut mids[id as usize];
        *mid += random.below(401) as i64 - 200;
        let mid = *mid;
        let size = |random: &mut Random| Qty(1 + random.below(300_000) as i64);
        let quote = Quote {
            instrument: InstrumentId(id),
            update_id: tick + 1,
            venue_time_ns: tape.at - 250_000,
            bid_price: Price(mid - 1),
            bid_qty: size(&mut random),
            ask_price: Price(mid + 1),
            ask_qty: size(&mut random),
            ..Quote::default()
        };
        tape.input(&Event::Quote(&quote));
        book(&mut tape, true, id, mid, tick + 2, &mut random);
        let (price, aggressor) = if random.below(2) == 0 {
            (mid - 60, Aggressor::Seller)
        } else {
            (mid + 60, Aggressor::Buyer)
        };
        let trade = Trade {
            instrument: InstrumentId(id),
            aggressor: aggressor.byte(),
            trade_id: tick + 1,
            price: Price(price),
            qty: size(&mut random),
            ..Trade::default()
        };
        tape.input(&Event::Trade(&trade));
        if tick % 16 == 0 {
            book(&mut tape, false, id, mid, tick + 2, &mut random);
        }
    }
    tape.close();
}

fn book(tape: &mut Tape, snapshot: bool, id: u32, mid: i64, last_id: u64, random: &mut Random) {
    let mut side = |sign: i64| -> Vec<Level> {
        (1..=3)
            .map(|i| Level {
                price: Price(mid + sign * i),
                qty: Qty(1 + random.below(200_000) as i64),
            })
            .collect()
    };
    let (bids, asks) = (side(-1), side(1));
    let header = BookHeader {
        instrument: InstrumentId(id),
        bids: 3,
        asks: 3,
        last_id,
        ..BookHeader::default()
    };
    let update = BookUpdate {
        header: &header,
        bids: &bids,
        asks: &asks,
    };
    tape.input(&if snapshot {
        Event::BookSnapshot(update)
    } else {
        Event::BookDelta(update)
    });
}

/// Two strategies, with limits that stop some of their orders.
pub(crate) fn config() -> SessionConfig {
    serde_json::from_value(json!({
        "seed": 3,
        "state_hash_every": 1000,
        "risk": { "each_strategy": { "max_orders_per_second": 2, "max_open_orders": 4 } },
        "strategy": [
            { "id": "trend", "name": "ema_cross", "params": {
                "instrument": "binance:BTCUSDT", "source": "bars", "bar_s": 5, "fast": 3, "slow": 8, "qty": "0.12345" } },
            { "id": "maker", "name": "market_maker", "params": { "instrument": "binance:ETHUSDT", "qty": "0.0123" } },
        ],
    }))
    .unwrap()
}

/// Runs the strategies over a recorded day into `journal`.
pub(crate) fn run_day(source: &Path, journal: &Path) -> Summary {
    let options = BacktestOptions {
        journal: Some(journal.to_path_buf()),
        ..BacktestOptions::new(source, config())
    };
    backtest(&options, &mut |_, _| {}).unwrap()
}

/// Rows that each kind's table must have: frames, or levels for books.
pub(crate) fn expected_rows(journal: &Path) -> BTreeMap<&'static str, u64> {
    let mut rows: BTreeMap<&'static str, u64> =
        Kind::ALL.iter().map(|kind| (kind.name(), 0)).collect();
    let mut reader = Reader::open(journal).unwrap();
    while let Some(frame) = reader.next().unwrap() {
        let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
        *rows.get_mut(event.kind().name()).unwrap() += match event {
            Event::BookSnapshot(update) | Event::BookDelta(update) => {
                (update.bids.len() + update.asks.len()) as u64
            }
            _ => 1,
        };
    }
    rows
}

/// A table as it was written.
pub(crate) fn read(out: &Path, table: &str) -> DataFrame {
    ParquetReader::new(File::open(out.join(format!("{table}.parquet"))).unwrap())
        .finish()
        .unwrap()
}

/// A tape with every kind once, and the odd cases of some.
pub(crate) fn every_kind(dir: &Path) {
    let (at, cause) = (Nanos(MIDNIGHT), Sequence(2));
    let (strategy, instrument, order) = (StrategyId(1), InstrumentId(0), OrderId(30));
    let mut tape = Tape::create(dir);
    tape.input(&Event::SessionStart(Box::new(SessionStart {
        engine_version: "0.1.0".into(),
        logic_hash: "abc".into(),
        config: config(),
    })));
    tape.input(&Event::DataSource(Box::new(DataSource {
        name: "day.csv".into(),
        format: "csv".into(),
        identity: "f00d".into(),
        generated: false,
    })));
    let fees = FeeFormula::probability(Decimal::from_i128_with_scale(7, 20));
    tape.define(
        0,
        "kalshi",
        "RAIN",
        InstrumentType::Binary,
        Decimals { price: 4, qty: 2 },
        fees,
    );
    tape.at += 123_456_789;
    tape.input(&Event::Quote(&Quote {
        bid_price: Price(-1),
        ask_price: Price(4_501),
        ask_qty: Qty(250),
        ..Quote::default()
    }));
    tape.input(&Event::Trade(&Trade {
        price: Price(i64::MAX),
        qty: Qty(1),
        aggressor: 9,
        ..Trade::default()
    }));
    let levels = [
        Level {
            price: Price(1),
            qty: Qty(0),
        },
        Level {
            price: Price(2),
            qty: Qty(3),
        },
    ];
    let header = BookHeader {
        bids: 1,
        asks: 1,
        first_id: 5,
        last_id: 6,
        previous_id: 4,
        ..BookHeader::default()
    };
    let update = BookUpdate {
        header: &header,
        bids: &levels[..1],
        asks: &levels[1..],
    };
    tape.input(&Event::BookDelta(update));
    tape.input(&Event::BookSnapshot(BookUpdate {
        header: &BookHeader::default(),
        bids: &[],
        asks: &[],
    }));
    for condition in [
        FeedCondition::Snapshotting,
        FeedCondition::Stale(StaleReason::Gap {
            expected: 7,
            found: 9,
        }),
        FeedCondition::Stale(StaleReason::Silent),
    ] {
        tape.input(&Event::FeedState(Box::new(FeedState {
            instrument,
            feed: Feed::Book,
            condition,
        })));
    }
    tape.input(&Event::MarketStatus(MarketStatus {
        instrument,
        status: TradingStatus::Halted,
    }));
    tape.input(&Event::Resolution(Resolution {
        instrument,
        settlement_price: Price(10_000),
    }));
    tape.input(&Event::Heartbeat(Heartbeat {}));
    tape.input(&Event::OperatorCommand(Box::new(OperatorCommand {
        action: OperatorAction::Halt,
        note: "a note, \"quoted\"\nover two lines — ünïcode".into(),
    })));
    let fill = Fill {
        fill_id: 77,
        price: Price(4_501),
        qty: Qty(250),
        fee: Money(1),
        liquidity: Liquidity::Taker,
    };
    let report = |cause, state, fill, reason| {
        Event::ExecutionReport(ExecutionReport {
            cause,
            order,
            instrument,
            state,
            fill,
            reason,
        })
    };
    tape.input(&report(
        Sequence(0),
        OrderState::Cancelled,
        None,
        Some(VenueReason::Requested),
    ));
    tape.derived(&report(cause, OrderState::Filled, Some(fill), None));
    tape.derived(&Event::TimerFired(TimerFired {
        cause,
        strategy,
        token: 5,
    }));
    tape.derived(&Event::BarClosed(BarClosed {
        cause,
        instrument,
        interval_ns: 60 * SECOND_NS,
        open: Price(1),
        high: Price(4),
        low: Price(1),
        close: Price(3),
        volume: Qty(1_234),
    }));
    for (order_type, price) in [
        (OrderType::Limit, Price(4_500)),
        (OrderType::Market, Price(0)),
    ] {
        tape.derived(&Event::OrderDecided(OrderDecided {
            cause,
            strategy,
            instrument,
            side: Side::Sell,
            order_type,
            time_in_force: TimeInForce::ImmediateOrCancel,
            price,
            qty: Qty(250),
            tag: 0,
            worst_price: None,
            one_of: None,
            protect: None,
            attached_to: None,
        }));
    }
    tape.derived(&Event::CancelDecided(CancelDecided {
        cause,
        strategy,
        instrument,
        order,
    }));
    for value in [Decimal::new(15, 1), Decimal::MAX] {
        tape.derived(&Event::OrderDenied(OrderDenied {
            cause,
            strategy,
            instrument,
            side: Side::Buy,
            price: Price(0),
            qty: Qty(1),
            gate: Gate::OrderNotional,
            value,
            limit: Decimal::ZERO,
            tag: 0,
        }));
    }
    for due in [at, Nanos(u64::MAX)] {
        tape.derived(&Event::TimerSet(TimerSet {
            cause,
            strategy,
            due,
            token: 5,
        }));
    }
    for reason in [
        HaltReason::Operator,
        HaltReason::DailyLoss { strategy },
        HaltReason::IllegalMove { order },
    ] {
        tape.derived(&Event::HaltChanged(HaltChanged {
            cause,
            reason,
            active: true,
        }));
    }
    tape.derived(&Event::StateHash(StateHash {
        cause,
        inputs: 9,
        hash: "00ff".into(),
    }));
    tape.derived(&Event::StepClosed(StepClosed {
        cause,
        logic_hash: "abc".into(),
    }));
    tape.input(&Event::SessionEnd(SessionEnd { inputs: 9 }));
    for (id, symbol) in [(1, "YES"), (2, "NO")] {
        let decimals = Decimals { price: 4, qty: 2 };
        tape.define(
            id,
            "polymarket",
            symbol,
            InstrumentType::Binary,
            decimals,
            fees,
        );
    }
    for fact in samples::facts() {
        tape.input(&fact);
    }
    for record in samples::records() {
        tape.derived(&record);
    }
    tape.derived(&Event::DayRolled(DayRolled { cause, day: 20_000 }));
    tape.close();
}
