//! Workloads and clocks that the measurements share. Every workload is generated or recorded input on a journal on disk,
//! and every measurement checks what it did before it reports a figure.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that can't run has nothing to report"
)]

use onetape_backtest::generate::{self, GenerateOptions, Scenario};
use onetape_engine::event::{Event, Kind, SessionStart};
use onetape_engine::sequencer::{NullSink, Sequencer, Sink};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::strategy::StrategyParams;
use onetape_engine::time::Nanos;
use onetape_journal::{Options, Reader, Tag, Writer};
use std::path::{Path, PathBuf};

/// CPU seconds of this process, all its threads.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The median of the figures that `measure` gives in `runs` runs.
pub fn median(runs: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..runs).map(|_| measure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A generated day in `dir`, made once.
pub fn day(dir: &Path, scenario: Scenario, events: u64) -> PathBuf {
    let journal = dir.join(format!("{}-{events}", scenario.name()));
    if !journal.exists() {
        let options = GenerateOptions {
            journal: journal.clone(),
            seed: 1,
            events,
            scenario,
        };
        generate::run(&options, &mut |_| {}).expect("the day is generated");
    }
    journal
}

/// A session of one strategy with parameters changed by `change`.
pub fn session(strategy: Option<StrategyParams>) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.risk.max_data_age_ms = u64::MAX;
    config
        .strategies
        .extend(strategy.map(|params| StrategyConfig {
            id: params.name().to_owned(),
            params,
        }));
    config
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replayed {
    /// CPU seconds.
    pub cpu_s: f64,
    /// Inputs.
    pub inputs: u64,
    /// Orders decided.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
}

/// Replays a journal's first `limit` inputs through the sequencer, checksums verified.
pub fn replay(journal: &Path, config: &SessionConfig, limit: u64) -> Replayed {
    replay_into(journal, config, limit, NullSink)
}

/// As [`replay`], with the frames going to `sink`.
pub fn replay_into<S: Sink>(
    journal: &Path,
    config: &SessionConfig,
    limit: u64,
    sink: S,
) -> Replayed {
    let mut reader = Reader::open(journal).expect("the journal opens");
    let started = cpu_seconds();
    let mut sequencer = Sequencer::new(sink);
    let mut inputs = 0;
    while let Some(frame) = reader.next().expect("every frame verifies") {
        let at = Nanos(frame.timestamp_ns);
        if inputs == 0 {
            sequencer
                .step(at, Kind::SessionStart.number(), &session_payload(config))
                .expect("the session starts");
        }
        sequencer
            .step(at, frame.tag.kind(), frame.payload)
            .expect("every input is taken");
        inputs += 1;
        if inputs == limit {
            break;
        }
    }
    let cpu_s = cpu_seconds() - started;
    let stats = sequencer.desk().stats();
    Replayed {
        cpu_s,
        inputs,
        orders: stats.orders,
        fills: stats.fills,
    }
}

/// A session's start as a payload.
pub fn session_payload(config: &SessionConfig) -> Vec<u8> {
    let mut payload = Vec::new();
    let start = SessionStart {
        engine_version: String::new(),
        logic_hash: String::new(),
        config: config.clone(),
    };
    Event::SessionStart(Box::new(start)).encode(&mut payload);
    payload
}

/// Counts book levels in a journal.
pub fn count_levels(journal: &Path) -> u64 {
    let mut reader = Reader::open(journal).expect("the journal opens");
    let mut levels = 0;
    while let Some(frame) = reader.next().expect("every frame verifies") {
        if let Ok(Event::BookDelta(update) | Event::BookSnapshot(update)) =
            Event::decode(frame.tag.kind(), frame.payload)
        {
            levels += (update.bids.len() + update.asks.len()) as u64;
        }
    }
    levels
}

/// Writes a recorded journal's inputs again and again, each copy later by the recording's length, until it has at least
/// `levels` book levels. Each copy begins with the recording's own snapshot.
pub fn tile(recorded: &Path, out: &Path, levels: u64) {
    let once = count_levels(recorded);
    let copies = levels.div_ceil(once.max(1));
    let mut writer = Writer::create(out, Options::default()).expect("the tiled journal is made");
    let (mut shift_ns, mut last_ns) = (0, 0);
    for copy in 0..copies {
        let mut reader = Reader::open(recorded).expect("the recording opens");
        let mut first_ns = None;
        while let Some(frame) = reader.next().expect("every frame verifies") {
            const DEFINITIONS: [Kind; 4] = [
                Kind::DataSource,
                Kind::InstrumentDefined,
                Kind::TradingRules,
                Kind::FeeSchedule,
            ];
            let is_definition = DEFINITIONS
                .iter()
                .any(|kind| kind.number() == frame.tag.kind());
            if copy > 0 && is_definition {
                continue;
            }
            let first_ns = *first_ns.get_or_insert(frame.timestamp_ns);
            if copy > 0 && shift_ns == 0 {
                shift_ns = last_ns + 1_000_000 - first_ns;
            }
            let at_ns = frame.timestamp_ns + shift_ns;
            last_ns = at_ns;
            let tag = Tag::input(frame.tag.kind()).with_step_end(true);
            writer
                .append(tag, at_ns, frame.payload)
                .expect("the frame is written");
        }
        shift_ns = 0;
    }
    writer.close().expect("the tiled journal closes");
}
