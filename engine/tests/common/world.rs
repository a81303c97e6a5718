//! Random markets, operators, venues and sessions.
use super::{NOON, encoded, fees, instrument, level, rules};
use onetape_engine::event::{
    BookHeader, BookUpdate, DataSource, Event, ExecutionReport, Feed, FeedCondition, FeedState,
    Fill, Heartbeat, Level, Liquidity, MarketStatus, OperatorAction, OperatorCommand, Quote,
    Resolution, SessionEnd, SessionStart, StaleReason, Trade, TradingStatus,
};
use onetape_engine::id::{InstrumentId, OrderId, Sequence};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::OrderState;
use onetape_engine::risk::Limits;
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{PaperVenueConfig, QueueModel, SessionConfig, StrategyConfig};
use onetape_engine::time::{DAY_NS, Nanos};
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Instruments that exist from the start; one more may be defined later.
const INSTRUMENTS: u32 = 2;
/// Prices move around this.
const MID: i64 = 10_000;

/// One thing that happens outside.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Quote {
        id: u32,
        bid: i64,
        spread: i64,
        qty: i64,
    },
    Trade {
        id: u32,
        price: i64,
        qty: i64,
        aggressor: u8,
    },
    Snapshot {
        id: u32,
        levels: Vec<(i64, i64)>,
        asks_from: i64,
    },
    Delta {
        id: u32,
        buy: bool,
        price: i64,
        qty: i64,
        gap: bool,
    },
    Feed {
        id: u32,
        feed: Feed,
        condition: FeedCondition,
    },
    Status {
        id: u32,
        status: TradingStatus,
    },
    Resolution {
        id: u32,
        price: i64,
    },
    Rules {
        id: u32,
        tick: i64,
        lot: i64,
        later_ns: u64,
    },
    Fees {
        id: u32,
        maker: i64,
        taker: i64,
        later_ns: u64,
    },
    Heartbeat,
    Operator {
        halt: bool,
    },
    Define,
    /// A venue's own report on one of the orders at work, or on an order that never was.
    Report {
        which: usize,
        state: usize,
        fill: Option<(u64, i64)>,
    },
}

fn happening(reports: bool) -> impl Strategy<Value = Happening> {
    let id = 0..INSTRUMENTS;
    let qty = prop_oneof![4 => 1i64..5_000, 1 => Just(0i64)];
    let price = MID - 30..MID + 30;
    let quote = (id.clone(), price.clone(), -1i64..12, qty.clone());
    let trade = (id.clone(), price.clone(), -1i64..6_000, 0u8..4);
    let levels = prop::collection::vec((0i64..30, 1i64..5_000), 4..16);
    let delta = (
        id.clone(),
        any::<bool>(),
        price.clone(),
        qty,
        prop::bool::weighted(0.02),
    );
    let feed = prop_oneof![Just(Feed::Book), Just(Feed::Quotes), Just(Feed::Trades)];
    let condition = prop_oneof![
        Just(FeedCondition::Snapshotting),
        Just(FeedCondition::Stale(StaleReason::Disconnected)),
        Just(FeedCondition::Stale(StaleReason::Gap {
            expected: 1,
            found: 3
        })),
    ];
    let status = prop_oneof![
        6 => Just(TradingStatus::Open),
        2 => Just(TradingStatus::Halted),
        1 => Just(TradingStatus::Closed),
    ];
    let lot = prop_oneof![Just(1i64), Just(5), Just(20)];
    let later = prop_oneof![Just(0u64), 0..DAY_NS];
    let report = (
        any::<prop::sample::Index>(),
        0usize..9,
        prop::option::of((0u64..5, 0i64..3_000)),
    );
    prop_oneof![
        180 => quote.prop_map(|(id, bid, spread, qty)| Happening::Quote { id, bid, spread, qty }),
        120 => trade.prop_map(|(id, price, qty, aggressor)| Happening::Trade { id, price, qty, aggressor }),
        60 => (id.clone(), levels, -2i64..6)
            .prop_map(|(id, levels, asks_from)| Happening::Snapshot { id, levels, asks_from }),
        240 => delta.prop_map(|(id, buy, price, qty, gap)| Happening::Delta { id, buy, price, qty, gap }),
        4 => (id.clone(), feed, condition).prop_map(|(id, feed, condition)| Happening::Feed { id, feed, condition }),
        6 => (id.clone(), status).prop_map(|(id, status)| Happening::Status { id, status }),
        1 => (id.clone(), price).prop_map(|(id, price)| Happening::Resolution { id, price }),
        2 => (id.clone(), 1i64..5, lot, later.clone())
            .prop_map(|(id, tick, lot, later_ns)| Happening::Rules { id, tick, lot, later_ns }),
        1 => (id, 0i64..2_000, 0i64..2_000, later)
            .prop_map(|(id, maker, taker, later_ns)| Happening::Fees { id, maker, taker, later_ns }),
        20 => Just(Happening::Heartbeat),
        8 => prop::bool::weighted(0.3).prop_map(|halt| Happening::Operator { halt }),
        1 => Just(Happening::Define),
        5 => report.prop_map(|(which, state, fill)| Happening::Report {
            which: which.index(1_000), state, fill,
        }),
    ]
    .prop_map(move |happening| match happening {
        Happening::Report { .. } if !reports => Happening::Heartbeat,
        happening => happening,
    })
}

/// A session, what happens in it and how long after the happening before; clocks may run back.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) config: SessionConfig,
    pub(crate) happenings: Vec<(i64, Happening)>,
}

fn strategies() -> impl Strategy<Value = Vec<StrategyConfig>> {
    let name = prop_oneof![Just("null"), Just("\"paper:X\""), Just("\"other:Y\"")];
    let source = prop_oneof![Just("quotes"), Just("book"), Just("bars")];
    let ema = (
        1u32..3,
        1u32..4,
        source,
        name.clone(),
        any::<bool>(),
        1u64..100,
        0u64..50,
    )
        .prop_map(|(fast, more, source, name, short, qty, retry)| {
            // Bars need a name.
            let source = if name == "null" { "quotes" } else { source };
            let slow = fast + more;
            let qty = Decimal::new(qty as i64 * 10, 3);
            format!(
                r#"{{"fast": {fast}, "slow": {slow}, "source": "{source}", "instrument": {name},
                    "bar_s": 1, "short": {short}, "qty": "{qty}", "retry_ms": {retry}}}"#
            )
        });
    let source = prop_oneof![Just("quotes"), Just("book")];
    let size = prop_oneof![Just("null"), Just("\"0.5\""), Just("\"2.125\"")];
    let maker = (
        0u32..2_000,
        0u32..500,
        0u32..2_000,
        source,
        name,
        size,
        1u32..4,
        0u64..50,
    )
        .prop_map(|(half, requote, skew, source, name, qty, max, retry)| {
            format!(
                r#"{{"half_spread_cbps": {half}, "requote_cbps": {requote}, "skew_cbps": {skew},
                    "source": "{source}", "instrument": {name}, "qty": {qty}, "max_position": {max},
                    "retry_ms": {retry}}}"#
            )
        });
    let one = prop_oneof![
        ema.prop_map(|params| super::ema("", &params)),
        maker.prop_map(|params| super::market_maker("", &params)),
    ];
    prop::collection::vec(one, 1..=2).prop_map(|mut strategies| {
        for (place, strategy) in strategies.iter_mut().enumerate() {
            strategy.id = format!("s{place}");
        }
        strategies
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let rarely = |range: core::ops::Range<i64>| {
        prop::option::weighted(0.2, range.prop_map(|n| Decimal::new(n, 1)))
    };
    let count = |range: core::ops::Range<u32>| prop::option::weighted(0.2, range);
    (
        (
            rarely(1..30),
            rarely(1..3_000),
            rarely(1..100),
            rarely(100..20_000),
            rarely(0..50),
        ),
        (count(0..4), count(0..6), count(0..3)),
    )
        .prop_map(|(amounts, counts)| Limits {
            max_order_qty: amounts.0,
            max_order_notional: amounts.1,
            max_position: amounts.2,
            max_gross_notional: amounts.3,
            max_daily_loss: amounts.4,
            max_open_orders: counts.0,
            max_orders_per_second: counts.1,
            max_open_positions: counts.2,
        })
}

fn config() -> impl Strategy<Value = SessionConfig> {
    let venue = || {
        let latency = prop_oneof![Just(0u64), 1u64..5_000, Just(2_000_000)];
        let rejects = prop_oneof![3 => Just(0u32), 1 => 0..400_000u32];
        let unknowns = prop_oneof![5 => Just(0u32), 1 => 0..200_000u32];
        let queue = prop_oneof![
            Just((QueueModel::RiskAverse, 2)),
            (1u8..=3).prop_map(|exponent| (QueueModel::PowerProbability, exponent)),
        ];
        (latency, rejects, unknowns, 0u64..20, queue).prop_map(
            |(latency_us, reject_per_million, unknown_per_million, unknown_ms, queue)| {
                PaperVenueConfig {
                    latency_us,
                    queue: queue.0,
                    queue_exponent: queue.1,
                    reject_per_million,
                    unknown_per_million,
                    unknown_ms,
                }
            },
        )
    };
    let free = || prop_oneof![5 => Just(Limits::default()), 1 => limits()];
    (
        (any::<u64>(), 0u64..40, venue(), venue()),
        (free(), free(), free(), free()),
        (
            0u64..3,
            prop_oneof![4 => Just(10_000u64), 1 => Just(100)],
            strategies(),
        ),
    )
        .prop_map(|(base, scopes, rest)| {
            let mut config = SessionConfig {
                seed: base.0,
                state_hash_every: base.1,
                strategies: rest.2,
                ..SessionConfig::default()
            };
            config.paper.default = base.2;
            config.paper.venues.insert("other".into(), base.3);
            config.risk.total = scopes.0;
            config.risk.each_strategy = scopes.1;
            config.risk.venues.insert("other".into(), scopes.2);
            config.risk.instruments.insert("paper:X".into(), scopes.3);
            config.risk.duplicate_window_ms = rest.0 * 5;
            config.risk.max_data_age_ms = rest.1;
            config
        })
}

/// A random session; `reports` says whether venues report on their own too.
pub(crate) fn world(reports: bool) -> impl Strategy<Value = World> {
    let pause = prop_oneof![
        12 => 0i64..2_000_000,
        4 => Just(0i64),
        1 => -2_000_000i64..0,
        1 => 0i64..3_000_000_000,
        1 => prop_oneof![9 => 0i64..60_000_000_000, 1 => Just(DAY_NS as i64)],
    ];
    let happenings = prop::collection::vec((pause, happening(reports)), 50..500);
    (config(), happenings).prop_map(|(config, happenings)| World { config, happenings })
}

impl World {
    /// Lets it all happen.
    pub(crate) fn run(&self) -> Sequencer<MemorySink> {
        let mut run = Run {
            sequencer: Sequencer::new(MemorySink::default()),
            clock: NOON,
            instruments: INSTRUMENTS,
            inputs: 0,
        };
        run.input(&Event::SessionStart(Box::new(SessionStart {
            engine_version: "test".into(),
            logic_hash: "test".into(),
            config: self.config.clone(),
        })));
        run.input(&Event::DataSource(Box::new(DataSource {
            name: "world".into(),
            format: "generated".into(),
            identity: "1".into(),
            generated: true,
        })));
        for (id, venue, symbol) in [(0, "paper", "X"), (1, "other", "Y")] {
            run.input(&instrument(id, venue, symbol));
            run.input(&Event::TradingRules(rules(id)));
            run.input(&Event::FeeSchedule(Box::new(fees(id, 200, 1_000))));
        }
        for (pause, happening) in &self.happenings {
            run.clock = run.clock.saturating_add_signed(*pause);
            run.happen(happening);
        }
        let inputs = run.inputs;
        run.input(&Event::SessionEnd(SessionEnd { inputs }));
        run.sequencer
    }
}

struct Run {
    sequencer: Sequencer<MemorySink>,
    clock: u64,
    instruments: u32,
    inputs: u64,
}

impl Run {
    fn input(&mut self, event: &Event<'_>) {
        self.inputs += u64::from(event.kind() != onetape_engine::event::Kind::SessionStart);
        self.sequencer
            .step(Nanos(self.clock), event.kind().number(), &encoded(event))
            .unwrap();
    }

    fn update(&mut self, whole: bool, id: u32, bids: &[Level], asks: &[Level], gap: bool) {
        let book_id = self.sequencer.market().instruments()[id as usize].book_last_id();
        let header = BookHeader {
            instrument: InstrumentId(id),
            bids: bids.len() as u32,
            asks: asks.len() as u32,
            last_id: book_id + 1,
            previous_id: if whole { 0 } else { book_id + u64::from(gap) },
            ..BookHeader::default()
        };
        let update = BookUpdate {
            header: &header,
            bids,
            asks,
        };
        self.input(&if whole {
            Event::BookSnapshot(update)
        } else {
            Event::BookDelta(update)
        });
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Quote {
                id,
                bid,
                spread,
                qty,
            } => self.input(&Event::Quote(&Quote {
                instrument: InstrumentId(*id),
                bid_price: Price(*bid),
                bid_qty: Qty(*qty),
                ask_price: Price(bid + spread),
                ask_qty: Qty(5_000 - qty),
                ..Quote::default()
            })),
            Happening::Trade {
                id,
                price,
                qty,
                aggressor,
            } => {
                // Half of the trades are where an order of ours may rest, or queues would hardly matter.
                let id = InstrumentId(*id);
                let mut ours = self.sequencer.desk().orders().iter();
                let rests = ours.find(|order| order.instrument == id && order.price.0 > 0);
                let at_ours = rests.filter(|_| qty % 2 == 0).map(|order| order.price);
                self.input(&Event::Trade(&Trade {
                    instrument: id,
                    aggressor: *aggressor,
                    price: at_ours.unwrap_or(Price(*price)),
                    qty: Qty(*qty),
                    ..Trade::default()
                }));
            }
            Happening::Snapshot {
                id,
                levels,
                asks_from,
            } => {
                let (bids, asks) = levels.split_at(levels.len() / 2);
                let bids: Vec<Level> = bids
                    .iter()
                    .map(|(off, qty)| level(MID - off, *qty))
                    .collect();
                let asks: Vec<Level> = asks
                    .iter()
                    .map(|(off, qty)| level(MID + asks_from + off, *qty))
                    .collect();
                self.update(true, *id, &bids, &asks, false);
            }
            Happening::Delta {
                id,
                buy,
                price,
                qty,
                gap,
            } => {
                // Mostly on its own side of the other best price, or nearly every book would be crossed.
                let top = self.sequencer.market().instruments()[*id as usize]
                    .top()
                    .unwrap_or_default();
                let price = match buy {
                    true if top.ask.qty.0 > 0 && !gap => {
                        (*price).min(top.ask.price.0 - 1 - price % 3)
                    }
                    false if top.bid.qty.0 > 0 && !gap => {
                        (*price).max(top.bid.price.0 + 1 + price % 3)
                    }
                    _ => *price,
                };
                let change = [level(price, *qty)];
                let (bids, asks): (&[Level], &[Level]) =
                    if *buy { (&change, &[]) } else { (&[], &change) };
                self.update(false, *id, bids, asks, *gap);
            }
            Happening::Feed {
                id,
                feed,
                condition,
            } => {
                self.input(&Event::FeedState(Box::new(FeedState {
                    instrument: InstrumentId(*id),
                    feed: *feed,
                    condition: condition.clone(),
                })));
            }
            Happening::Status { id, status } => self.input(&Event::MarketStatus(MarketStatus {
                instrument: InstrumentId(*id),
                status: *status,
            })),
            Happening::Resolution { id, price } => self.input(&Event::Resolution(Resolution {
                instrument: InstrumentId(*id),
                settlement_price: Price(*price),
            })),
            Happening::Rules {
                id,
                tick,
                lot,
                later_ns,
            } => {
                let mut rules = rules(*id);
                (rules.tick_size, rules.lot_size) = (Price(*tick), Qty(*lot));
                rules.effective_from = Nanos(self.clock + later_ns);
                self.input(&Event::TradingRules(rules));
            }
            Happening::Fees {
                id,
                maker,
                taker,
                later_ns,
            } => {
                let mut fees = fees(*id, *maker, *taker);
                fees.effective_from = Nanos(self.clock + later_ns);
                self.input(&Event::FeeSchedule(Box::new(fees)));
            }
            Happening::Heartbeat => self.input(&Event::Heartbeat(Heartbeat {})),
            Happening::Operator { halt } => {
                let action = if *halt {
                    OperatorAction::Halt
                } else {
                    OperatorAction::Resume
                };
                let note = "because".to_owned();
                self.input(&Event::OperatorCommand(Box::new(OperatorCommand {
                    action,
                    note,
                })));
            }
            Happening::Define => {
                self.input(&instrument(
                    self.instruments,
                    "third",
                    &format!("Z{}", self.instruments),
                ));
                self.instruments += 1;
            }
            Happening::Report { which, state, fill } => {
                let orders = self.sequencer.desk().orders();
                let order = orders
                    .iter()
                    .nth(which % orders.len().max(1))
                    .map(|o| (o.id, o.instrument));
                let (order, instrument) = order.unwrap_or((OrderId(1), InstrumentId(0)));
                let fill = fill.map(|(id, qty)| Fill {
                    // Apart from the paper venue's own numbers.
                    fill_id: (1 << 40) + id,
                    price: Price(MID),
                    qty: Qty(qty),
                    fee: Money(17),
                    liquidity: if id % 2 == 0 {
                        Liquidity::Maker
                    } else {
                        Liquidity::Taker
                    },
                });
                self.input(&Event::ExecutionReport(ExecutionReport {
                    cause: Sequence(0),
                    order,
                    instrument,
                    state: OrderState::ALL[*state],
                    fill,
                    reason: None,
                }));
            }
        }
    }
}
