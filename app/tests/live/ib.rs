//! Orders through the wire of a TWS gateway: market orders of one strategy, brackets of another, and whatever happens to the
//! way to the broker meanwhile.
use super::*;
use onetape_engine::event::{AccountLost, ConnectionChanged, ExecutionReport};
use onetape_engine::order::{OrderState, OrderType};
use onetape_venues::ib::{frame, proto};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

use std::net::TcpListener;

const FACTS: &str = r#"
[[instrument]]
venue = "ib"
symbol = "HOOD"
instrument_type = "equity"
base = "HOOD"
quote = "USD"
decimals = { price = 2, qty = 0 }

[[trading_rules]]
instrument = "ib:HOOD"
effective_from = 2026-01-01T00:00:00Z
tick_size = 0.01
lot_size = 1
min_qty = 1
min_notional = 0
min_price = 0.01
max_price = 100000

[[fee_schedule]]
instrument = "ib:HOOD"
effective_from = 2026-01-01T00:00:00Z
maker = { per_unit = { rate = "0.005", minimum = "1.00", maximum = "0.01" } }
taker = { per_unit = { rate = "0.005", minimum = "1.00", maximum = "0.01" } }
rounding = { decimals = 2, mode = "up" }
accrual = "per_order"
source = "worked example"
"#;

const CALENDAR: &str = r#"
[calendar.XNYS]
zone = "America/New_York"
open = 09:30:00
close = 16:00:00
from = 2026-01-05
to = 2026-01-05
"#;

const SESSION: &str = r#"
[modes]
ib = "demo"

[[strategy]]
name = "ema_cross"
[strategy.params]
instrument = "ib:HOOD"
fast = 5
slow = 20
qty = "10"

[[strategy]]
name = "signals"
id = "intents"
[strategy.params]
detector = "intents"
symbols = ["ib:HOOD"]
mode = "paper_send"
auto_promote = true
allow_send = true
"#;

/// What a connection suffers. Its bytes are TCP's: none is lost while it stands.
const TCP_FAULTS: &str = "
seed = 11
twice = 2000
late = 2000
cut_off = 500
unavailable = 3000
accepted_unanswered = 10000
lost_unanswered = 10000
";

/// A stock that wanders about 50.00.
fn day(seed: u64) -> tempfile::TempDir {
    let (mut cents, mut random) = (5_000_i64, seed);
    day_of(|_| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        cents += (random % 5) as i64 - 2 - (cents - 5_000).signum() * i64::from(random % 7 == 0);
        cents
    })
}

/// A stock by its bid in cents, quoted every 400 ms from ten in New York on, for an hour and a half.
fn day_of(mut bid_cents: impl FnMut(u64) -> i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("facts.toml"), FACTS).unwrap();
    std::fs::write(at("calendar.toml"), CALENDAR).unwrap();
    let mut rows = String::from("ts_ms,type,venue,symbol,id,bid_price,bid_qty,ask_price,ask_qty\n");
    for tick in 0..13_500_u64 {
        let cents = bid_cents(tick);
        let (bid, ask) = (Decimal::new(cents, 2), Decimal::new(cents + 1, 2));
        let at_ms = 1_767_625_200_000 + tick * 400;
        rows += &format!("{at_ms},quote,ib,HOOD,{},{bid},500,{ask},500\n", tick + 1);
    }
    std::fs::write(at("market.csv"), rows).unwrap();
    let (facts, market) = (at("facts.toml"), at("market.csv"));
    ok(&[
        "import",
        "--journal",
        arg(&at("day")),
        arg(&facts),
        arg(&market),
    ]);
    // The daemon's tape knows the exchange's hours from the start.
    ok(&[
        "import",
        "--journal",
        arg(&at("journal")),
        arg(&at("calendar.toml")),
    ]);
    dir
}

/// A daemon's rig with the broker and the provider of its prices only; the address of the daemon's HTTP.
fn rig(seed: u64, speed: &str, faults: &str) -> (Rig, String) {
    rig_of(day(seed), SESSION, speed, faults)
}

fn rig_of(day: tempfile::TempDir, session: &str, speed: &str, faults: &str) -> (Rig, String) {
    let rig = Rig::of_day(day, speed, faults);
    rig.configure(session);
    let http = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = http.local_addr().unwrap().to_string();
    let all = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    let (head, venues) = all.split_once("[venues.").unwrap();
    let mut text = head.replace("127.0.0.1:0", &http);
    for section in venues.split("[venues.") {
        if section.starts_with("ib") || section.starts_with("eodhd") {
            text += "[venues.";
            text += section;
        }
    }
    std::fs::write(rig.at("run.toml"), text).unwrap();
    let env = std::fs::OpenOptions::new()
        .append(true)
        .open(rig.at("exchange/exchange.env"));
    writeln!(env.unwrap(), "ONETAPE_API_TOKEN=secret").unwrap();
    (rig, http)
}

/// Entries that rest, and brackets: one that opens and closes soon, and a market entry whose exits are far enough to rest.
const LIMIT: &str = r#""order_type": "limit", "price": "45.00""#;
const STOP: &str = r#""order_type": "stop", "price": "55.00""#;
const NEAR: &str =
    r#""order_type": "limit", "price": "49.95", "stop_loss": "49.80", "target": "50.05""#;
const BRACKET: &str = r#""order_type": "market", "stop_loss": "45.00", "target": "55.00""#;

fn intent(http: &str, key: &str, order: &str) {
    let headers = format!("Authorization: Bearer secret\r\nIdempotency-Key: {key}\r\n");
    let body = format!(r#"{{"instrument": "ib:HOOD", "side": "buy", "qty": "7", {order}}}"#);
    let answer = post(http, "/api/v1/orderintents", &headers, &body);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fn is_clear(status: &Value) -> bool {
    status["unknown_orders"] == 0
        && status["halts"].as_array().is_some_and(Vec::is_empty)
        && status["feeds"]["ib:HOOD"].as_u64() > Some(0)
}

/// What happened to the way to the broker, and what was ordered, by the journal.
#[derive(Default)]
struct Story {
    lost: u32,
    gateway_down: u32,
    fills: u32,
    orders: BTreeMap<&'static str, u32>,
}

fn story(journal: &Path) -> Story {
    let mut reader = Reader::open(journal).unwrap();
    let mut story = Story::default();
    while let Some(frame) = reader.next().unwrap() {
        match Event::decode(frame.tag.kind(), frame.payload).unwrap() {
            Event::AccountLost(lost) => {
                let AccountLost { venue, .. } = &*lost;
                story.lost += u32::from(venue == "ib");
            }
            Event::ConnectionChanged(changed) => {
                let ConnectionChanged { venue, up, .. } = &*changed;
                story.gateway_down += u32::from(venue == "ib" && !up);
            }
            Event::OrderDecided(OrderDecided { order_type, .. }) => {
                let kind = match order_type {
                    OrderType::Limit => "limit",
                    OrderType::Market => "market",
                    OrderType::Stop => "stop",
                };
                *story.orders.entry(kind).or_default() += 1;
            }
            Event::ExecutionReport(ExecutionReport { fill: Some(_), .. }) => story.fills += 1,
            _ => {}
        }
    }
    story
}

/// Logs in with the daemon's client id, as a session does that the gateway has not noticed the end of.
fn occupy(rig: &Rig) -> TcpStream {
    let text = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    let address = text.split_once("tws = \"").unwrap().1;
    let address = address.split_once('"').unwrap().0;
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&frame::hello(213, 226)).unwrap();
    let client_id = Some(1);
    let start = frame::Request::StartApi(proto::StartApiRequest { client_id });
    socket.write_all(&start.encode()).unwrap();
    // Its welcome: the id is taken.
    let mut bytes = [0; 64];
    let mut told = 0;
    while told < 64 {
        told += socket.read(&mut bytes[told..]).unwrap();
    }
    socket
}

#[test]
fn whatever_happens_to_the_way_to_the_broker_the_journal_ends_with_its_truth() {
    let (rig, http) = rig(5, "20", "");
    // The client id is in use at the start: the daemon waits for it.
    let other = occupy(&rig);
    let mut daemon = rig.daemon();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(rig.status(), None, "it trades under an id that is in use");
    drop(other);
    rig.until("it is reconciled", is_clear);
    intent(&http, "bracket", BRACKET);
    let holds = |strategies: usize| {
        move |status: &Value| {
            let held = status["positions"].as_object();
            is_clear(status) && held.is_some_and(|held| held.len() >= strategies)
        }
    };
    rig.until("both strategies hold something", holds(2));
    // Lost and back without data, lost and back with everything, a closed socket, the nightly restart.
    for back in [1_101, 1_102] {
        rig.fault(r#"{"what": "gateway", "fault": {"code": 1100}}"#);
        rig.until("it is not reconciled", |status| {
            status["halts"]
                .as_array()
                .is_some_and(|halts| !halts.is_empty())
        });
        std::thread::sleep(Duration::from_secs(1));
        rig.fault(&format!(
            r#"{{"what": "gateway", "fault": {{"code": {back}}}}}"#
        ));
        rig.until("it is reconciled", is_clear);
    }
    let sequence = |status: &Value| status["sequence"].as_u64().unwrap();
    for broken in [
        r#"{"what": "socket", "fault": {"venue": "ib", "kind": "closed"}}"#,
        r#"{"what": "gateway", "fault": {"code": 326}}"#,
    ] {
        rig.fault(broken);
        std::thread::sleep(Duration::from_secs(4));
        rig.until("it is reconciled", is_clear);
    }
    intent(&http, "limit", LIMIT);
    intent(&http, "stop", STOP);
    let at = sequence(&rig.status().unwrap());
    rig.until("it trades on", |status| {
        is_clear(status) && sequence(status) > at + 500
    });
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    println!("{truth}");
    holds_the_truth(&journal, &truth);
    let story = story(&journal);
    println!(
        "lost {}, down {}, fills {}, orders {:?}",
        story.lost, story.gateway_down, story.fills, story.orders
    );
    // The start, 1100 and its end twice, and two reconnections, each of which is a loss before.
    assert!(story.lost >= 7, "{}", story.lost);
    assert!(story.gateway_down >= 4, "{}", story.gateway_down);
    assert_eq!(Some(u64::from(story.fills)), truth["fills"].as_u64());
    // Everything is taken back, exits included.
    assert_eq!(truth["open_orders"], 0);
    for kind in ["market", "limit", "stop"] {
        assert!(story.orders.contains_key(kind), "no {kind} order");
    }
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_ends_with_the_brokers_truth() {
    let kills: u64 = std::env::var("ONETAPE_TORTURE").map_or(5, |kills| kills.parse().unwrap());
    let (rig, http) = rig(6, "10", TCP_FAULTS);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..kills {
        let daemon = rig.daemon();
        rig.until("it is up", |status| {
            status["feeds"]["ib:HOOD"].as_u64() > Some(0)
        });
        if kill < 9 {
            let order = [NEAR, LIMIT, STOP][kill as usize % 3];
            intent(&http, &format!("intent-{kill}"), order);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(random % 4_000));
        drop(daemon);
    }
    let mut daemon = rig.daemon();
    rig.until("it is reconciled", is_clear);
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    let story = story(&journal);
    println!("{kills} kills: {truth}, orders {:?}", story.orders);
    holds_the_truth(&journal, &truth);
    assert_eq!(truth["open_orders"], 0);
    assert_eq!(Some(u64::from(story.fills)), truth["fills"].as_u64());
    assert!(story.fills > 0);
}

/// Only what is asked for over HTTP.
const INTENTS: &str = r#"
[modes]
ib = "demo"

[[strategy]]
name = "signals"
id = "intents"
[strategy.params]
detector = "intents"
symbols = ["ib:HOOD"]
mode = "paper_send"
auto_promote = true
allow_send = true
"#;

/// How fast a day of steps is played.
const STEPS_SPEED: u64 = 20;
/// An entry below the market with its stop-loss and target.
const PROTECTED: &str =
    r#""order_type": "limit", "price": "45.00", "stop_loss": "44.00", "target": "47.00""#;

/// A day at 50.00 that goes to other bids, each after so many seconds of ours from the start on.
fn steps(steps: &[(u64, i64)]) -> (Rig, String) {
    let steps = steps.to_vec();
    let day = day_of(move |tick| {
        let at_ms = tick * 400 / STEPS_SPEED;
        let mut passed = steps.iter().filter(|(after_s, _)| at_ms >= after_s * 1_000);
        let bid = passed.next_back().map_or(5_000, |(_, bid)| *bid);
        bid + (tick % 2) as i64
    });
    rig_of(day, INTENTS, &STEPS_SPEED.to_string(), "")
}

/// An order on the tape.
#[derive(Debug)]
struct Told {
    decided: OrderDecided,
    state: OrderState,
    filled: i64,
}

/// The orders on a tape in their order, and how often a strategy called somebody.
fn told(journal: &Path) -> (Vec<Told>, u32) {
    let mut reader = Reader::open(journal).unwrap();
    let (mut orders, mut alarms) = (BTreeMap::<u64, Told>::new(), 0);
    while let Some(frame) = reader.next().unwrap() {
        match Event::decode(frame.tag.kind(), frame.payload).unwrap() {
            Event::OrderDecided(decided) => {
                let (state, filled) = (OrderState::Decided, 0);
                let order = Told {
                    decided,
                    state,
                    filled,
                };
                orders.insert(frame.sequence, order);
            }
            Event::ExecutionReport(report) => {
                let order = orders.get_mut(&report.order.0).unwrap();
                order.state = report.state;
                order.filled += report.fill.map_or(0, |fill| fill.qty.0);
            }
            Event::AlarmRaised(_) => alarms += 1,
            _ => {}
        }
    }
    (orders.into_values().collect(), alarms)
}

/// What became of a tape's orders, by their types: stops and targets are those that close.
fn became(journal: &Path) -> Vec<(OrderType, OrderState, bool)> {
    let (orders, _) = told(journal);
    let shown = |it: &Told| {
        let is_attached = it.decided.attached_to.is_some();
        (it.decided.order_type, it.state, is_attached)
    };
    orders.iter().map(shown).collect()
}

impl Rig {
    /// Waits until the exchange's truth shows something.
    fn until_true(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(240) {
            if holds(&self.truth_now()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: {}", self.truth_now());
    }
}

/// An entry with its exits at the broker, and the daemon killed before the entry fills.
fn killed_with_an_entry_at_work(path: &[(u64, i64)]) -> Rig {
    let (rig, http) = steps(path);
    let daemon = rig.daemon();
    rig.until("it is reconciled", is_clear);
    intent(&http, "entry", PROTECTED);
    rig.until_true("the entry is at work", |truth| truth["open_orders"] == 1);
    rig.until("it is acknowledged", |_| {
        let acked = (OrderType::Limit, OrderState::Acked, false);
        became(&rig.at("journal")) == [acked]
    });
    drop(daemon);
    let truth = rig.truth_now();
    assert_eq!(truth["fills"], 0, "too slow a machine: {truth}");
    rig
}

/// The daemon comes back to a broker at which everything has happened. A stop that was at work on the tape is unknown until
/// it is looked up, and somebody is called: `alarms` is how often.
fn ends_flat_and_equal(rig: Rig, expected: &[(OrderType, OrderState, bool)], alarms: u32) {
    let mut daemon = rig.daemon();
    rig.until("everything is known", |status| {
        is_clear(status) && became(&rig.at("journal")) == expected
    });
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    println!("{truth}");
    assert_eq!(truth["open_orders"], 0);
    assert!(nonzero(&truth["holdings"]).is_empty(), "{truth}");
    let (orders, called) = told(&journal);
    let fills = orders.iter().filter(|order| order.filled > 0).count();
    assert_eq!(truth["fills"].as_u64(), Some(fills as u64), "{orders:?}");
    assert_eq!(called, alarms, "{orders:?}");
    holds_the_truth(&journal, &truth);
}

#[test]
fn a_bracket_reaches_its_target_while_no_daemon_runs() {
    let rig = killed_with_an_entry_at_work(&[(40, 4_490), (45, 4_710)]);
    rig.until_true("the target is reached", |truth| truth["fills"] == 2);
    ends_flat_and_equal(
        rig,
        &[
            (OrderType::Limit, OrderState::Filled, false),
            (OrderType::Stop, OrderState::Cancelled, true),
            (OrderType::Limit, OrderState::Filled, true),
        ],
        0,
    );
}

#[test]
fn a_bracket_is_stopped_while_no_daemon_runs() {
    let rig = killed_with_an_entry_at_work(&[(40, 4_490), (45, 4_390)]);
    rig.until_true("the stop is reached", |truth| truth["fills"] == 2);
    ends_flat_and_equal(
        rig,
        &[
            (OrderType::Limit, OrderState::Filled, false),
            (OrderType::Stop, OrderState::Filled, true),
            (OrderType::Limit, OrderState::Cancelled, true),
        ],
        0,
    );
}

#[test]
fn exits_of_an_entry_that_filled_while_no_daemon_ran_are_taken_over_at_work() {
    let rig = killed_with_an_entry_at_work(&[(40, 4_490), (90, 4_710)]);
    rig.until_true("the entry is filled", |truth| truth["fills"] == 1);
    let daemon = rig.daemon();
    rig.until("the exits are taken over", |status| {
        is_clear(status)
            && became(&rig.at("journal"))
                == [
                    (OrderType::Limit, OrderState::Filled, false),
                    (OrderType::Stop, OrderState::Acked, true),
                    (OrderType::Limit, OrderState::Acked, true),
                ]
    });
    let truth = rig.truth_now();
    assert_eq!(truth["orders"], 3, "nothing was placed anew: {truth}");
    assert_eq!(truth["open_orders"], 2, "{truth}");
    // Killed once more with the exits at work; the target is reached meanwhile.
    drop(daemon);
    rig.until_true("the target is reached", |truth| truth["fills"] == 2);
    let expected = [
        (OrderType::Limit, OrderState::Filled, false),
        (OrderType::Stop, OrderState::Cancelled, true),
        (OrderType::Limit, OrderState::Filled, true),
    ];
    ends_flat_and_equal(rig, &expected, 1);
}

/// Exits that were not attached: the entry filled in part, so they are others than the ones that went out with it.
#[test]
fn exits_placed_anew_are_alternatives_at_the_broker_too() {
    let (rig, http) = steps(&[(60, 5_510)]);
    let daemon = rig.daemon();
    rig.until("it is reconciled", is_clear);
    rig.fault(r#"{"what": "order", "fault": {"venue": "ib", "kind": {"takes_at_most": "3"}}}"#);
    intent(&http, "entry", BRACKET);
    rig.until("exits for what is held are at work", |status| {
        is_clear(status)
            && became(&rig.at("journal"))
                == [
                    (OrderType::Market, OrderState::Cancelled, false),
                    (OrderType::Stop, OrderState::Acked, false),
                    (OrderType::Limit, OrderState::Acked, false),
                ]
    });
    let truth = rig.truth_now();
    assert_eq!(truth["most_open_orders"], 2, "never both kinds: {truth}");
    assert_eq!(truth["open_orders"], 2, "{truth}");
    drop(daemon);
    let truth = rig.truth_now();
    assert_eq!(truth["fills"], 1, "too slow a machine: {truth}");
    rig.until_true("the target is reached", |truth| truth["fills"] == 2);
    let expected = [
        (OrderType::Market, OrderState::Cancelled, false),
        (OrderType::Stop, OrderState::Cancelled, false),
        (OrderType::Limit, OrderState::Filled, false),
    ];
    ends_flat_and_equal(rig, &expected, 1);
}
