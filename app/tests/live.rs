//! The daemon against the local exchange: real sockets, real signatures, real kills.
//!
//! `ONETAPE_TORTURE=1000 cargo test -p onetape --test live -- --nocapture` kills it that often; `ONETAPE_KEEP=1` leaves what
//! the processes wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
mod common;
#[path = "live/disk.rs"]
mod disk;
#[cfg(feature = "ib")]
#[path = "live/ib.rs"]
mod ib;
#[path = "live/legs.rs"]
mod legs;
#[path = "common/loopback.rs"]
mod loopback;
#[path = "live/markets.rs"]
mod markets;
#[path = "live/outcomes.rs"]
mod outcomes;
#[path = "live/pairs.rs"]
mod pairs;
#[path = "live/rates.rs"]
mod rates;
#[path = "live/refusals.rs"]
mod refusals;
#[path = "live/relisting.rs"]
mod relisting;
#[path = "live/take_over.rs"]
mod take_over;
#[path = "live/telegram.rs"]
mod telegram;
use common::{arg, json, ok, onetape};
use loopback::{Process, cash, holdings, nonzero, recover};
use onetape_engine::event::{Event, HaltChanged, OrderDecided};
use onetape_engine::risk::HaltReason;
use onetape_journal::Reader;
use onetape_venues::exchange::polymarket::token_id;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A local exchange that plays a generated day.
struct Rig {
    dir: tempfile::TempDir,
    exchange: Process,
    lines: BufReader<std::process::ChildStdout>,
    clock: String,
    /// Where faults are commanded.
    admin: String,
}

impl Rig {
    fn new(seed: &str, speed: &str, faults: &str) -> Self {
        let keep = std::env::var_os("ONETAPE_KEEP").is_some();
        let dir = tempfile::Builder::new()
            .disable_cleanup(keep)
            .tempdir()
            .unwrap();
        let at = |name: &str| dir.path().join(name);
        ok(&[
            "generate",
            "--journal",
            arg(&at("day")),
            "--seed",
            seed,
            "--events",
            "400000",
            "--scenario",
            "systems",
        ]);
        Self::of_day(dir, speed, faults)
    }

    /// Plays the journal "day" in a folder.
    fn of_day(dir: tempfile::TempDir, speed: &str, faults: &str) -> Self {
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("faults.toml"), faults).unwrap();
        let mut child = onetape(&[
            "exchange",
            arg(&at("day")),
            "--out",
            arg(&at("exchange")),
            "--speed",
            speed,
            "--faults",
            arg(&at("faults.toml")),
        ])
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let exchange = Process(child);
        let (mut clock, mut admin) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "the exchange ended"
            );
            if let Some(text) = line.strip_prefix("--clock ") {
                clock = text.trim().to_owned();
            }
            if let Some(text) = line.strip_prefix("truth and faults at http://") {
                admin = text.trim().to_owned();
            }
            if line.trim() == "ready" {
                break;
            }
        }
        Self {
            dir,
            exchange,
            lines,
            clock,
            admin,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the daemon's configuration: the session, and the exchange's addresses.
    fn configure(&self, session: &str) {
        let addresses = std::fs::read_to_string(self.at("exchange/exchange.toml")).unwrap();
        let live = format!(
            "[live]\nhttp = \"127.0.0.1:0\"\nenv_file = {:?}\nlost_after_ms = 500\nsnapshot_every_s = 1\nverify = true\n",
            arg(&self.at("exchange/exchange.env"))
        );
        std::fs::write(
            self.at("run.toml"),
            format!("{session}\n{live}\n{addresses}"),
        )
        .unwrap();
    }

    fn command(&self) -> Command {
        let mut command = onetape(&[
            "run",
            "--journal",
            arg(&self.at("journal")),
            "--config",
            arg(&self.at("run.toml")),
            "--clock",
            &self.clock,
        ]);
        command
            .env("XDG_STATE_HOME", self.at("state"))
            .env("RUST_LOG", "error")
            .stdout(Stdio::null());
        command
    }

    fn daemon(&self) -> Process {
        Process(self.command().spawn().unwrap())
    }

    fn status(&self) -> Option<Value> {
        let output = onetape(&["status", arg(&self.at("journal"))])
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        answer.get("status").cloned()
    }

    /// Waits until the daemon shows something.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(240) {
            if self.status().is_some_and(|status| holds(&status)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: {:?}", self.status());
    }

    fn until_reconciled(&self) {
        self.until("it is reconciled", |status| {
            status["unknown_orders"] == 0
                && status["halts"].as_array().is_some_and(Vec::is_empty)
                && status["sequence"].as_u64() > Some(0)
        });
    }

    /// Lets something go wrong next.
    fn fault(&self, fault: &str) {
        let answer = post(&self.admin, "/faults", "", fault);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The truth as it stands.
    fn truth_now(&self) -> Value {
        let answer = request(&self.admin, "GET /truth", "", "");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Ends the exchange; the truth as it stood at the end.
    fn truth(mut self) -> (tempfile::TempDir, Value) {
        assert_eq!(self.exchange.terminate(), Some(0));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.lines, &mut text).unwrap();
        (self.dir, serde_json::from_str(&text).unwrap())
    }
}

fn post(address: &str, path: &str, headers: &str, body: &str) -> String {
    request(address, &format!("POST {path}"), headers, body)
}

fn request(address: &str, line: &str, headers: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        socket,
        "{line} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// No order was decided for a venue while nobody knew what it held for us.
fn nothing_was_decided_unreconciled(journal: &Path) -> u64 {
    let mut reader = Reader::open(journal).unwrap();
    let (mut venues, mut instruments) = (Vec::<String>::new(), Vec::<u16>::new());
    let mut unknown = BTreeSet::new();
    let mut orders = 0;
    while let Some(frame) = reader.next().unwrap() {
        match Event::decode(frame.tag.kind(), frame.payload).unwrap() {
            Event::InstrumentDefined(definition) => {
                let place = venues.iter().position(|v| *v == definition.venue);
                let place = place.unwrap_or_else(|| {
                    venues.push(definition.venue.clone());
                    venues.len() - 1
                });
                instruments.push(place as u16);
            }
            Event::HaltChanged(HaltChanged {
                reason: HaltReason::Unreconciled { venue },
                active,
                ..
            }) => {
                if active {
                    unknown.insert(venue.0);
                } else {
                    unknown.remove(&venue.0);
                }
            }
            // What went out with its entry is not sent.
            Event::OrderDecided(OrderDecided {
                instrument,
                attached_to: None,
                ..
            }) => {
                orders += 1;
                let venue = instruments[instrument.index()];
                assert!(!unknown.contains(&venue), "sequence {}", frame.sequence);
            }
            _ => {}
        }
    }
    orders
}

/// Everything that must hold at the end of a run: the journal is the venue's truth, and it verifies.
fn holds_the_truth(journal: &Path, truth: &Value) {
    has_the_venues_holdings(journal, truth);
    let verified = json(&["verify", arg(journal)]);
    assert_eq!(verified["identical"], true, "{verified}");
    assert!(nothing_was_decided_unreconciled(journal) > 0);
}

/// What must hold of a tape without its beginning, too.
fn has_the_venues_holdings(journal: &Path, truth: &Value) {
    assert_eq!(truth["repeated_client_ids"], serde_json::json!([]));
    let open = recover(journal).desk().orders().len();
    assert_eq!(truth["open_orders"], open, "{truth}");
    let mut held = holdings(journal);
    held.retain(|_, qty| qty != "0");
    assert_eq!(held, nonzero(&truth["holdings"]));
    let mut cash = cash(journal);
    cash.retain(|_, cash| cash != "0");
    assert_eq!(cash, nonzero(&truth["cash_changes"]));
    let halted: Vec<_> = recover(journal)
        .desk()
        .risk()
        .halts
        .iter()
        .copied()
        .collect();
    let wrong = |halt: &HaltReason| !matches!(halt, HaltReason::Stopping | HaltReason::Operator);
    assert!(!halted.iter().any(wrong), "{halted:?}");
}

/// A market maker at each of the four venues that take orders over HTTP.
fn market_makers() -> String {
    let token = token_id("btc-above-90k-jan-5-yes");
    let polymarket = format!("polymarket:{token}");
    let makers = [
        ("binance:BTCUSDT", "0.001"),
        ("kalshi:KXHIGHNY-26JAN05-B38.5", "10"),
        (polymarket.as_str(), "10"),
        ("upbit:KRW-BTC", "0.001"),
    ];
    let mut session = String::from("[modes]\n");
    for venue in ["binance", "kalshi", "polymarket", "upbit"] {
        session += &format!("{venue} = \"demo\"\n");
    }
    for (instrument, qty) in makers {
        session += &format!(
            "[[strategy]]\nname = \"market_maker\"\nid = \"{instrument}\"\n[strategy.params]\ninstrument = \"{instrument}\"\nqty = \"{qty}\"\n"
        );
    }
    session
}

/// Faults by chance, in events per million.
const FAULTS: &str = "
seed = 7
lost = 500
twice = 500
late = 500
freeze = 20
cut_off = 100
unavailable = 5000
too_many = 5000
accepted_unanswered = 20000
lost_unanswered = 20000
";

#[test]
fn a_day_on_the_wire_ends_with_the_venues_own_truth() {
    let rig = Rig::new("5", "40", "");
    rig.configure(&market_makers());
    let mut daemon = rig.daemon();
    rig.until("it trades everywhere", |status| {
        status["positions"]
            .as_object()
            .is_some_and(|held| held.len() == 4)
    });
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    assert!(truth["fills"].as_u64().unwrap() > 0);
    assert_eq!(truth["open_orders"], 0, "{truth}");
    holds_the_truth(&journal, &truth);
}

/// A limit that holds for nothing is no limit.
#[test]
fn a_limit_for_a_venue_that_lists_nothing_keeps_the_daemon_from_starting() {
    let rig = Rig::new("5", "1", "");
    let limit = "[risk.venues.binnance]\nmax_position = \"1\"\n";
    rig.configure(&format!("{limit}{}", market_makers()));
    let output = rig.command().arg("--json").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    assert!(
        complaint.contains("risk.venues names 'binnance', and the tape has no such venue"),
        "{complaint}"
    );
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_with_a_lying_venue_ends_with_the_venues_own_truth() {
    let kills: u64 = std::env::var("ONETAPE_TORTURE").map_or(5, |kills| kills.parse().unwrap());
    let rig = Rig::new("6", "20", FAULTS);
    rig.configure(&market_makers());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 1..=kills {
        let daemon = rig.daemon();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(300 + random % 3_000));
        drop(daemon);
        if kill % 5 == 0 {
            // One more, asked to end as soon as it can trade, which is when its first orders go out.
            let mut daemon = rig.daemon();
            rig.until_reconciled();
            assert_eq!(daemon.terminate(), Some(0));
            let truth = rig.truth_now();
            println!("{kill} kills: {} fills", truth["fills"]);
            assert_eq!(truth["open_orders"], 0, "{truth}");
        }
    }
    let mut daemon = rig.daemon();
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    println!("{kills} kills: {truth}");
    assert_eq!(truth["open_orders"], 0, "{truth}");
    holds_the_truth(&journal, &truth);
}
