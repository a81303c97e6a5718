//! Orders through the wire of a TWS gateway: market orders of one strategy, brackets of another, and whatever happens to the
//! way to the broker meanwhile.
use super::*;
use onetape_engine::event::{AccountLost, ConnectionChanged, ExecutionReport};
use onetape_engine::order::OrderType;
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

/// A stock that wanders about 50.00, quoted every 400 ms from half past ten in New York on, for an hour and a half.
fn day(seed: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("facts.toml"), FACTS).unwrap();
    std::fs::write(at("calendar.toml"), CALENDAR).unwrap();
    let mut rows = String::from("ts_ms,type,venue,symbol,id,bid_price,bid_qty,ask_price,ask_qty\n");
    let (mut cents, mut random) = (5_000_i64, seed);
    for tick in 0..13_500_u64 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        cents += (random % 5) as i64 - 2 - (cents - 5_000).signum() * i64::from(random % 7 == 0);
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
    let rig = Rig::of_day(day(seed), speed, faults);
    rig.configure(SESSION);
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

/// Entries that rest, and a bracket: a market entry, its stop-loss and target far enough to rest.
const LIMIT: &str = r#""order_type": "limit", "price": "45.00""#;
const STOP: &str = r#""order_type": "stop", "price": "55.00""#;
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
        if kill < 6 {
            let order = [LIMIT, STOP][kill as usize % 2];
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
