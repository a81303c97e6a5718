//! One event of each kind that no market feed brings.
use onetape_engine::event::*;
use onetape_engine::id::{InstrumentId, OrderId, Sequence, StrategyId};
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::{OrderType, Side};
use onetape_engine::parent::{Leg, ParentState, Plan, Remedy, UnwindRule};
use onetape_engine::risk::Scope;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;

const X: InstrumentId = InstrumentId(0);
const AT: Nanos = Nanos(super::NOON);

fn wallet() -> String {
    format!("0x{}", "ab".repeat(20))
}

/// Facts, all about the first instrument.
pub(crate) fn facts() -> Vec<Event<'static>> {
    let (yes, no) = (InstrumentId(1), InstrumentId(2));
    vec![
        Event::ContractTerms(Box::new(ContractTerms {
            instrument: X,
            event: "HIGH".into(),
            cluster: "northeast".into(),
            closes_at: AT,
            settles_at: AT,
            rules_hash: "ab".into(),
            temperature: Some(TemperatureTerms {
                station: "NYC".into(),
                day: 20_000,
                strike: Strike::Between { floor: 84, cap: 85 },
            }),
        })),
        Event::RulesText(Box::new(RulesText {
            instrument: X,
            rules_hash: "ab".into(),
        })),
        Event::PairApproved(Box::new(PairApproved {
            pair: "high".into(),
            single_book: X,
            yes_token: yes,
            no_token: no,
            inverted: true,
            single_book_rules: "ab".into(),
            token_rules: "cd".into(),
            void_rule: VoidRule::BothRefund,
            cut_off: AT,
            single_book_settles_at: AT,
            token_settles_at: AT,
            cluster: "weather".into(),
            confidence_pct: 95,
            approver: "somebody".into(),
            approved_at: AT,
            question: "Will rates be cut in March?".into(),
        })),
        Event::PairWithdrawn(Box::new(PairWithdrawn {
            pair: "high".into(),
            reason: "other source".into(),
        })),
        Event::Forecast(Box::new(Forecast {
            station: "NYC".into(),
            day: 20_000,
            high_f: Decimal::new(855, 1),
            issued_at: AT,
            source: "nws".into(),
        })),
        Event::Observation(Box::new(Observation {
            station: "NYC".into(),
            observed_at: AT,
            temperature_f: Decimal::new(812, 1),
            quality: ObservationQuality::Soft,
        })),
        Event::LeaderListed(Box::new(LeaderListed {
            wallet: wallet(),
            active: true,
            sample_trades: 100,
            winning_trades: 60,
            profit_usd: Decimal::new(-5, 1),
            typical_usd: Decimal::TEN,
        })),
        Event::LeaderTrade(Box::new(LeaderTrade {
            wallet: wallet(),
            instrument: X,
            side: Side::Buy,
            price: Price(40),
            qty: Qty(200),
            transaction: "0x1".into(),
            liquidity: Liquidity::Maker,
            traded_at: AT,
            occurrence: 1,
        })),
        Event::LeaderPortfolio(Box::new(LeaderPortfolio {
            wallet: wallet(),
            value_usd: Decimal::from(10_000),
            holdings: vec![Holding {
                instrument: X,
                qty: Qty(200),
            }],
            taken_at: AT,
        })),
        Event::TradingDay(Box::new(TradingDay {
            calendar: "XNYS".into(),
            day: 20_000,
            utc_offset_s: -18_000,
            opens_at: AT,
            closes_at: AT.after(1),
        })),
        Event::DailyBar(Box::new(DailyBar {
            instrument: X,
            day: 20_000,
            open: Price(2),
            high: Price(3),
            low: Price(1),
            close: Price(2),
            volume: Qty(5),
        })),
        Event::IntentReceived(Box::new(IntentReceived {
            key: "a".into(),
            instrument: X,
            side: Side::Sell,
            order_type: OrderType::Stop,
            price: Price(9_000),
            qty: Qty(1),
            stop_loss: Some(Price(9_100)),
            target: None,
            replaces: Some("b".into()),
            client_tag: "tag".into(),
        })),
        Event::IntentPromoted(Box::new(IntentPromoted {
            key: "a".into(),
            operator: "somebody".into(),
        })),
        Event::VenueHealth(Box::new(VenueHealth {
            venue: "paper".into(),
            latency_ms: 80,
            errors_per_million: 20,
        })),
        Event::ClockDrift(ClockDrift { drift_ms: -12 }),
        Event::AccountLost(Box::new(AccountLost {
            venue: "paper".into(),
            why: "disconnected".into(),
        })),
        Event::AccountReport(Box::new(AccountReport {
            venue: "paper".into(),
            holdings: vec![Holding {
                instrument: X,
                qty: Qty(-3),
            }],
            cash: vec![CashHeld {
                currency: "USD".into(),
                total: Decimal::new(12_345, 2),
            }],
        })),
        Event::ConnectionChanged(Box::new(ConnectionChanged {
            venue: "paper".into(),
            connection: "market".into(),
            up: false,
            why: "closed by the venue".into(),
        })),
        Event::FillReversed(FillReversed {
            order: OrderId(7),
            instrument: X,
            fill_id: 9,
            side: Side::Buy,
            price: Price(100),
            qty: Qty(3),
            fee: Money(1),
        }),
    ]
}

fn plan() -> Plan {
    let leg = Leg {
        instrument: X,
        side: Side::Buy,
        limit: Price(45),
        qty: Qty(9),
    };
    Plan {
        legs: [leg; 2],
        deadline_ns: 1,
        retries: 2,
        retry_gap_ns: 3,
        unwind: UnwindRule {
            on: true,
            remedy: Remedy::Unwind,
            after_ns: 4,
            loss_caps: [Money(5), Money(6)],
        },
        alarm_every_ns: 7,
    }
}

/// Derived frames that say why.
pub(crate) fn records() -> Vec<Event<'static>> {
    let (cause, strategy) = (Sequence(7), StrategyId(1));
    vec![
        Event::GateChanged(Box::new(GateChanged {
            cause,
            strategy,
            candidate: 3,
            instrument: X,
            gate: Some("net_edge".into()),
            value: Decimal::new(5, 3),
            limit: Decimal::new(8, 3),
        })),
        Event::ParentChanged(Box::new(ParentChanged {
            cause,
            strategy,
            parent: 4,
            state: ParentState::SingleLeg,
            first_order: Some(OrderId(9)),
            second_order: None,
            first_filled: Qty(5),
            second_filled: Qty(0),
            plan: Some(plan()),
        })),
        Event::AlarmRaised(Box::new(AlarmRaised {
            cause,
            strategy,
            instrument: X,
            alarm: Alarm::SingleLeg,
            value: Decimal::from(5),
        })),
        Event::LimitWarned(Box::new(LimitWarned {
            cause,
            strategy,
            scope: Scope::Total,
            whose: 0,
            gate: "position".into(),
            value: Decimal::from(9),
            limit: Decimal::from(10),
            of: None,
        })),
        Event::SignalRaised(Box::new(SignalRaised {
            cause,
            strategy,
            instrument: X,
            detector: "inside_bar 1.0.1".into(),
            side: Side::Buy,
            entry: Price(1_050),
            stop_loss: Price(1_010),
            target: Price(1_130),
            qty: Qty(250),
        })),
        Event::IntentChanged(Box::new(IntentChanged {
            cause,
            strategy,
            key: "a".into(),
            state: IntentState::Refused,
            order: None,
            reason: Some("price".into()),
        })),
    ]
}
