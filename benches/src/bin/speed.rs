//! The table of `benches/README.md`: ratios and rates measured in one run, by CPU time.
//!
//! `cargo run --release -p onetape-benches --bin speed -- [all | journal | l1 | l2 | orders | latency | memory] [DIR]`
//! DIR keeps the generated journals (some GB) for the next run; without it they go to a temporary directory.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that can't run has nothing to report"
)]

use hdrhistogram::Histogram;
use onetape_backtest::JournalSink;
use onetape_backtest::generate::Scenario;
use onetape_benches::{
    count_levels, cpu_seconds, day, median, replay, replay_into, session, session_payload, tile,
};
use onetape_engine::event::Kind;
use onetape_engine::sequencer::Sequencer;
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::Nanos;
use onetape_journal::{Options, Reader, Tag, Writer};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RUNS: usize = 5;
const EVENTS: u64 = 5_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_else(|| "all".to_owned());
    let kept = args.next().map(PathBuf::from);
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = kept.as_deref().unwrap_or(temporary.path());
    if what == "peak" {
        // The child of `memory`: replays and says how much memory that took.
        replay(dir, &session(StrategyParams::named("ema_cross")), u64::MAX);
        println!("{}", peak_kib());
        return;
    }
    std::fs::create_dir_all(dir).expect("the directory for journals");
    let all = what == "all";
    for (name, measure) in [
        ("journal", journal as fn(&Path)),
        ("l1", l1),
        ("l2", l2),
        ("orders", orders),
        ("latency", latency),
        ("memory", memory),
    ] {
        if all || what == name {
            println!("\n{name}");
            measure(dir);
        }
    }
}

fn params(name: &str) -> Option<StrategyParams> {
    Some(StrategyParams::named(name).expect("a registered strategy"))
}

/// Append and scan of 64-byte payloads against the loop that does the least that either must: copy and checksum.
fn journal(dir: &Path) {
    const FRAMES: usize = 400_000;
    const PAYLOAD: usize = 64;
    let payload = [7u8; PAYLOAD];
    let mut memory = vec![0u8; FRAMES * (PAYLOAD + 24)];
    let copy_and_sum = |memory: &mut [u8]| {
        let started = cpu_seconds();
        for frame in memory.chunks_exact_mut(PAYLOAD + 24) {
            let sum = crc32c::crc32c(black_box(&payload));
            frame[24..].copy_from_slice(black_box(&payload));
            frame[..4].copy_from_slice(&sum.to_le_bytes());
        }
        (cpu_seconds() - started) / FRAMES as f64 * 1e9
    };
    copy_and_sum(&mut memory);
    let floor = median(RUNS, || copy_and_sum(&mut memory));
    let sum_floor = median(RUNS, || {
        let started = cpu_seconds();
        let mut sums = 0u32;
        for frame in memory.chunks_exact(PAYLOAD + 24) {
            sums = sums.wrapping_add(crc32c::crc32c(black_box(&frame[8..])));
        }
        black_box(sums);
        (cpu_seconds() - started) / FRAMES as f64 * 1e9
    });
    let path = dir.join("append");
    let append = median(RUNS, || {
        let _ = std::fs::remove_dir_all(&path);
        let mut writer = Writer::create(&path, Options::default()).expect("a journal");
        // Into a large segment that is ready, as in a live run: small first segments and their preparation come before.
        let warm_up = 600_000;
        for at in 0..warm_up {
            writer
                .append(Tag::input(7).with_step_end(true), at, &payload)
                .expect("an append");
        }
        std::thread::sleep(Duration::from_millis(300));
        let started = cpu_seconds();
        for at in 0..FRAMES as u64 {
            writer
                .append(Tag::input(7).with_step_end(true), warm_up + at, &payload)
                .expect("an append");
        }
        let each = (cpu_seconds() - started) / FRAMES as f64 * 1e9;
        writer.close().expect("the journal closes");
        each
    });
    let scan = median(RUNS, || {
        let mut reader = Reader::open(&path).expect("the journal opens");
        let (started, mut frames) = (cpu_seconds(), 0u64);
        while let Some(frame) = reader.next().expect("every frame verifies") {
            frames += u64::from(frame.payload.len() == PAYLOAD);
        }
        (cpu_seconds() - started) / frames as f64 * 1e9
    });
    println!("  copy and checksum of 64 B        {floor:6.1} ns");
    println!(
        "  append of a 64 B frame           {append:6.1} ns   {:.2} x the loop",
        append / floor
    );
    println!("  checksum of 80 B                 {sum_floor:6.1} ns");
    println!(
        "  scan of a 64 B frame, verified   {scan:6.1} ns   {:.2} x the loop   {:.1} M frames/s",
        scan / sum_floor,
        1e3 / scan
    );
    commit_to_visible(dir);
    let _ = std::fs::remove_dir_all(&path);
}

/// From just before an append in one thread to the frame's arrival in another.
fn commit_to_visible(dir: &Path) {
    const FRAMES: u64 = 200_000;
    let path = dir.join("visible");
    let _ = std::fs::remove_dir_all(&path);
    let mut writer = Writer::create(&path, Options::default()).expect("a journal");
    let origin = Instant::now();
    let now_ns = move || u64::try_from(origin.elapsed().as_nanos()).expect("a short run");
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut reader = Reader::open(&path).expect("the journal opens");
            let mut delays = Histogram::<u64>::new(3).expect("a histogram");
            while delays.len() < FRAMES {
                match reader.next().expect("every frame verifies") {
                    Some(frame) => {
                        delays.saturating_record(now_ns().saturating_sub(frame.timestamp_ns))
                    }
                    None => std::hint::spin_loop(),
                }
            }
            delays
        }
    });
    for _ in 0..FRAMES {
        let due = now_ns() + 2_000;
        while now_ns() < due {
            std::hint::spin_loop();
        }
        writer
            .append(Tag::input(7).with_step_end(true), now_ns(), &[0; 64])
            .expect("an append");
    }
    let delays = reader.join().expect("the reader ends");
    println!(
        "  append to visible, other thread  p50 {} ns   p99 {} ns",
        delays.value_at_quantile(0.5),
        delays.value_at_quantile(0.99)
    );
    drop(writer);
    let _ = std::fs::remove_dir_all(&path);
}

/// Quotes: a strategy-free replay, and an EMA cross that trades about every twentieth quote.
fn l1(dir: &Path) {
    let quotes = day(dir, Scenario::Quotes, EVENTS);
    for (name, strategy) in [
        ("do-nothing", None),
        ("EMA 10/20, paper fills", params("ema_cross")),
    ] {
        let config = session(strategy);
        let mut last = replay(&quotes, &config, u64::MAX);
        let rate = median(RUNS, || {
            last = replay(&quotes, &config, u64::MAX);
            last.inputs as f64 / last.cpu_s / 1e6
        });
        assert!(
            config.strategies.is_empty() || last.fills > EVENTS / 40,
            "the EMA must trade: {last:?}"
        );
        println!(
            "  L1 {name:<24} {rate:6.1} M events/s   {} orders, {} fills",
            last.orders, last.fills
        );
    }
    let (config, out) = (session(params("ema_cross")), dir.join("l1-out"));
    let rate = median(3, || {
        let _ = std::fs::remove_dir_all(&out);
        let sink = JournalSink::new(Writer::create(&out, Options::default()).expect("a journal"));
        let run = replay_into(&quotes, &config, u64::MAX, sink);
        run.inputs as f64 / run.cpu_s / 1e6
    });
    println!("  L1 EMA into a new journal        {rate:6.1} M events/s");
    let _ = std::fs::remove_dir_all(&out);
}

/// Depth: a market maker that looks at its quotes on every event.
fn l2(dir: &Path) {
    let synthetic = day(dir, Scenario::Depth, EVENTS);
    let mut feeds = vec![("synthetic worst case", synthetic)];
    let recording = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/binance/usdm_btcusdt_20240808.gz");
    if recording.exists() {
        let (once, tiled) = (dir.join("usdm-once"), dir.join("usdm-tiled"));
        if !tiled.exists() {
            let _ = std::fs::remove_dir_all(&once);
            import(&recording, &once);
            tile(&once, &tiled, EVENTS);
        }
        feeds.push(("recorded futures, tiled", tiled));
    } else {
        println!("  recorded futures: left out, ../shared/data is not there");
    }
    for (name, journal) in feeds {
        let levels = count_levels(&journal);
        for (what, strategy) in [
            ("do-nothing", None),
            ("market maker", Some(close_market_maker())),
        ] {
            let config = session(strategy);
            let mut last = replay(&journal, &config, u64::MAX);
            let rate = median(RUNS, || {
                last = replay(&journal, &config, u64::MAX);
                levels as f64 / last.cpu_s / 1e6
            });
            let frames = last.inputs as f64 / last.cpu_s / 1e6;
            assert!(
                config.strategies.is_empty() || last.orders > 1_000,
                "the market maker must quote: {last:?}"
            );
            println!(
                "  L2 {name:<24} {what:<13} {rate:6.1} M levels/s   {frames:5.1} M frames/s   {} orders, {} fills",
                last.orders, last.fills
            );
        }
    }
}

/// A market maker a few ticks from the mid that follows every move of it.
fn close_market_maker() -> StrategyParams {
    let mut params = params("market_maker").expect("a registered strategy");
    if let StrategyParams::MarketMaker(params) = &mut params {
        (
            params.half_spread_cbps,
            params.requote_cbps,
            params.skew_cbps,
        ) = (1, 0, 1);
    }
    params
}

fn import(file: &Path, journal: &Path) {
    let options = onetape_backtest::import::ImportOptions {
        journal: journal.to_path_buf(),
        files: vec![file.to_path_buf()],
        ..Default::default()
    };
    onetape_backtest::import::run(&options, &mut |_| {}).expect("the recording is imported");
}

/// What an order costs, from a thousand to a million of them.
fn orders(dir: &Path) {
    let quotes = day(dir, Scenario::Quotes, EVENTS);
    let Some(StrategyParams::EmaCross(mut ema)) = params("ema_cross") else {
        return;
    };
    (ema.fast, ema.slow) = (1, 2);
    let (trading, idle) = (session(Some(StrategyParams::EmaCross(ema))), session(None));
    for limit in [5_000, 50_000, 500_000, EVENTS] {
        let runs = if limit < 500_000 { 51 } else { RUNS };
        let without = median(runs, || replay(&quotes, &idle, limit).cpu_s);
        let mut last = replay(&quotes, &trading, limit);
        let with = median(runs, || {
            last = replay(&quotes, &trading, limit);
            last.cpu_s
        });
        let each = (with - without) / last.orders as f64 * 1e9;
        println!(
            "  {:>9} orders   {each:6.0} ns each: two averages, decision, gates, paper fill, accounting",
            last.orders
        );
    }
}

/// From a tick's arrival to its decision in the journal, in one process.
fn latency(dir: &Path) {
    let quotes = day(dir, Scenario::Quotes, EVENTS);
    let out = dir.join("latency-out");
    let _ = std::fs::remove_dir_all(&out);
    let writer = Writer::create(&out, Options::default()).expect("a journal");
    let mut sequencer = Sequencer::new(JournalSink::new(writer));
    let mut reader = Reader::open(&quotes).expect("the journal opens");
    let mut decided = Histogram::<u64>::new(3).expect("a histogram");
    let mut quiet = Histogram::<u64>::new(3).expect("a histogram");
    let config = session(params("ema_cross"));
    let mut inputs = 0u64;
    while let Some(frame) = reader.next().expect("every frame verifies") {
        let at = Nanos(frame.timestamp_ns);
        if inputs == 0 {
            sequencer
                .step(at, Kind::SessionStart.number(), &session_payload(&config))
                .expect("the session starts");
        }
        inputs += 1;
        // Two million ticks a second: a busy feed, not a flat-out replay that waits for segments to be prepared.
        let due = Instant::now() + Duration::from_nanos(500);
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        let orders = sequencer.desk().stats().orders;
        let started = Instant::now();
        sequencer
            .step(at, frame.tag.kind(), frame.payload)
            .expect("every input is taken");
        let took = u64::try_from(started.elapsed().as_nanos()).expect("a short step");
        let which = if sequencer.desk().stats().orders > orders {
            &mut decided
        } else {
            &mut quiet
        };
        which.saturating_record(took);
        if inputs == 3_000_000 {
            break;
        }
    }
    for (name, histogram) in [("with a decision", &decided), ("without one", &quiet)] {
        println!(
            "  tick to journal, {name:<16} p50 {} ns   p99 {} ns   p99.9 {} ns   max {} us   ({} ticks, clock included)",
            histogram.value_at_quantile(0.5),
            histogram.value_at_quantile(0.99),
            histogram.value_at_quantile(0.999),
            histogram.max() / 1_000,
            histogram.len()
        );
    }
    drop(sequencer);
    let _ = std::fs::remove_dir_all(&out);
}

/// Peak memory of a backtest of a day and of one ten times as long, each in a process of its own.
fn memory(dir: &Path) {
    let mut peaks = Vec::new();
    for events in [EVENTS, 10 * EVENTS] {
        let quotes = day(dir, Scenario::Quotes, events);
        let exe = std::env::current_exe().expect("this binary");
        let output = std::process::Command::new(exe)
            .arg("peak")
            .arg(&quotes)
            .output()
            .expect("the child runs");
        let peak: u64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .expect("a number of KiB");
        println!(
            "  peak memory of a backtest of {events:>9} events   {:.1} MiB",
            peak as f64 / 1024.0
        );
        peaks.push(peak as f64);
        if events > EVENTS {
            let _ = std::fs::remove_dir_all(&quotes);
        }
    }
    println!(
        "  ten times the day: {:.3} x the memory",
        peaks[1] / peaks[0]
    );
}

/// The most memory that this process ever held, KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number of KiB")
}
