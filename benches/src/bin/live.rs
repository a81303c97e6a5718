//! The daemon on the wire: `onetape run` as a process of its own against a local Binance on loopback sockets, no TLS.
//!
//! `cargo build --release && cargo run --release -p onetape-benches --bin live -- [all | latency | throughput | soak]`
//! `soak` takes ten minutes: seven days at a thousand times their pace.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that can't run has nothing to report"
)]

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hdrhistogram::Histogram;
use onetape_engine::event::{
    Aggressor, Event, FeeSchedule, InstrumentDefined, InstrumentType, Quote, Trade, TradingRules,
};
use onetape_engine::fees::{FeeAccrual, FeeFormula, Rounding, RoundingMode};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Money, Price, Qty};
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use onetape_venues::binance::Signer;
use onetape_venues::exchange::binance::{Keys, router};
use onetape_venues::exchange::{Cash, Exchange, ExchangeClock, FaultPlan, wall_now};
use rust_decimal::Decimal;
use rustix::thread::{sched_getaffinity, sched_setaffinity};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const KEY: &str = "a key of this run";
const SECRET: &str = "a secret of this run";
/// The first price, in cents.
const MID: i64 = 9_000_000;
/// When the venue's day begins: 2026-01-05, 12:00 UTC.
const NOON: Nanos = Nanos(1_767_614_400 * 1_000_000_000);

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let all = what == "all";
    for (name, measure) in [
        ("latency", latency as fn()),
        ("throughput", throughput),
        ("soak", soak),
    ] {
        if all || what == name {
            println!("\n{name}");
            measure();
        }
    }
}

/// When the venue last showed a price, and how long after that an order or cancel came.
#[derive(Default)]
struct Seen {
    shown_at: Option<Instant>,
    answered: Option<Histogram<u64>>,
}

/// Bitcoin in dollars: cents, 1/100,000 of a coin, 10 bps.
fn market() -> [Event<'static>; 3] {
    let instrument = InstrumentId(0);
    let formula = FeeFormula::Notional {
        rate: Decimal::new(1, 3),
    };
    [
        Event::InstrumentDefined(Box::new(InstrumentDefined {
            instrument,
            venue: "binance".to_owned(),
            symbol: "BTCUSDT".to_owned(),
            instrument_type: InstrumentType::Spot,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            decimals: Decimals { price: 2, qty: 5 },
        })),
        Event::TradingRules(TradingRules {
            instrument,
            effective_from: Nanos(0),
            tick_size: Price(1),
            lot_size: Qty(1),
            min_qty: Qty(1),
            min_notional: Money::ZERO,
            min_price: Price(1),
            max_price: Price(100_000_000),
            bands: Vec::new(),
            allows_short: true,
        }),
        Event::FeeSchedule(Box::new(FeeSchedule {
            instrument,
            effective_from: Nanos(0),
            maker: formula,
            taker: formula,
            rounding: Rounding {
                decimals: 8,
                mode: RoundingMode::Up,
            },
            source: "a measurement".to_owned(),
            accrual: FeeAccrual::PerFill,
        })),
    ]
}

/// A local Binance with one instrument, and the daemon that trades there.
struct Rig {
    runtime: tokio::runtime::Runtime,
    exchange: Arc<Exchange>,
    seen: Arc<Mutex<Seen>>,
    dir: tempfile::TempDir,
    daemon: Child,
    http: SocketAddr,
}

async fn clocked(State(seen): State<Arc<Mutex<Seen>>>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/api/v3/order" && request.method() != axum::http::Method::GET {
        let mut seen = seen.lock().expect("no holder panics");
        // Only what a price led to: what follows from the venue's own answers has no tick.
        if let Some(shown_at) = seen.shown_at.take() {
            let histogram = seen.answered.get_or_insert_with(|| {
                Histogram::new_with_max(60_000_000_000, 3).expect("a minute in three digits")
            });
            histogram.saturating_record(shown_at.elapsed().as_nanos() as u64);
        }
    }
    next.run(request).await
}

impl Rig {
    fn new(speed: u32, live: &str, strategy: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let clock = ExchangeClock {
            wall_origin: wall_now(),
            origin: NOON,
            speed,
        };
        let exchange = Exchange::new(clock, Cash::new(), FaultPlan::default());
        for event in market() {
            exchange
                .with(|truth| truth.evolve(NOON, &event))
                .expect("the market takes it");
        }
        exchange.with(|truth| truth.endow(Decimal::from(1_000_000_000)));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let keys = Keys::new(Signer::hmac(
            KEY.to_owned().into(),
            &SECRET.to_owned().into(),
        ));
        let app = router(exchange.clone(), keys).layer(from_fn_with_state(seen.clone(), clocked));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(async move { axum::serve(listener, app).await });
        // A minute of the wall's, however fast the venue's own time goes.
        let silence_ms = 60_000 * speed;
        let config = format!(
            "{strategy}\n[live]\nhttp = \"127.0.0.1:0\"\n{live}\n\
             [venues.binance]\nsymbols = [\"BTCUSDT\"]\ninventory = true\nread_per_s = 2000\nwrite_per_s = 100000\nsilence_ms = {silence_ms}\n\
             [venues.binance.addresses]\nrest = \"http://{address}\"\nstream = \"ws://{address}\"\nws_api = \"ws://{address}\"\n"
        );
        std::fs::write(dir.path().join("run.toml"), config).expect("a file");
        let mut daemon = Command::new(binary())
            .args(["run", "--journal"])
            .arg(dir.path().join("journal"))
            .arg("--config")
            .arg(dir.path().join("run.toml"))
            .arg("--clock")
            .arg(format!(
                "{},{},{speed}",
                clock.wall_origin.0, clock.origin.0
            ))
            .env("BINANCE_API_KEY", KEY)
            .env("BINANCE_SECRET_KEY", SECRET)
            .env("XDG_STATE_HOME", dir.path())
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut lines = BufReader::new(daemon.stdout.take().expect("a pipe")).lines();
        let mut http = None;
        for line in &mut lines {
            let line = line.expect("a line");
            if let Some(rest) = line.strip_prefix("http://") {
                http = rest.split(' ').next().and_then(|text| text.parse().ok());
            }
            if line == "ready" {
                break;
            }
        }
        let rig = Self {
            runtime,
            exchange,
            seen,
            dir,
            daemon,
            http: http.expect("the daemon says where it listens"),
        };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            rig.show(began.elapsed().as_nanos() as i64 % 100);
            if rig.get("/readyz").starts_with("HTTP/1.1 200") {
                return rig;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the daemon is not ready: {}", rig.get("/readyz"));
    }

    /// Shows a best bid and ask around the mid plus `ticks`.
    fn show(&self, ticks: i64) {
        let at = self.exchange.now();
        let quote = Quote {
            instrument: InstrumentId(0),
            flags: 0,
            venue_time_ns: at.0,
            update_id: 0,
            bid_price: Price(MID + ticks - 1),
            bid_qty: Qty(100_000),
            ask_price: Price(MID + ticks),
            ask_qty: Qty(100_000),
        };
        self.seen.lock().expect("no holder panics").shown_at = Some(Instant::now());
        self.exchange
            .with(|truth| truth.evolve(at, &Event::Quote(&quote)))
            .expect("the market takes it");
    }

    /// Shows a trade at the mid: prices that follow each other closely are one message on this venue's wire, trades are not.
    fn trade(&self, trade_id: u64) {
        let at = self.exchange.now();
        let trade = Trade {
            instrument: InstrumentId(0),
            aggressor: Aggressor::Buyer.byte(),
            reserved: [0; 3],
            venue_time_ns: at.0,
            trade_id,
            price: Price(MID),
            qty: Qty(1),
        };
        self.exchange
            .with(|truth| truth.evolve(at, &Event::Trade(&trade)))
            .expect("the market takes it");
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(self.http).expect("the daemon listens");
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// A figure of `/metrics`.
    fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The daemon's largest and present memory in MiB, and the processor time that it took in seconds.
    fn process(&self) -> (f64, f64, f64) {
        let of = |file: &str| {
            std::fs::read_to_string(format!("/proc/{}/{file}", self.daemon.id()))
                .expect("the daemon runs")
        };
        let status = of("status");
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kib = line.and_then(|line| line.split_whitespace().nth(1));
            kib.and_then(|kib| kib.parse::<f64>().ok())
                .expect("a figure")
                / 1024.0
        };
        let stat = of("stat");
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
        let ticks: f64 = fields
            .skip(11)
            .take(2)
            .filter_map(|f| f.parse::<f64>().ok())
            .sum();
        (mib("VmHWM:"), mib("VmRSS:"), ticks / 100.0)
    }

    /// Asks the daemon to end; its journal.
    fn end(mut self) -> (tempfile::TempDir, PathBuf) {
        let id = self.daemon.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.expect("kill runs").success());
        assert!(self.daemon.wait().expect("it ends").success());
        self.runtime.shutdown_background();
        let journal = self.dir.path().join("journal");
        (self.dir, journal)
    }
}

/// The product's own binary, built beside this one.
fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let binary = own.with_file_name("onetape");
    assert!(
        binary.exists(),
        "no {}: run 'cargo build --release' first",
        binary.display()
    );
    binary
}

const MAKER: &str = "[[strategy]]\nname = \"market_maker\"\nid = \"maker\"\n[strategy.params]\n\
                     instrument = \"binance:BTCUSDT\"\nsource = \"quotes\"\nqty = \"0.001\"\n";

/// Market orders on the cross of two short averages, so that a tick leads to an order and nothing stands between.
const CROSS: &str = "[[strategy]]\nname = \"ema_cross\"\nid = \"cross\"\n[strategy.params]\n\
                     instrument = \"binance:BTCUSDT\"\nfast = 2\nslow = 4\nqty = \"0.001\"\n";

fn latency() {
    let everywhere = sched_getaffinity(None).expect("this thread runs somewhere");
    for (wait, core, strategy, name) in [
        ("spin", Some(0), CROSS, "market order on a tick"),
        ("spin", None, CROSS, "market order on a tick"),
        ("yield", None, CROSS, "market order on a tick"),
        ("park", None, CROSS, "market order on a tick"),
        ("park", None, MAKER, "cancel and replace"),
    ] {
        let session = format!("[modes]\nbinance = \"demo\"\n{strategy}");
        let mut live = format!("wait = \"{wait}\"");
        // A venue is elsewhere: where the core has a processor to itself, this one's is another.
        let mut elsewhere = everywhere;
        if let Some(cpu) = core {
            elsewhere.unset(cpu);
            live += &format!("\npin_core_to_cpu = {cpu}");
        }
        sched_setaffinity(None, &elsewhere).expect("there is another processor");
        let rig = Rig::new(1, &live, &session);
        *rig.seen.lock().expect("no holder panics") = Seen::default();
        for tick in 0..4_000_i64 {
            // Up and down in steps that cross the averages.
            rig.show(if tick / 8 % 2 == 0 { 400 } else { -400 } + tick % 2);
            std::thread::sleep(Duration::from_micros(2_500));
        }
        let us = |name: &str| rig.metric(&format!("onetape_order_latency_seconds{name}")) * 1e6;
        let quantile = |q: &str| us(&format!("{{venue=\"binance\",quantile=\"{q}\"}}"));
        let count = us("_count{venue=\"binance\"}") / 1e6;
        println!(
            "wait = {wait}{}, {name}: {count} requests; in the daemon p50 {:.1} us, p99 {:.1} us, p99.9 {:.1} us",
            core.map_or(String::new(), |cpu| format!(
                ", the core alone on processor {cpu}"
            )),
            quantile("0.5"),
            quantile("0.99"),
            quantile("0.999")
        );
        let seen = rig.seen.lock().expect("no holder panics");
        if let Some(answered) = &seen.answered {
            let us = |q: f64| answered.value_at_quantile(q) as f64 / 1e3;
            println!(
                "  as the venue sees it, its own work and both sockets included: {} requests, p50 {:.1} us, p99 {:.1} us",
                answered.len(),
                us(0.5),
                us(0.99)
            );
        }
        drop(seen);
        rig.end();
    }
    sched_setaffinity(None, &everywhere).expect("it ran there before");
}

/// Shows so many trades a second for so long, with a new price about every millisecond; how many trades.
fn shows(rig: &Rig, per_second: u64, lasting: Duration, each_second: &mut dyn FnMut(&Rig)) -> u64 {
    let began = Instant::now();
    let (mut shown, mut seconds, mut turns) = (0_u64, 0, 0_i64);
    while began.elapsed() < lasting {
        let due = (began.elapsed().as_secs_f64() * per_second as f64) as u64;
        while shown < due {
            shown += 1;
            rig.trade(shown);
        }
        turns += 1;
        rig.show(turns % 1_000);
        if began.elapsed().as_secs() > seconds {
            seconds = began.elapsed().as_secs();
            each_second(rig);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    shown
}

/// What a tape has of a venue's messages.
struct OnTape {
    trades: u64,
    quotes: u64,
    orders: u64,
    /// Whether the core ever fell behind.
    behind: bool,
}

fn on_tape(journal: &Path, from_sequence: u64) -> OnTape {
    let mut reader = Reader::open(journal).expect("the journal opens");
    let mut seen = OnTape {
        trades: 0,
        quotes: 0,
        orders: 0,
        behind: false,
    };
    while let Some(frame) = reader.next().expect("every frame verifies") {
        match Event::decode(frame.tag.kind(), frame.payload).expect("a frame of ours") {
            Event::Trade(_) => seen.trades += 1,
            Event::Quote(_) if frame.sequence >= from_sequence => seen.quotes += 1,
            Event::OrderDecided(_) => seen.orders += 1,
            Event::OperatorCommand(command) => {
                seen.behind |= format!("{:?}", command.action).contains("Backlog");
            }
            _ => {}
        }
    }
    seen
}

/// Waits until the tape no longer grows by market data; its next sequence.
fn settled(rig: &Rig) -> u64 {
    std::thread::sleep(Duration::from_secs(2));
    rig.metric("onetape_sequence ") as u64 + 1
}

fn throughput() {
    for per_second in [20_000, 40_000] {
        let rig = Rig::new(1, "", &format!("[modes]\nbinance = \"paper\"\n{MAKER}"));
        let from = settled(&rig);
        let (_, _, cpu_before) = rig.process();
        let mut most_waiting = 0.0_f64;
        let lasting = Duration::from_secs(30);
        let shown = shows(&rig, per_second, lasting, &mut |rig| {
            most_waiting = most_waiting.max(rig.metric("onetape_inputs_waiting "));
        });
        settled(&rig);
        let (peak, _, cpu) = rig.process();
        let (_dir, journal) = rig.end();
        let seen = on_tape(&journal, from);
        println!(
            "{:.0} messages/s for {} s: {shown} trades sent, {} on the tape, {} prices and {} orders with them; \
             at most {most_waiting} waited when looked at, fell behind: {}; {:.0} % of one processor, peak {peak:.0} MiB",
            (seen.trades + seen.quotes) as f64 / lasting.as_secs_f64(),
            lasting.as_secs(),
            seen.trades,
            seen.quotes,
            seen.orders,
            seen.behind,
            (cpu - cpu_before) / lasting.as_secs_f64() * 100.0
        );
        assert_eq!(shown, seen.trades, "messages were dropped");
    }
}

/// The bound of the journal in the soak, in MiB, and the memory that a daemon may take.
const JOURNAL_MAX_MIB: u64 = 512;
const MEMORY_MAX_MIB: f64 = 512.0;

/// A week with a trade every 200 ms of its own time and a price about every second, within a bound.
fn soak() {
    const SPEED: u32 = 1_000;
    let live = format!(
        "snapshot_every_s = 5\nsegment_mib = 16\nverify = true\njournal_max_mib = {JOURNAL_MAX_MIB}\n"
    );
    let session = format!("[modes]\nbinance = \"paper\"\n{MAKER}");
    let rig = Rig::new(SPEED, &live, &session);
    let lasting = Duration::from_secs(7 * 86_400 / u64::from(SPEED));
    let (mut seconds, mut most_mib) = (0_u64, 0_u64);
    let shown = shows(&rig, 5_000, lasting, &mut |rig| {
        seconds += 1;
        let journal_mib = rig.metric("onetape_journal_bytes ") as u64 >> 20;
        most_mib = most_mib.max(journal_mib);
        if seconds % 86 == 0 {
            let (peak, now, _) = rig.process();
            let day = seconds / 86;
            println!("day {day}: {now:.0} MiB, peak {peak:.0} MiB, journal {journal_mib} MiB");
        }
    });
    let frames = settled(&rig) - 1;
    let verified = rig.metric("onetape_verified_sequence ");
    let (peak, ..) = rig.process();
    let (_dir, journal) = rig.end();
    let mut reader = Reader::open(&journal).expect("the journal opens");
    let first = reader
        .next()
        .expect("a frame that verifies")
        .map(|f| f.sequence);
    println!(
        "7 days, {shown} trades, {frames} frames, {verified} of them decided a second time: peak {peak:.0} MiB; \
         journal {most_mib} MiB at the most, and in the end from frame {} on",
        first.unwrap_or(0)
    );
    assert!(frames > shown, "messages were dropped");
    assert!(peak < MEMORY_MAX_MIB, "too much memory");
    assert!(most_mib <= JOURNAL_MAX_MIB, "too large a journal");
}
