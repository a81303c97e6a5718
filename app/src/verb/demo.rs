//! `onetape demo`: a generated day traded on paper, its process killed in the middle, recovered and verified.
use crate::cli::Demo;
use crate::failure::{Exit, Failure};
use crate::verb::backtest;
use crate::{config, output};
use onetape_backtest::{BacktestOptions, Summary, recover, verify};
use onetape_journal::{Reader, root_hash};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The fixture day: a journal of inputs, archived (fixtures/README.md says how it is made).
const DAY: [(&str, &[u8]); 4] = [
    (
        "0000000000000000.seg.zst",
        include_bytes!("../../../fixtures/mixed-day/0000000000000000.seg.zst"),
    ),
    (
        "0000000000000001.seg.zst",
        include_bytes!("../../../fixtures/mixed-day/0000000000000001.seg.zst"),
    ),
    (
        "0000000000000002.seg.zst",
        include_bytes!("../../../fixtures/mixed-day/0000000000000002.seg.zst"),
    ),
    (
        "CONTROL",
        include_bytes!("../../../fixtures/mixed-day/CONTROL"),
    ),
];
/// What the demo trades with, also an example to start from.
const CONFIG: &str = include_str!("../../../examples/demo.toml");
/// Shows that a directory was made by a demo and may be replaced.
const MARKER: &str = "made-by-onetape-demo";

#[derive(Serialize)]
struct Report {
    summary: Summary,
    killed_at_sequence: u64,
    recovered_frames: u64,
    verified: bool,
    root_hash: String,
    state_hash: String,
    inputs_per_second: u64,
    next: [String; 3],
}

pub(crate) fn run(args: &Demo, json: bool) -> Result<Exit, Failure> {
    let say = |text: String| if json { Ok(()) } else { output::line(text) };
    let dir = &args.dir;
    prepare(dir)?;
    let (day, whole, killed) = (dir.join("day"), dir.join("run"), dir.join("killed"));
    let config_path = dir.join("demo.toml");
    std::fs::write(&config_path, CONFIG)?;
    let config = config::from_text("demo.toml", CONFIG)?;

    say("A generated day of four venues on paper: an EMA cross and a market maker, every tick and decision on one tape.\n".to_owned())?;
    let options = BacktestOptions {
        journal: Some(whole.clone()),
        ..BacktestOptions::new(&day, config.clone())
    };
    let summary = onetape_backtest::backtest(&options, &mut |_, _| {})?;
    say(backtest::text(&summary))?;

    let at = summary.frames / 2;
    let killed_at = kill_in_the_middle(&day, &killed, &config_path, at)?;
    let recovered = recover::recover(&killed)?;
    let recovered_frames =
        recovered.sequencer.next_sequence().0 - 1 + recovered.cut_step.len() as u64;
    drop(recovered);
    say(format!(
        "\nThe same run again in a process of its own, killed with SIGKILL at sequence {}: {} recovered, run finished.",
        output::count(killed_at),
        output::plural(recovered_frames, "frame")
    ))?;
    let options = BacktestOptions {
        journal: Some(killed.clone()),
        ..options
    };
    let finished = onetape_backtest::backtest(&options, &mut |_, _| {})?;
    let (root, root_killed) = (root_hash(&whole)?.hash, root_hash(&killed)?.hash);
    if (&finished.state_hash, root_killed) != (&summary.state_hash, root) {
        return Err(Failure::new(
            Exit::VerifyMismatch,
            format!("the killed run differs: root {root_killed}, expected {root}"),
        )
        .help("this must not happen: please report it with both journals"));
    }

    let verification = verify(&killed, None, &mut |_| {})?;
    if !verification.identical {
        return Err(
            Failure::new(Exit::VerifyMismatch, "the recovered run does not verify")
                .help(format!("onetape verify {}", killed.display())),
        );
    }
    say(format!("verified: identical, root {}", root.to_hex()))?;

    let rate = throughput(&day, config)?;
    say(format!(
        "replayed at {} inputs/s with both strategies, books and paper fills, checksums verified",
        output::count(rate)
    ))?;
    let next = [
        format!(
            "onetape tail {} --kind order_decided,execution_report",
            whole.display()
        ),
        format!(
            "onetape verify {} --set risk.price_collar_bps=0",
            whole.display()
        ),
        format!(
            "onetape backtest {} --strategy market_maker --set half_spread_cbps=100",
            day.display()
        ),
    ];
    say("\nNext:".to_owned())?;
    for command in &next {
        say(format!("  {command}"))?;
    }
    if json {
        output::json(&Report {
            killed_at_sequence: killed_at,
            recovered_frames,
            verified: true,
            root_hash: root.to_hex().to_string(),
            state_hash: summary.state_hash.clone(),
            inputs_per_second: rate,
            next,
            summary,
        })?;
    }
    Ok(Exit::Ok)
}

/// Lays the day out in a directory of the demo's own.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let in_use = |what: &str| {
        Failure::new(Exit::Usage, format!("{} {what}", dir.display()))
            .help("choose another place: onetape demo --dir DIR")
    };
    if dir.is_dir() {
        if dir.join(MARKER).exists() {
            std::fs::remove_dir_all(dir)?;
        } else if std::fs::read_dir(dir)?.next().is_some() {
            return Err(in_use("holds files that no demo made"));
        }
    } else if dir.exists() {
        return Err(in_use("is not a directory"));
    }
    let day = dir.join("day");
    std::fs::create_dir_all(&day)?;
    std::fs::write(dir.join(MARKER), "")?;
    for (name, bytes) in DAY {
        std::fs::write(day.join(name), bytes)?;
    }
    Ok(())
}

/// Runs the day in a child process and kills it once its tape has passed `at`; returns where the tape was.
fn kill_in_the_middle(
    day: &Path,
    journal: &PathBuf,
    config: &Path,
    at: u64,
) -> Result<u64, Failure> {
    /// Slow enough that the middle of the day is not over before it is seen.
    const PACE: &str = "300000";
    const PATIENCE: Duration = Duration::from_secs(30);
    let failed = |what: String| Failure::new(Exit::Failure, what);
    let mut child = Command::new(std::env::current_exe()?)
        .arg("backtest")
        .arg(day)
        .arg("--config")
        .arg(config)
        .arg("--journal")
        .arg(journal)
        .args(["--pace", PACE])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| failed(format!("could not start the demo's child process: {e}")))?;
    let started = Instant::now();
    let (mut reader, mut seen) = (None, 0);
    loop {
        if let Some(status) = child.try_wait()? {
            return Err(failed(format!(
                "the demo's child process ended by itself ({status}) before it was killed"
            )));
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(failed(format!(
                "the demo's child process wrote {seen} frames in {} s",
                PATIENCE.as_secs()
            )));
        }
        match &mut reader {
            // The child has not made its journal yet.
            None => reader = Reader::open(journal).ok(),
            Some(reader) => {
                while let Some(frame) = reader.next()? {
                    seen = frame.sequence;
                }
            }
        }
        if seen >= at {
            child.kill()?;
            child.wait()?;
            return Ok(seen);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Inputs a second through the whole loop, the day replayed until a fifth of a second has gone.
fn throughput(day: &Path, config: onetape_engine::session::SessionConfig) -> Result<u64, Failure> {
    const AT_LEAST: Duration = Duration::from_millis(200);
    let options = BacktestOptions::new(day, config);
    let (started, mut inputs) = (Instant::now(), 0);
    while started.elapsed() < AT_LEAST {
        inputs += onetape_backtest::backtest(&options, &mut |_, _| {})?.inputs;
    }
    Ok((inputs as f64 / started.elapsed().as_secs_f64()) as u64)
}
