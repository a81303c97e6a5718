//! `onetape recover`.
use crate::failure::{Exit, Failure};
use crate::output;
use crate::verb::backtest;
use onetape_backtest::{Summary, recover};
use onetape_journal::Tail;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

#[derive(Serialize)]
struct Report {
    snapshot: Option<u64>,
    refused_snapshots: Vec<(u64, String)>,
    frames_folded: u64,
    cut_step_frames: usize,
    tail: String,
    seconds: f64,
    summary: Summary,
}

pub(crate) fn run(dir: &Path, json: bool) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut recovered = recover::recover(dir)?;
    let report = Report {
        snapshot: recovered.snapshot,
        refused_snapshots: recovered.refused_snapshots.clone(),
        frames_folded: recovered.folded,
        cut_step_frames: recovered.cut_step.len(),
        tail: tail_text(recovered.tail),
        summary: Summary::of(&mut recovered.sequencer)?,
        seconds: started.elapsed().as_secs_f64(),
    };
    if json {
        output::json(&report)?;
        return Ok(Exit::Ok);
    }
    match report.snapshot {
        Some(sequence) => output::line(format!(
            "recovered from the snapshot at sequence {} and {} after it",
            output::count(sequence),
            output::plural(report.frames_folded, "frame")
        ))?,
        None => output::line(format!(
            "recovered from {}",
            output::plural(report.frames_folded, "frame")
        ))?,
    }
    for (sequence, why) in &report.refused_snapshots {
        output::line(format!("  snapshot at sequence {sequence} not used: {why}"))?;
    }
    output::line(format!("  the tape {}", report.tail))?;
    if report.cut_step_frames > 0 {
        output::line(format!(
            "  the last step was cut short after {}; the next writer completes it",
            output::plural(report.cut_step_frames as u64, "frame")
        ))?;
    }
    output::line(backtest::text(&report.summary))?;
    output::line(format!("  {:.3} s; nothing was written", report.seconds))?;
    Ok(Exit::Ok)
}

/// What follows the last frame, in words.
pub(crate) fn tail_text(tail: Tail) -> String {
    match tail {
        Tail::Open => "is open: its writer is at work, or died between two frames".to_owned(),
        Tail::Closed => "was closed in order".to_owned(),
        Tail::Unfinished { bytes } => {
            format!("ends in an unfinished frame of {bytes} bytes, which is not used")
        }
        Tail::Cut { found, expected } => {
            format!(
                "ends in a file that was cut: {found} of {expected} bytes are there; the frames before the cut are good"
            )
        }
        other => format!("ends otherwise: {other:?}"),
    }
}
