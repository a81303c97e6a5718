//! All five systems at once against the local exchange: real sockets, real signatures, a generated day at its pace and more.
//! What the daemon wrote decides the same again, and a backtest of its inputs is the run itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
mod common;
#[path = "common/loopback.rs"]
mod loopback;
use common::{arg, frames, json, ok, onetape};
use loopback::{Process, cash, holdings, nonzero, recover};
use onetape_engine::event::{Event, Kind, OrderDecided};
use onetape_engine::risk::HaltReason;
use onetape_journal::Reader;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The day's seed and size, where in it the exchange begins, and how fast it goes: in the hour and a half from there on
/// every system finds something to do.
const SEED: &str = "31";
const EVENTS: &str = "600000";
const FROM: &str = "2026-01-05T14:29:00Z";
const SPEED: &str = "60";
/// Longest wait for an order of each system.
const PATIENCE: Duration = Duration::from_secs(90);
/// A day at sixty times its pace needs the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
const TOKEN: &str = "a-token-of-the-test";

/// The strategies of examples/systems.toml, with what a fast clock and a start within the day need.
fn session(modes: &str) -> String {
    let example = std::fs::read_to_string(common::example("systems")).unwrap();
    let set = |text: String, at: &str, more: &str| {
        assert!(text.contains(at), "{at}");
        text.replace(at, &format!("{at}\n{more}"))
    };
    // Bars of a minute: forty of them are there within the hour.
    let text = set(example, "detector = \"inside_bar\"", "bar_s = 60");
    // The hours that are over are in this service's forecast, and the other one begins with the hour that is.
    let text = set(text, "min_samples = 0", "forecast_source = \"open-meteo\"");
    // Round trips on a busy machine of two processors; the paper venue's own latencies are the example's.
    let text = set(
        text,
        "entry_bps = 40",
        "degraded_latency_ms = 1500\ndown_latency_ms = 1900",
    );
    format!("{text}\n{modes}")
}

/// A local exchange that plays the day from the stocks' opening on.
struct Day {
    dir: tempfile::TempDir,
    exchange: Process,
    lines: BufReader<ChildStdout>,
    clock: String,
}

impl Day {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (day, out) = (at("day"), at("exchange"));
        ok(&[
            "generate",
            "--journal",
            arg(&day),
            "--seed",
            SEED,
            "--events",
            EVENTS,
            "--scenario",
            "systems",
        ]);
        let mut child = onetape(&[
            "exchange",
            arg(&day),
            "--out",
            arg(&out),
            "--from",
            FROM,
            "--speed",
            SPEED,
        ])
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let exchange = Process(child);
        let clock = until_line(&mut lines, "--clock ");
        until_line(&mut lines, "ready");
        Self {
            dir,
            exchange,
            lines,
            clock,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The configuration, and a journal with what no venue tells: approvals, leaders, trading days.
    fn prepare(&self, modes: &str) {
        let addresses = std::fs::read_to_string(self.at("exchange/exchange.toml")).unwrap();
        // A generated market is quiet for longer than a real one, and a busy machine's pause is long at this speed.
        let addresses = addresses.replace("read_per_s", "silence_ms = 300000\nread_per_s");
        let live = format!(
            "[live]\nhttp = \"127.0.0.1:0\"\nenv_file = {:?}\nlost_after_ms = 2000\nsnapshot_every_s = 2\n",
            arg(&self.at("exchange/exchange.env"))
        );
        let text = format!("{}\n{live}\n{addresses}", session(modes));
        std::fs::write(self.at("run.toml"), text).unwrap();
        ok(&[
            "import",
            "--journal",
            arg(&self.at("journal")),
            arg(&self.at("exchange/facts.toml")),
        ]);
    }

    fn daemon(&self) -> Daemon {
        let mut child = onetape(&[
            "run",
            "--journal",
            arg(&self.at("journal")),
            "--config",
            arg(&self.at("run.toml")),
            "--clock",
            &self.clock,
        ])
        .env("XDG_STATE_HOME", self.at("state"))
        .env("ONETAPE_API_TOKEN", TOKEN)
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let process = Process(child);
        let http = until_line(&mut lines, "http://");
        Daemon {
            process,
            _lines: lines,
            http: http.split(' ').next().unwrap().to_owned(),
        }
    }

    /// Ends the exchange; the truth as it stood at the end.
    fn truth(mut self) -> (tempfile::TempDir, Value) {
        assert_eq!(self.exchange.terminate(), Some(0));
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        (self.dir, serde_json::from_str(&text).unwrap())
    }
}

/// A line that begins so; the rest of it.
fn until_line(lines: &mut BufReader<ChildStdout>, begins: &str) -> String {
    loop {
        let mut line = String::new();
        let read = lines.read_line(&mut line).unwrap();
        assert!(read > 0, "it ended before '{begins}'");
        if let Some(rest) = line.strip_prefix(begins) {
            return rest.trim().to_owned();
        }
    }
}

struct Daemon {
    process: Process,
    _lines: BufReader<ChildStdout>,
    http: String,
}

impl Daemon {
    /// An order intent over HTTP; the answer's status.
    fn intent(&self, key: &str, qty: u32) -> u16 {
        let body = format!(
            r#"{{"instrument":"ib:HOOD","side":"buy","order_type":"market","qty":"{qty}"}}"#
        );
        let mut socket = TcpStream::connect(&self.http).unwrap();
        let length = body.len();
        write!(
            socket,
            "POST /api/v1/orderintents HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}",
            self.http
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Orders by strategy, read off the tape as it grows.
struct Orders {
    reader: Reader,
    strategies: Vec<String>,
    decided: BTreeMap<String, u64>,
    /// The last gate that stopped each candidate.
    gates: BTreeMap<(String, u64), String>,
    /// Bars were judged: a gate of the pattern itself was asked.
    has_judged_bars: bool,
}

impl Orders {
    fn of(journal: &Path) -> Self {
        Self {
            reader: Reader::open(journal).unwrap(),
            strategies: Vec::new(),
            decided: BTreeMap::new(),
            gates: BTreeMap::new(),
            has_judged_bars: false,
        }
    }

    fn read_on(&mut self) {
        while let Some(frame) = self.reader.next().unwrap() {
            match Event::decode(frame.tag.kind(), frame.payload).unwrap() {
                Event::SessionStart(start) => {
                    let ids = start.config.strategies.iter();
                    self.strategies = ids.map(|strategy| strategy.id.clone()).collect();
                }
                Event::OrderDecided(OrderDecided { strategy, .. }) => {
                    let id = self.strategies[strategy.index()].clone();
                    *self.decided.entry(id).or_default() += 1;
                }
                Event::GateChanged(gate) => {
                    let id = self.strategies[gate.strategy.index()].clone();
                    const OF_PATTERN: [&str; 6] = [
                        "mother",
                        "inside_high",
                        "inside_low",
                        "mother_range",
                        "mother_body",
                        "inside_body",
                    ];
                    let name = gate.gate.as_ref().map(|name| name.to_string());
                    self.has_judged_bars |= id == "inside-bars"
                        && name.is_some_and(|n| OF_PATTERN.contains(&n.as_str()));
                    let key = (id, u64::from(gate.candidate));
                    self.gates.insert(key, format!("{gate:?}"));
                }
                _ => {}
            }
        }
    }

    /// Waits until each of these strategies has decided an order. Meanwhile an order intent comes every second: one that finds
    /// no market waits for the next.
    fn wait_for(&mut self, daemon: &Daemon, wanted: &[&str], patience: Duration) {
        let began = Instant::now();
        let mut intents = 0;
        loop {
            self.read_on();
            if !self.decided.contains_key("intents") && began.elapsed().as_secs() > intents {
                intents += 1;
                let key = format!("{}-{intents}", self.reader.next_sequence());
                assert_eq!(daemon.intent(&key, 5), 201);
            }
            let missing: Vec<&&str> = wanted
                .iter()
                .filter(|id| {
                    // Which trades come in time for their minute is the machine's matter, and so is whether bars make a pattern.
                    let judged = **id == "inside-bars" && self.has_judged_bars;
                    !self.decided.contains_key(**id) && !judged
                })
                .collect();
            if missing.is_empty() {
                println!("after {:?}: {:?}", began.elapsed(), self.decided);
                return;
            }
            assert!(
                began.elapsed() < patience,
                "no order of {missing:?}: {:?}\n{:#?}",
                self.decided,
                self.gates
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

const ALL: [&str; 6] = [
    "pairs",
    "weather",
    "premium",
    "inside-bars",
    "intents",
    "leaders",
];

/// `verify` finds the journal identical.
fn verifies(journal: &Path) {
    let verified = json(&["verify", arg(journal)]);
    assert_eq!(verified["identical"], true, "{verified}");
}

#[test]
fn all_five_systems_trade_on_the_wire_and_a_backtest_of_the_run_is_the_run() {
    let _alone = alone();
    let day = Day::new();
    day.prepare("");
    let journal = day.at("journal");
    let mut daemon = day.daemon();
    assert_eq!(daemon.intent("one", 5), 201);
    assert_eq!(daemon.intent("one", 5), 409);
    Orders::of(&journal).wait_for(&daemon, &ALL, PATIENCE);
    assert_eq!(daemon.process.terminate(), Some(0));
    verifies(&journal);

    // The same configuration over the same inputs: every frame of the run, byte for byte, and the end of the new session.
    let again = day.at("again");
    ok(&[
        "backtest",
        arg(&journal),
        "--config",
        arg(&day.at("run.toml")),
        "--journal",
        arg(&again),
    ]);
    let (run, again) = (frames(&journal), frames(&again));
    let differs = run.iter().zip(&again).find(|(a, b)| a != b);
    assert!(differs.is_none(), "{differs:?}");
    let kinds: Vec<u16> = again[run.len()..]
        .iter()
        .map(|frame| onetape_journal::Tag::from_bits(frame.2).unwrap().kind())
        .collect();
    assert_eq!(kinds, [Kind::SessionEnd.number(), Kind::StateHash.number()]);
}

#[test]
fn a_paper_run_that_is_killed_goes_on_where_it_was() {
    let _alone = alone();
    let day = Day::new();
    day.prepare("");
    let journal = day.at("journal");
    let daemon = day.daemon();
    Orders::of(&journal).wait_for(&daemon, &["leaders"], PATIENCE);
    drop(daemon);
    let before = frames(&journal);
    let mut daemon = day.daemon();
    assert_eq!(daemon.intent("two", 5), 201);
    Orders::of(&journal).wait_for(&daemon, &["leaders", "intents"], PATIENCE);
    assert_eq!(daemon.process.terminate(), Some(0));
    let after = frames(&journal);
    // Nothing that was written is lost; the step that was cut goes on after it.
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(a, b)| (a.0, a.1, &a.3) == (b.0, b.1, &b.3))
    );
    assert!(after.len() > before.len());
    verifies(&journal);
}

#[test]
fn four_systems_send_real_orders_and_end_with_the_venues_own_truth() {
    let _alone = alone();
    let day = Day::new();
    let venues = ["binance", "kalshi", "polymarket", "upbit"];
    let modes: String = venues.map(|venue| format!("{venue} = \"demo\"\n")).concat();
    day.prepare(&format!("[modes]\n{modes}"));
    let journal = day.at("journal");
    let daemon = day.daemon();
    Orders::of(&journal).wait_for(&daemon, &["leaders"], PATIENCE);
    drop(daemon);
    let mut daemon = day.daemon();
    Orders::of(&journal).wait_for(
        &daemon,
        &["pairs", "weather", "premium", "leaders"],
        PATIENCE,
    );
    assert_eq!(daemon.process.terminate(), Some(0));
    let (_dir, truth) = day.truth();
    println!("{truth}");
    assert_eq!(truth["repeated_client_ids"], serde_json::json!([]));
    assert_eq!(truth["open_orders"], 0, "{truth}");
    assert!(truth["fills"].as_u64().unwrap() > 0);
    // Stocks are on paper: no venue knows of them.
    let of_venues = |mut table: BTreeMap<String, String>| {
        table.retain(|name, value| value != "0" && !name.starts_with("ib:"));
        table
    };
    assert_eq!(of_venues(holdings(&journal)), nonzero(&truth["holdings"]));
    assert_eq!(of_venues(cash(&journal)), nonzero(&truth["cash_changes"]));
    let halts: BTreeSet<HaltReason> = recover(&journal)
        .desk()
        .risk()
        .halts
        .iter()
        .copied()
        .collect();
    let wrong = |halt: &HaltReason| !matches!(halt, HaltReason::Stopping | HaltReason::Operator);
    assert!(!halts.iter().any(wrong), "{halts:?}");
    verifies(&journal);
}
