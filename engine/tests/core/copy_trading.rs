//! Copy trading in the real sequencer with the real paper venue: a day by hand, and every trap that copiers fall into
//! (requirements, five systems, 6.3 to 6.5).
use crate::common::{Kept, MS, NOON, Rig, decoded, frame};
use onetape_engine::event::{
    ContractTerms, Event, FeeSchedule, Holding, InstrumentDefined, InstrumentType, LeaderListed,
    LeaderPortfolio, LeaderTrade, Liquidity, MarketStatus, OperatorAction, OperatorCommand,
    Resolution, TradingRules, TradingStatus,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::{InstrumentId, StrategyId};
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::order::{OrderState, Side};
use onetape_engine::sequencer::{MemorySink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::Nanos;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const S: u64 = 1_000 * MS;
const YES: u32 = 0;
const NO: u32 = 1;
const LEADER: &str = "0x1111111111111111111111111111111111111111";
const OTHER: &str = "0x2222222222222222222222222222222222222222";
const D: Decimals = Decimals { price: 3, qty: 2 };

/// A day: the YES and NO tokens of one market and a third token of another, .400 bid and .405 asked with 1,000 shares
/// each, tick .001, lot .01, at least 1 share and 1 USD an order; taker fee .04 x p(1-p) cut to 5 decimals (Polymarket
/// docs, fees); 800 ms of latency. One leader with 78 of 120 trades won, worth 10,000 USD.
struct Day {
    rig: Rig,
}

fn rules(id: u32, tick: i64) -> TradingRules {
    TradingRules {
        instrument: InstrumentId(id),
        effective_from: Nanos(0),
        tick_size: Price(tick),
        lot_size: Qty(1),
        min_qty: Qty(100),
        min_notional: Money(1_000_000_000_000_000_000),
        min_price: Price(tick),
        max_price: Price(1_000 - tick),
        bands: Vec::new(),
        allows_short: false,
    }
}

fn config(params: &str, latency_ms: u64) -> SessionConfig {
    let mut json = serde_json::Deserializer::from_str(params);
    let params = StrategyParams::read("copy_trading", &mut json)
        .unwrap()
        .unwrap();
    let mut config = SessionConfig {
        strategies: vec![StrategyConfig {
            id: "copy".into(),
            params,
        }],
        ..SessionConfig::default()
    };
    let mut venue = config.paper.for_venue("polymarket");
    venue.latency_us = latency_ms * 1_000;
    config.paper.venues.insert("polymarket".into(), venue);
    config.risk.max_data_age_ms = 86_400_000;
    config
}

/// Quotes do not age in these days unless a test says so.
const QUIET: &str = r#""max_quote_age_ms": 86400000, "max_portfolio_age_ms": 86400000"#;

impl Day {
    fn new() -> Self {
        Self::with("", 800)
    }

    /// `params` are added to those of every day: `"name": value, `.
    fn with(params: &str, latency_ms: u64) -> Self {
        let params = format!("{{{params}{QUIET}}}");
        let mut day = Day {
            rig: Rig::bare(config(&params, latency_ms)),
        };
        for (id, symbol, event) in [(YES, "YES", "E"), (NO, "NO", "E"), (2, "THIRD", "F")] {
            day.define(id, symbol, event);
        }
        day.list(NOON, LEADER, true);
        day.portfolio(NOON, LEADER, 10_000, &[]);
        for id in 0..3 {
            day.rig.quote_of(NOON, id, (400, 100_000), (405, 100_000));
        }
        day
    }

    fn define(&mut self, id: u32, symbol: &str, event: &str) {
        let instrument = InstrumentId(id);
        let defined = InstrumentDefined {
            instrument,
            venue: "polymarket".into(),
            symbol: symbol.into(),
            instrument_type: InstrumentType::Binary,
            base: symbol.into(),
            quote: "USDC".into(),
            decimals: D,
        };
        self.at(NOON, &Event::InstrumentDefined(Box::new(defined)));
        self.at(NOON, &Event::TradingRules(rules(id, 1)));
        let fees = FeeSchedule {
            instrument,
            effective_from: Nanos(0),
            maker: FeeFormula::probability(Decimal::ZERO),
            taker: FeeFormula::probability(Decimal::new(4, 2)),
            rounding: Rounding {
                decimals: 5,
                mode: RoundingMode::Down,
            },
            source: "test".into(),
            accrual: FeeAccrual::PerFill,
        };
        self.at(NOON, &Event::FeeSchedule(Box::new(fees)));
        let terms = ContractTerms {
            instrument,
            event: event.into(),
            cluster: "test".into(),
            closes_at: Nanos(NOON + 48 * 3_600 * S),
            settles_at: Nanos(NOON + 48 * 3_600 * S),
            rules_hash: "r".into(),
            temperature: None,
        };
        self.at(NOON, &Event::ContractTerms(Box::new(terms)));
    }

    fn at(&mut self, at: u64, event: &Event<'_>) {
        self.rig.input(at, event);
    }

    /// Lets time pass.
    fn until(&mut self, at: u64) {
        self.rig.heartbeat(at);
    }

    fn list(&mut self, at: u64, wallet: &str, active: bool) {
        let listed = LeaderListed {
            wallet: wallet.into(),
            active,
            sample_trades: 120,
            winning_trades: 78,
            profit_usd: Decimal::new(14_400, 0),
            typical_usd: Decimal::new(100, 0),
        };
        self.at(at, &Event::LeaderListed(Box::new(listed)));
    }

    fn portfolio(&mut self, at: u64, wallet: &str, usd: i64, holdings: &[(u32, i64)]) {
        let told = LeaderPortfolio {
            wallet: wallet.into(),
            value_usd: Decimal::new(usd, 0),
            holdings: holdings
                .iter()
                .map(|(id, qty)| Holding {
                    instrument: InstrumentId(*id),
                    qty: Qty(*qty),
                })
                .collect(),
            taken_at: Nanos(at),
        };
        self.at(at, &Event::LeaderPortfolio(Box::new(told)));
    }

    fn row(&mut self, at: u64, row: &LeaderTrade) {
        self.at(at, &Event::LeaderTrade(Box::new(row.clone())));
    }

    /// The leader's golden buy, 200 at .400 ($80), seen ten seconds after it was made; the window ends 2 s later.
    fn golden_buy(&mut self, at: u64) {
        self.row(at, &buy("0xa1", at - 10 * S, 400, 20_000));
    }

    /// As far as the golden position: 19.75 at .405 for 8 USD, filled at 63 s.
    fn golden_position(&mut self) {
        self.golden_buy(NOON + 60 * S);
        self.until(NOON + 63 * S);
        assert_eq!(self.held(YES), 1_975);
    }

    fn held(&self, id: u32) -> i64 {
        let ledger = self.rig.sequencer.desk().ledger();
        let position = ledger.position(StrategyId(0), InstrumentId(id));
        position.map_or(0, |position| position.qty.0)
    }

    /// Seconds after noon, side, price and quantity of every order.
    fn orders(&self) -> Vec<(u64, Side, i64, i64)> {
        let order = |(at, event): (u64, Event<'_>)| match event {
            Event::OrderDecided(o) => Some(((at - NOON) / S, o.side, o.price.0, o.qty.0)),
            _ => None,
        };
        self.rig.events().into_iter().filter_map(order).collect()
    }

    fn cancels(&self) -> usize {
        let is_cancel = |(_, event): &(u64, Event<'_>)| matches!(event, Event::CancelDecided(_));
        self.rig
            .events()
            .iter()
            .filter(|event| is_cancel(event))
            .count()
    }

    /// What last stopped a candidate, with value and limit.
    fn gate(&self, candidate: u32) -> Option<(String, Decimal, Decimal)> {
        let mut last = None;
        for (_, event) in self.rig.events() {
            if let Event::GateChanged(change) = event
                && change.candidate == candidate
            {
                last = change
                    .gate
                    .map(|gate| (gate.into_owned(), change.value, change.limit));
            }
        }
        last
    }

    fn stopped_by(&self, candidate: u32) -> String {
        self.gate(candidate)
            .map_or_else(String::new, |(gate, _, _)| gate)
    }
}

fn trade(tx: &str, at: u64, side: Side, price: i64, qty: i64) -> LeaderTrade {
    LeaderTrade {
        wallet: LEADER.into(),
        instrument: InstrumentId(YES),
        side,
        price: Price(price),
        qty: Qty(qty),
        transaction: tx.into(),
        liquidity: Liquidity::Taker,
        traded_at: Nanos(at),
        occurrence: 0,
    }
}

fn buy(tx: &str, at: u64, price: i64, qty: i64) -> LeaderTrade {
    trade(tx, at, Side::Buy, price, qty)
}

fn sell(tx: &str, at: u64, price: i64, qty: i64) -> LeaderTrade {
    trade(tx, at, Side::Sell, price, qty)
}

fn money(text: &str) -> Money {
    Money::from_decimal(text.parse().unwrap()).unwrap()
}

/// By hand. The leader buys 200 at .400: $80 of 10,000, w = .008; of our 1,000 that is 8 USD; the ask of .405 slips 1.25 %.
/// 8 / .405 = 19.75 shares, cost 7.99875, fee .04 x .405 x .595 x 19.75 = .19037025, cut to .19037.
/// He sells 50 of 200 at .42: we sell a quarter of 19.75, 4.93, at the bid of .42: 2.0706, fee .04 x .42 x .58 x 4.93 =
/// .04803792, cut to .04803; gained 4.93 x .015 = .07395. The bid comes to .51, above the target of .50625: 14.82 go for
/// 7.5582, fee .04 x .51 x .49 x 14.82 = .14814072, cut to .14814; gained 14.82 x .105 = 1.5561.
/// In all 1.63005 gained, .38654 paid in fees: 1.24351.
#[test]
fn a_day_by_hand_entry_mirrored_sell_and_target() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.until(NOON + 70 * S);
    let ledger = |day: &Day| {
        let ledger = day.rig.sequencer.desk().ledger();
        *ledger.position(StrategyId(0), InstrumentId(YES)).unwrap()
    };
    assert_eq!(ledger(&day).cost, money("7.99875"));
    assert_eq!(ledger(&day).fees, money("0.19037"));

    day.rig
        .quote_of(NOON + 600 * S, YES, (420, 50_000), (425, 50_000));
    day.row(NOON + 600 * S, &sell("0xa2", NOON + 595 * S, 420, 5_000));
    day.until(NOON + 610 * S);
    assert_eq!(ledger(&day).qty, Qty(1_482));
    assert_eq!(ledger(&day).realised, money("0.07395"));

    day.rig
        .quote_of(NOON + 3_600 * S, YES, (510, 50_000), (515, 50_000));
    day.until(NOON + 3_610 * S);
    let end = ledger(&day);
    assert_eq!((end.qty, end.cost), (Qty(0), Money::ZERO));
    assert_eq!(
        (end.realised, end.fees),
        (money("1.63005"), money("0.38654"))
    );
    assert_eq!(
        day.rig.sequencer.desk().ledger().cash()[0].balance,
        money("1.24351")
    );
    assert_eq!(
        day.orders(),
        [
            (62, Side::Buy, 405, 1_975),
            (602, Side::Sell, 412, 493),
            (3_600, Side::Sell, 500, 1_482),
        ]
    );
    assert_eq!(day.gate(0), None, "nothing stopped the entry");
}

/// 0.7 of confidence: this leader has .951, see the formula; with ten trades that earned nothing he would have .481.
#[test]
fn a_leader_without_a_record_is_not_believed() {
    let mut day = Day::new();
    let listed = LeaderListed {
        wallet: LEADER.into(),
        active: true,
        sample_trades: 10,
        winning_trades: 5,
        profit_usd: Decimal::ZERO,
        typical_usd: Decimal::new(100, 0),
    };
    day.at(NOON + S, &Event::LeaderListed(Box::new(listed)));
    day.golden_buy(NOON + 60 * S);
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(
        day.gate(0),
        Some((
            "confidence".into(),
            Decimal::new(481, 3),
            Decimal::new(7, 1)
        ))
    );
}

#[test]
fn a_price_that_is_gone_is_not_chased() {
    let mut day = Day::new();
    day.rig
        .quote_of(NOON + 61 * S, YES, (405, 100_000), (410, 100_000));
    day.golden_buy(NOON + 61 * S);
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(
        day.gate(0),
        Some(("slippage".into(), Decimal::new(25, 3), Decimal::new(2, 2)))
    );
}

#[test]
fn a_stale_trade_is_not_copied_but_counts_for_what_the_leader_holds() {
    let mut day = Day::new();
    day.row(NOON + 400 * S, &buy("0xa1", NOON + 98 * S, 400, 20_000));
    day.until(NOON + 410 * S);
    assert_eq!(day.orders(), []);
    let limit = Decimal::new(300_000, 0);
    assert_eq!(
        day.gate(0),
        Some(("trade_age_ms".into(), Decimal::new(302_000, 0), limit))
    );
    // He holds 200 + 200: selling 100 is a quarter.
    day.row(NOON + 420 * S, &buy("0xa2", NOON + 419 * S, 400, 20_000));
    day.until(NOON + 430 * S);
    day.row(NOON + 440 * S, &sell("0xa3", NOON + 439 * S, 400, 10_000));
    day.until(NOON + 450 * S);
    assert_eq!(day.held(YES), 1_975 - 493);
}

/// Two rows of one window, 100 at .398 and 100 at .402: .400 on average, one order.
#[test]
fn a_leader_who_splits_his_order_is_copied_once_at_his_average() {
    let mut day = Day::new();
    day.row(NOON + 60 * S, &buy("0xa1", NOON + 50 * S, 398, 10_000));
    day.row(NOON + 61 * S, &buy("0xa2", NOON + 51 * S, 402, 10_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), [(62, Side::Buy, 405, 1_975)]);
}

#[test]
fn a_leader_who_rests_orders_is_copied_and_both_views_of_a_match_count_once() {
    let made = LeaderTrade {
        liquidity: Liquidity::Maker,
        ..buy("0xa1", NOON + 50 * S, 400, 20_000)
    };
    let mut day = Day::new();
    day.row(NOON + 60 * S, &made);
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), [(62, Side::Buy, 405, 1_975)]);

    let mut both = Day::new();
    both.row(NOON + 60 * S, &made);
    both.golden_buy(NOON + 60 * S);
    both.until(NOON + 70 * S);
    assert_eq!(both.orders(), day.orders());
}

#[test]
fn a_repeated_page_copies_nothing_again_not_even_after_a_restart() {
    let mut day = Day::new();
    day.golden_position();
    day.row(NOON + 75 * S, &buy("0xa1", NOON + 50 * S, 400, 20_000));
    day.until(NOON + 80 * S);
    let snapshot = day.rig.sequencer.snapshot().unwrap();
    let restored = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
    day.rig.sequencer = restored;
    // Past the wallet's five minutes, so that nothing but the memory of the row is in the way.
    day.row(NOON + 340 * S, &buy("0xa1", NOON + 50 * S, 400, 20_000));
    day.until(NOON + 350 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(day.held(YES), 1_975);
    day.row(NOON + 370 * S, &buy("0xa9", NOON + 360 * S, 400, 20_000));
    day.until(NOON + 380 * S);
    assert_eq!(day.orders().len(), 1, "a new row is copied");
}

#[test]
fn a_leader_who_sells_within_the_window_is_not_copied() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.row(NOON + 61 * S, &sell("0xa2", NOON + 51 * S, 400, 1_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(
        day.gate(0),
        Some(("leader_sold".into(), Decimal::TEN, Decimal::ZERO))
    );
}

/// He sells half while our order is on its way: it is cancelled, too late (it fills first), and half of it is sold.
#[test]
fn a_leader_who_sells_before_our_fill_is_followed_out() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.row(
        NOON + 62_300 * MS,
        &sell("0xa2", NOON + 62 * S, 400, 10_000),
    );
    day.until(NOON + 70 * S);
    assert_eq!(day.cancels(), 1);
    assert_eq!(day.orders()[1..], [(64, Side::Sell, 392, 987)]);
    assert_eq!(day.held(YES), 1_975 - 987);
}

/// With 5 s of latency his window ends before our fill: of the 19.75 that fill then, half is kept, 9.87, the rest sold.
#[test]
fn what_fills_after_the_leader_sold_is_cut_like_the_rest() {
    let mut day = Day::with("", 5_000);
    day.golden_buy(NOON + 60 * S);
    day.row(
        NOON + 62_300 * MS,
        &sell("0xa2", NOON + 62 * S, 400, 10_000),
    );
    day.until(NOON + 80 * S);
    assert_eq!(day.orders()[1..], [(67, Side::Sell, 392, 988)]);
    assert_eq!(day.held(YES), 987);
}

/// The book is thinner when our order arrives: 5 fill, the rest stands in the book. He sells everything: the rest is
/// cancelled and the 5 are sold.
#[test]
fn a_partial_fill_and_then_the_leader_sells() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.rig
        .quote_of(NOON + 62_500 * MS, YES, (400, 100_000), (405, 500));
    day.until(NOON + 63 * S);
    assert_eq!(day.held(YES), 500);
    day.row(NOON + 64 * S, &sell("0xa2", NOON + 63 * S, 400, 20_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.cancels(), 1);
    assert_eq!(day.orders()[1..], [(66, Side::Sell, 392, 500)]);
    assert_eq!(day.held(YES), 0);
    assert!(day.rig.sequencer.desk().orders().is_empty());
}

#[test]
fn an_entry_that_does_not_fill_is_taken_back_after_its_rest() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.rig
        .quote_of(NOON + 62_500 * MS, YES, (400, 100_000), (407, 100_000));
    day.until(NOON + 71 * S);
    assert_eq!(day.rig.sequencer.desk().orders().len(), 1);
    day.until(NOON + 73 * S);
    assert_eq!((day.cancels(), day.held(YES)), (1, 0));
    assert!(day.rig.sequencer.desk().orders().is_empty());
}

#[test]
fn a_market_that_resolves_while_an_entry_rests_pays_out_what_was_filled() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.rig
        .quote_of(NOON + 62_500 * MS, YES, (400, 100_000), (405, 500));
    day.until(NOON + 63 * S);
    let resolution = Resolution {
        instrument: InstrumentId(YES),
        settlement_price: Price(1_000),
    };
    day.at(NOON + 64 * S, &Event::Resolution(resolution));
    day.row(NOON + 65 * S, &sell("0xa2", NOON + 63 * S, 400, 20_000));
    day.until(NOON + 90_000 * S);
    assert_eq!(day.orders().len(), 1, "nothing is sold that was paid out");
    assert!(day.rig.sequencer.desk().orders().is_empty());
    // 5 x (1 - .405), less the fee .04 x .405 x .595 x 5 = .048195, cut to .04819.
    let cash = day.rig.sequencer.desk().ledger().cash()[0].balance;
    assert_eq!(cash, money("2.92681"));
    day.portfolio(NOON + 90_000 * S, LEADER, 10_000, &[]);
    day.row(
        NOON + 90_001 * S,
        &buy("0xa3", NOON + 90_000 * S, 400, 20_000),
    );
    day.until(NOON + 90_010 * S);
    assert_eq!(day.stopped_by(0), "market_open");
}

#[test]
fn a_halted_market_takes_its_entry_back() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.rig
        .quote_of(NOON + 62_500 * MS, YES, (400, 100_000), (407, 100_000));
    day.until(NOON + 63 * S);
    let halted = MarketStatus {
        instrument: InstrumentId(YES),
        status: TradingStatus::Halted,
    };
    day.at(NOON + 64 * S, &Event::MarketStatus(halted));
    day.until(NOON + 66 * S);
    assert_eq!(day.cancels(), 1);
    assert!(day.rig.sequencer.desk().orders().is_empty());
}

/// $8 of 10,000 is 80 cents of ours; the venue's smallest order is 1 USD: skipped, and not rounded up.
#[test]
fn below_the_venues_minimum_nothing_is_bought() {
    let mut day = Day::new();
    day.row(NOON + 60 * S, &buy("0xa1", NOON + 50 * S, 400, 2_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(day.gate(0).unwrap().0, "rule_usd");
    assert_eq!(day.gate(0).unwrap().1, Decimal::new(8, 1));
}

#[test]
fn leaders_sells_of_what_we_do_not_hold_sell_nothing() {
    let mut day = Day::new();
    day.portfolio(NOON + S, LEADER, 10_000, &[(YES, 50_000)]);
    day.row(NOON + 60 * S, &sell("0xa1", NOON + 50 * S, 400, 20_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.orders(), []);
    assert_eq!(
        day.gate(1),
        Some(("exit_held".into(), Decimal::ZERO, Decimal::ONE))
    );
}

#[test]
fn a_sell_from_before_the_buy_that_we_followed_is_no_news() {
    let mut day = Day::new();
    day.golden_position();
    day.row(NOON + 65 * S, &sell("0xa0", NOON + 40 * S, 400, 20_000));
    day.until(NOON + 70 * S);
    assert_eq!(day.held(YES), 1_975);
    assert_eq!(day.stopped_by(1), "exit_before_entry_ms");
}

/// A dropped leader's resting entry is taken back, his new trades are not copied, and his sells are still followed.
#[test]
fn a_dropped_leader_is_followed_out_but_not_in() {
    let mut day = Day::new();
    day.golden_buy(NOON + 60 * S);
    day.rig
        .quote_of(NOON + 62_500 * MS, YES, (400, 100_000), (405, 500));
    day.until(NOON + 63 * S);
    day.list(NOON + 64 * S, LEADER, false);
    day.until(NOON + 66 * S);
    assert_eq!((day.cancels(), day.held(YES)), (1, 500));
    day.row(NOON + 70 * S, &buy("0xa2", NOON + 69 * S, 400, 20_000));
    day.until(NOON + 73 * S);
    assert_eq!(day.stopped_by(0), "leader_listed");
    day.row(NOON + 80 * S, &sell("0xa3", NOON + 79 * S, 400, 40_000));
    day.until(NOON + 85 * S);
    assert_eq!(day.held(YES), 0);
}

#[test]
fn copies_of_a_wallet_keep_five_minutes_apart() {
    let mut day = Day::new();
    day.golden_position();
    let third = LeaderTrade {
        instrument: InstrumentId(2),
        ..buy("0xa2", NOON + 90 * S, 400, 20_000)
    };
    day.row(NOON + 100 * S, &third);
    day.until(NOON + 110 * S);
    let gate = (
        "wallet_gap_ms".into(),
        Decimal::new(40_000, 0),
        Decimal::new(300_000, 0),
    );
    assert_eq!(day.gate(2), Some(gate));
    // Another wallet may: its portfolio and record are its own.
    day.list(NOON + 110 * S, OTHER, true);
    day.portfolio(NOON + 110 * S, OTHER, 10_000, &[]);
    day.row(
        NOON + 120 * S,
        &LeaderTrade {
            wallet: OTHER.to_uppercase(),
            transaction: "0xa3".into(),
            ..third
        },
    );
    day.until(NOON + 130 * S);
    // Of 999.71 by then: the fee and the distance to the bid are lost. 7.9977 buys 19.74.
    assert_eq!(day.held(2), 1_974);
}

#[test]
fn an_hours_copies_are_limited() {
    let mut day = Day::with(r#""max_copies": 1, "wallet_gap_ms": 0, "#, 800);
    day.golden_position();
    let third = LeaderTrade {
        instrument: InstrumentId(2),
        ..buy("0xa2", NOON + 90 * S, 400, 20_000)
    };
    day.row(NOON + 100 * S, &third);
    day.until(NOON + 110 * S);
    assert_eq!(
        day.gate(2),
        Some(("copies_before".into(), Decimal::ONE, Decimal::ZERO))
    );
}

/// Held 19.75 at .405 and the bid falls to .350: 1.08625 and the fee of .19037 are lost, above the limit of 1. No entry
/// any more, and the mirrored sell goes out.
#[test]
fn a_lost_day_stops_entries_and_no_exit() {
    let mut day = Day::with(r#""max_day_loss_usd": 1, "wallet_gap_ms": 0, "#, 800);
    day.golden_position();
    day.rig
        .quote_of(NOON + 100 * S, YES, (350, 100_000), (400, 100_000));
    let third = LeaderTrade {
        instrument: InstrumentId(2),
        ..buy("0xa2", NOON + 90 * S, 400, 20_000)
    };
    day.row(NOON + 100 * S, &third);
    day.until(NOON + 110 * S);
    let gate = (
        "day_loss_usd".into(),
        Decimal::new(127_662, 5),
        Decimal::ONE,
    );
    assert_eq!(day.gate(2), Some(gate));
    day.row(NOON + 120 * S, &sell("0xa3", NOON + 119 * S, 350, 20_000));
    day.until(NOON + 130 * S);
    assert_eq!(day.held(YES), 0);
}

/// .85 x .405 = .34425: a bid of .344 sells everything, and one of .10 after a gap too, at what there is.
#[test]
fn the_stop_sells_at_bad_prices_too() {
    let mut day = Day::new();
    day.golden_position();
    day.rig
        .quote_of(NOON + 100 * S, YES, (345, 100_000), (400, 100_000));
    day.until(NOON + 110 * S);
    assert_eq!(day.held(YES), 1_975);
    day.rig
        .quote_of(NOON + 120 * S, YES, (100, 100_000), (400, 100_000));
    day.until(NOON + 130 * S);
    assert_eq!(day.orders()[1..], [(120, Side::Sell, 98, 1_975)]);
    assert_eq!(day.held(YES), 0);
}

/// 5 shares stand at the bid: they are sold, and the rest when more come.
#[test]
fn an_exit_that_fills_in_part_goes_on() {
    let mut day = Day::new();
    day.golden_position();
    day.rig
        .quote_of(NOON + 100 * S, YES, (300, 500), (400, 100_000));
    day.until(NOON + 101 * S);
    assert_eq!(day.held(YES), 1_475);
    day.rig
        .quote_of(NOON + 150 * S, YES, (290, 100_000), (400, 100_000));
    day.until(NOON + 160 * S);
    assert_eq!(day.held(YES), 0);
}

#[test]
fn what_is_held_for_a_day_is_sold() {
    let mut day = Day::new();
    day.golden_position();
    let opened = NOON + 62_800 * MS;
    day.until(opened + 86_400 * S - 1);
    assert_eq!(day.held(YES), 1_975);
    day.until(opened + 86_401 * S);
    assert_eq!(day.held(YES), 0);
}

/// A token without a bid can not be sold; the gate says so, and the first bid takes it.
#[test]
fn an_exit_waits_for_a_bid() {
    let mut day = Day::new();
    day.golden_position();
    day.rig
        .quote_of(NOON + 100 * S, YES, (0, 0), (400, 100_000));
    day.row(NOON + 110 * S, &sell("0xa2", NOON + 109 * S, 300, 20_000));
    day.until(NOON + 120 * S);
    assert_eq!(day.stopped_by(1), "exit_bid");
    day.rig
        .quote_of(NOON + 130 * S, YES, (200, 100_000), (400, 100_000));
    day.until(NOON + 140 * S);
    assert_eq!(day.held(YES), 0);
}

/// Near 0 the tick is .001 and near 1 nothing is bought above .97.
#[test]
fn ticks_near_0_and_1() {
    let mut day = Day::with(r#""wallet_gap_ms": 0, "#, 800);
    day.rig
        .quote_of(NOON + 50 * S, YES, (29, 10_000_000), (30, 10_000_000));
    day.row(NOON + 60 * S, &buy("0xa1", NOON + 50 * S, 30, 300_000));
    day.until(NOON + 70 * S);
    // $90: 9 USD of ours, 300 shares.
    assert_eq!(day.orders(), [(62, Side::Buy, 30, 30_000)]);
    day.rig
        .quote_of(NOON + 80 * S, NO, (30, 10_000_000), (31, 10_000_000));
    let no = |tx: &str, at, price| LeaderTrade {
        instrument: InstrumentId(NO),
        ..buy(tx, at, price, 20_000)
    };
    day.row(
        NOON + 90 * S,
        &LeaderTrade {
            qty: Qty(300_000),
            ..no("0xa2", NOON + 85 * S, 30)
        },
    );
    day.until(NOON + 95 * S);
    assert_eq!(day.stopped_by(2), "slippage", ".031 is 3.3 % above .030");
    day.rig
        .quote_of(NOON + 100 * S, NO, (970, 100_000), (971, 100_000));
    day.row(NOON + 110 * S, &no("0xa3", NOON + 105 * S, 970));
    day.until(NOON + 115 * S);
    let gate = ("ask".into(), Decimal::new(971, 3), Decimal::new(97, 2));
    assert_eq!(day.gate(2), Some(gate));
    // The tick changes between the leader's trade and ours: the price is on the grid in force.
    day.at(
        NOON + 120 * S,
        &Event::TradingRules(TradingRules {
            effective_from: Nanos(NOON + 120 * S),
            ..rules(NO, 10)
        }),
    );
    day.rig
        .quote_of(NOON + 121 * S, NO, (390, 100_000), (400, 500));
    day.row(NOON + 130 * S, &no("0xa4", NOON + 125 * S, 405));
    day.until(NOON + 135 * S);
    assert_eq!(day.orders()[1..], [(132, Side::Buy, 400, 500)]);
}

/// One leader buys again, in the same token, the other one of its market or another market's.
#[test]
fn caps_of_position_market_and_wallet_leave_what_room_there_is() {
    let day = |cap: &str, id: u32| {
        let mut day = Day::with(&format!("{cap}\"wallet_gap_ms\": 0, "), 800);
        day.golden_position();
        let again = LeaderTrade {
            instrument: InstrumentId(id),
            ..buy("0xa2", NOON + 90 * S, 400, 20_000)
        };
        day.row(NOON + 100 * S, &again);
        day.until(NOON + 110 * S);
        let candidate = if id == YES { 0 } else { 2 };
        (day.orders()[1..].to_vec(), day.stopped_by(candidate))
    };
    // 10 - 7.99875 = 2.00125 buys 4.94 at .405.
    let cut = vec![(102, Side::Buy, 405, 494)];
    assert_eq!(
        day(r#""max_position_usd": 10, "#, YES),
        (cut.clone(), String::new())
    );
    assert_eq!(day(r#""max_market_pct": 1, "#, YES).0.len(), 1);
    assert_eq!(
        day(r#""max_wallet_pct": 0.8, "#, 2),
        (vec![], "wallet_room_usd".into())
    );
    assert_eq!(
        day(r#""max_position_usd": 8, "#, YES),
        (vec![], "position_room_usd".into())
    );
    assert_eq!(day(r#""max_market_pct": 0.8, "#, NO).0, vec![]);
    assert_eq!(
        day(r#""max_market_pct": 0.8, "#, 2).0.len(),
        1,
        "another market has its own room"
    );
}

/// 9 USD of capital, 7.99875 and .19037 of it spent: .81 is left, whatever the position gained meanwhile.
/// 19.75 at .405 are 7.99875: 88.9 % of 9 in the token, and of 1,000 in the market and the wallet nothing to speak of.
#[test]
fn a_cap_that_is_nearly_used_up_is_warned_of() {
    let mut day = Day::with(r#""max_position_usd": 9, "#, 800);
    day.golden_position();
    let token = Some("polymarket:YES".to_owned());
    let row = (
        "max_position_usd".to_owned(),
        token,
        "7.99875".to_owned(),
        "9".to_owned(),
    );
    assert_eq!(day.rig.warned(), [row]);
    let mut day = Day::new();
    day.golden_position();
    assert!(day.rig.warned().is_empty());
}

#[test]
fn what_is_spent_is_not_spent_again() {
    let params = r#""capital_usd": 9, "sizing": "fixed", "fixed_usd": 8, "wallet_gap_ms": 0, "max_market_pct": 100,
        "max_wallet_pct": 100, "#;
    let mut day = Day::with(params, 800);
    day.golden_position();
    day.rig
        .quote_of(NOON + 80 * S, YES, (450, 100_000), (455, 100_000));
    let third = LeaderTrade {
        instrument: InstrumentId(2),
        ..buy("0xa2", NOON + 90 * S, 400, 20_000)
    };
    day.row(NOON + 100 * S, &third);
    day.until(NOON + 110 * S);
    let (gate, value, limit) = day.gate(2).unwrap();
    // Of the .81088 the fee of the 2 shares that they would buy is set aside, at the dearer end of the ladder:
    // .04 x .408 x .592 x 2 = .01932288, cut to .01932.
    assert_eq!((gate.as_str(), limit), ("cash_usd", Decimal::ONE));
    assert_eq!(value, Decimal::new(79_156, 5));
}

/// Split, merge and redeem move holdings without a row: the next snapshot corrects them, and what was traded after it was
/// taken is added again.
#[test]
fn a_snapshot_corrects_what_the_leader_holds() {
    let mut day = Day::new();
    day.golden_position();
    day.row(NOON + 100 * S, &sell("0xa2", NOON + 99 * S, 400, 1_000));
    day.until(NOON + 105 * S);
    // 5 % of 19.75 is .98.
    assert_eq!(
        day.orders(),
        [(62, Side::Buy, 405, 1_975)],
        ".98 is below the venue's minimum of a share: it waits"
    );
    // Taken at 90 s: he merged 100 of his 200. The 10 that he sold at 99 s are after it: 90 are left.
    let told = LeaderPortfolio {
        wallet: LEADER.into(),
        value_usd: Decimal::new(10_000, 0),
        holdings: vec![Holding {
            instrument: InstrumentId(YES),
            qty: Qty(10_000),
        }],
        taken_at: Nanos(NOON + 90 * S),
    };
    day.at(NOON + 110 * S, &Event::LeaderPortfolio(Box::new(told)));
    // A third of 90: of our 19.75 - .98 = 18.77 that is 6.25, and the .98 goes with it.
    day.row(NOON + 120 * S, &sell("0xa3", NOON + 119 * S, 400, 3_000));
    day.until(NOON + 125 * S);
    assert_eq!(day.orders()[1..], [(122, Side::Sell, 392, 625 + 98)]);
}

/// Everything that stops entries at once, and an exit that none of it stops.
#[test]
fn no_brake_of_the_entries_stops_an_exit() {
    let params =
        r#""breaker_orders": 1, "breaker_failures": 1, "entry_rest_ms": 0, "wallet_gap_ms": 0, "#;
    let mut day = Day::with(params, 800);
    day.golden_position();
    // An entry that finds nothing opens the breaker.
    let third = |tx: &str, at| LeaderTrade {
        instrument: InstrumentId(2),
        ..buy(tx, at, 400, 20_000)
    };
    day.row(NOON + 100 * S, &third("0xa2", NOON + 99 * S));
    day.rig
        .quote_of(NOON + 102_500 * MS, 2, (400, 100_000), (500, 100_000));
    day.until(NOON + 104 * S);
    day.row(NOON + 110 * S, &third("0xa3", NOON + 109 * S));
    day.until(NOON + 113 * S);
    assert_eq!(day.stopped_by(2), "breaker_ms");
    day.list(NOON + 114 * S, LEADER, false);
    let halt = OperatorCommand {
        action: OperatorAction::Halt,
        note: "test".into(),
    };
    day.at(NOON + 115 * S, &Event::OperatorCommand(Box::new(halt)));
    day.row(NOON + 120 * S, &sell("0xa4", NOON + 119 * S, 400, 5_000));
    day.until(NOON + 130 * S);
    assert_eq!(day.held(YES), 1_975 - 493);
    day.rig
        .quote_of(NOON + 140 * S, YES, (300, 100_000), (500, 100_000));
    day.until(NOON + 150 * S);
    assert_eq!(day.held(YES), 0);
}

#[test]
fn parameters_that_can_not_work_stop_the_session_with_their_name() {
    let config = config(r#"{"sizing": "inverse_risk"}"#, 1);
    let start = onetape_engine::event::SessionStart {
        engine_version: "test".into(),
        logic_hash: "test".into(),
        config,
    };
    let mut rig = Rig {
        sequencer: Sequencer::new(MemorySink::default()),
    };
    let why = rig
        .try_input(NOON, &Event::SessionStart(Box::new(start)))
        .unwrap_err();
    assert!(why.to_string().contains("inverse_risk"), "{why}");
}

/// One thing that happens in a random day.
#[derive(Clone, Debug)]
enum Happening {
    Row {
        id: u32,
        side: Side,
        other: bool,
        tx: u8,
        maker: bool,
        price: i64,
        qty: i64,
        ago_s: u64,
        occurrence: u32,
    },
    Quote {
        id: u32,
        bid: i64,
        bid_qty: i64,
        spread: i64,
        ask_qty: i64,
    },
    Portfolio {
        other: bool,
        usd: i64,
        qty: i64,
    },
    List {
        other: bool,
        active: bool,
    },
    Status {
        id: u32,
        status: TradingStatus,
    },
    Resolve {
        id: u32,
    },
    Nothing,
}

fn happening() -> impl Strategy<Value = Happening> {
    let row = (
        (
            0u32..3,
            any::<bool>(),
            any::<bool>(),
            0u8..12,
            any::<bool>(),
        ),
        (380i64..420, 1i64..60_000, 0u64..400, 0u32..2),
    )
        .prop_map(
            |((id, buys, other, tx, maker), (price, qty, ago_s, occurrence))| {
                let side = if buys { Side::Buy } else { Side::Sell };
                Happening::Row {
                    id,
                    side,
                    other,
                    tx,
                    maker,
                    price,
                    qty,
                    ago_s,
                    occurrence,
                }
            },
        );
    let quote = (0u32..3, 300i64..520, 0i64..3_000, 1i64..8, 0i64..9_000).prop_map(
        |(id, bid, bid_qty, spread, ask_qty)| Happening::Quote {
            id,
            bid,
            bid_qty,
            spread,
            ask_qty,
        },
    );
    let near = (0u32..3, 395i64..405, 0i64..3_000, 1i64..5, 100i64..9_000).prop_map(
        |(id, bid, bid_qty, spread, ask_qty)| Happening::Quote {
            id,
            bid,
            bid_qty,
            spread,
            ask_qty,
        },
    );
    let status = prop_oneof![4 => Just(TradingStatus::Open), 1 => Just(TradingStatus::Halted)];
    prop_oneof![
        12 => row,
        4 => quote,
        12 => near,
        1 => (any::<bool>(), 500i64..20_000, 0i64..50_000)
            .prop_map(|(other, usd, qty)| Happening::Portfolio { other, usd, qty }),
        1 => (any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(other, active)| Happening::List { other, active }),
        1 => (0u32..3, status).prop_map(|(id, status)| Happening::Status { id, status }),
        1 => prop::bool::weighted(0.1).prop_map(|resolves| if resolves { Happening::Resolve { id: 2 } } else { Happening::Nothing }),
    ]
}

fn random_day(happenings: &[(u64, Happening)], unknown_per_million: u32) -> Day {
    let params = format!(
        r#"{{"wallet_gap_ms": 20000, "max_copies": 40, "min_confidence": 0.3, "max_position_usd": 30, "max_market_pct": 4,
            "max_wallet_pct": 5, "max_day_loss_usd": 20, {QUIET}}}"#
    );
    let mut config = config(&params, 800);
    let venue = config.paper.venues.get_mut("polymarket").unwrap();
    venue.unknown_per_million = unknown_per_million;
    venue.reject_per_million = 100_000;
    config.state_hash_every = 64;
    let mut day = Day {
        rig: Rig::bare(config),
    };
    for (id, symbol, event) in [(0, "YES", "E"), (1, "NO", "E"), (2, "THIRD", "F")] {
        day.define(id, symbol, event);
        day.rig.quote_of(NOON, id, (400, 100_000), (405, 100_000));
    }
    for wallet in [LEADER, OTHER] {
        day.list(NOON, wallet, true);
        day.portfolio(NOON, wallet, 4_000, &[]);
    }
    let mut now = NOON;
    let wallet = |other: bool| if other { OTHER } else { LEADER };
    for (pause_ms, happening) in happenings {
        now += pause_ms * MS;
        match happening {
            Happening::Row {
                id,
                side,
                other,
                tx,
                maker,
                price,
                qty,
                ago_s,
                occurrence,
            } => {
                let row = LeaderTrade {
                    wallet: wallet(*other).into(),
                    instrument: InstrumentId(*id),
                    liquidity: if *maker {
                        Liquidity::Maker
                    } else {
                        Liquidity::Taker
                    },
                    occurrence: *occurrence,
                    ..trade(
                        &tx.to_string(),
                        now.saturating_sub(ago_s * S),
                        *side,
                        *price,
                        *qty,
                    )
                };
                day.row(now, &row);
            }
            Happening::Quote {
                id,
                bid,
                bid_qty,
                spread,
                ask_qty,
            } => {
                day.rig
                    .quote_of(now, *id, (*bid, *bid_qty), (bid + spread, *ask_qty));
            }
            Happening::Portfolio { other, usd, qty } => {
                day.portfolio(now, wallet(*other), *usd, &[(YES, *qty), (NO, *qty)]);
            }
            Happening::List { other, active } => day.list(now, wallet(*other), *active),
            Happening::Status { id, status } => {
                let status = MarketStatus {
                    instrument: InstrumentId(*id),
                    status: *status,
                };
                day.at(now, &Event::MarketStatus(status));
            }
            Happening::Resolve { id } => {
                let settlement_price = Price(1_000);
                let resolution = Resolution {
                    instrument: InstrumentId(*id),
                    settlement_price,
                };
                day.at(now, &Event::Resolution(resolution));
            }
            Happening::Nothing => day.until(now),
        }
    }
    day.until(now + 60 * S);
    day
}

/// Follows every order on the tape: what is held, what works, and what each buy could cost at most.
fn holds_its_limits(day: &Day) -> Result<(usize, usize), TestCaseError> {
    let mut held: BTreeMap<InstrumentId, i64> = BTreeMap::new();
    let mut working: BTreeMap<u64, (InstrumentId, Side, i64, i64)> = BTreeMap::new();
    let (mut buys, mut sells) = (0, 0);
    for kept in day.rig.frames() {
        match decoded(kept) {
            Event::OrderDecided(o) => {
                let selling: i64 = working
                    .values()
                    .filter(|w| w.0 == o.instrument && w.1 == Side::Sell)
                    .map(|w| w.3)
                    .sum();
                let has = held.get(&o.instrument).copied().unwrap_or(0);
                match o.side {
                    Side::Sell => {
                        sells += 1;
                        prop_assert!(selling + o.qty.0 <= has, "sells {} of {has}", o.qty.0);
                    }
                    Side::Buy => {
                        buys += 1;
                        let cost = D.notional(o.price, o.qty).unwrap();
                        prop_assert!(cost <= money("30"), "{cost}");
                        prop_assert!(cost >= money("1") && o.qty.0 >= 100);
                        prop_assert!(o.price.0 <= 970);
                    }
                }
                working.insert(kept.0.0, (o.instrument, o.side, o.price.0, o.qty.0));
                // All that is held and bought in one token, at the prices paid, fits the cap; so does the market.
                let at_most: i64 = working
                    .values()
                    .filter(|w| w.0 == o.instrument && w.1 == Side::Buy)
                    .map(|w| w.2 * w.3)
                    .sum();
                prop_assert!(at_most <= 30 * 100_000, "{at_most}");
            }
            Event::ExecutionReport(r) => {
                let order = working.get_mut(&r.order.0);
                if let (Some(order), Some(fill)) = (order, r.fill) {
                    order.3 -= fill.qty.0;
                    *held.entry(order.0).or_default() += order.1.sign() * fill.qty.0;
                }
                if r.state.is_final() {
                    working.remove(&r.order.0);
                }
            }
            Event::Resolution(r) => {
                held.remove(&r.instrument);
            }
            _ => {}
        }
    }
    prop_assert!(held.values().all(|qty| *qty >= 0));
    let ledger = day.rig.sequencer.desk().ledger();
    for position in ledger.positions() {
        prop_assert!(position.qty.0 >= 0 && position.cost <= money("30.00"));
    }
    Ok((buys, sells))
}

fn decide_again(
    frames: &[Kept],
    from: usize,
    mut sequencer: Sequencer<MemorySink>,
) -> Sequencer<MemorySink> {
    for (_, at, tag, payload) in frames[from..].iter().filter(|kept| !kept.2.is_derived()) {
        sequencer.step(*at, tag.kind(), payload).unwrap();
    }
    sequencer
}

/// The inputs decide the same frames again, from the start and from a snapshot in mid-day; the frames alone give the state.
fn is_the_same_again(day: &mut Day) -> Result<(), TestCaseError> {
    let hash = day.rig.sequencer.state_hash().unwrap();
    let frames = day.rig.frames();
    let mut again = decide_again(frames, 0, Sequencer::new(MemorySink::default()));
    prop_assert!(again.sink().frames == *frames);
    prop_assert_eq!(again.state_hash().unwrap(), hash);
    let ends: Vec<usize> = (1..frames.len())
        .filter(|place| frames[place - 1].2.ends_step())
        .collect();
    let middle = ends[ends.len() / 2];
    let mut folded = Sequencer::new(MemorySink::default());
    let mut snapshot = Vec::new();
    for (place, kept) in frames.iter().enumerate() {
        if place == middle {
            snapshot = folded.snapshot().unwrap();
        }
        folded.fold(&frame(kept)).unwrap();
    }
    prop_assert_eq!(folded.state_hash().unwrap(), hash);
    let restored = Sequencer::restore(&snapshot, MemorySink::default()).unwrap();
    let mut gone_on = decide_again(frames, middle, restored);
    let pairs = frames[middle..].iter().zip(&gone_on.sink().frames);
    let other = pairs
        .filter(|(a, b)| a != b)
        .map(|(a, b)| (decoded(a), decoded(b)))
        .next();
    prop_assert!(other.is_none(), "{:?}", other);
    prop_assert_eq!(gone_on.sink().frames.len(), frames.len() - middle);
    prop_assert_eq!(gone_on.state_hash().unwrap(), hash);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever leaders, books and the venue do: no buy above a cap or below the minimum, no sale of what is not held,
    /// and every tape decides and recovers the same again.
    #[test]
    fn any_day_keeps_its_limits_and_decides_the_same_again(
        happenings in prop::collection::vec((0u64..30_000, happening()), 1..120), unknown in prop_oneof![Just(0), Just(50_000u32)],
    ) {
        let mut day = random_day(&happenings, unknown);
        holds_its_limits(&day)?;
        is_the_same_again(&mut day)?;
    }

    /// The rows of one trade, shuffled, repeated and spread over pages that come within the window: one copy, the same.
    #[test]
    fn any_order_and_repetition_of_pages_is_one_copy(
        order in Just((0usize..6).collect::<Vec<_>>()).prop_shuffle(), again in prop::collection::vec(0usize..6, 0..20),
    ) {
        let rows = [
            buy("0xa1", NOON + 50 * S, 400, 5_000),
            LeaderTrade { occurrence: 1, ..buy("0xa1", NOON + 50 * S, 400, 5_000) },
            buy("0xa2", NOON + 51 * S, 400, 5_000),
            LeaderTrade { liquidity: Liquidity::Maker, ..buy("0xa2", NOON + 51 * S, 400, 5_000) },
            LeaderTrade { liquidity: Liquidity::Maker, ..buy("0xa3", NOON + 52 * S, 400, 3_000) },
            LeaderTrade { liquidity: Liquidity::Maker, ..buy("0xa3", NOON + 52 * S, 400, 2_000) },
        ];
        let mut day = Day::new();
        for (place, row) in order.iter().chain(&again).enumerate() {
            day.row(NOON + 60 * S + place as u64 * 10 * MS, &rows[*row]);
        }
        for row in &rows {
            day.row(NOON + 400 * S, row);
        }
        day.until(NOON + 410 * S);
        prop_assert_eq!(day.orders(), vec![(62, Side::Buy, 405, 1_975)]);
    }
}

/// What the property is worth: random days reach entries, exits, partial fills, cancels and many gates.
#[test]
fn random_days_are_eventful() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeSet;
    let mut runner = TestRunner::deterministic();
    let days = prop::collection::vec((0u64..30_000, happening()), 60..120);
    let (mut buys, mut sells, mut partial, mut gates) = (0, 0, 0, BTreeSet::new());
    for _ in 0..60 {
        let happenings = days.new_tree(&mut runner).unwrap().current();
        let day = random_day(&happenings, 50_000);
        let (bought, sold) = holds_its_limits(&day).unwrap();
        (buys, sells) = (buys + bought, sells + sold);
        for (_, event) in day.rig.events() {
            match event {
                Event::ExecutionReport(r) if r.state == OrderState::PartiallyFilled => partial += 1,
                Event::GateChanged(change) => {
                    gates.extend(change.gate.map(|gate| gate.into_owned()))
                }
                _ => {}
            }
        }
    }
    println!("{buys} buys, {sells} sells, {partial} partial fills\n{gates:?}");
    assert!(buys > 60 && sells > 60 && partial > 20 && gates.len() >= 12);
}
