//! Seeded, generated days: for the demo, fixtures, tests and benchmarks, so that none of them needs a download.
//!
//! The same seed gives the same bytes on every machine and for ever: integers only, one random stream ([`rng`]).
//! Generated data is marked as such in its first frame; no market ever showed it.
mod ladder;
pub mod premium;
mod rng;
mod scenario;
mod systems;
mod venue_market;

pub use scenario::Scenario;

use crate::error::Error;
use onetape_engine::event::{DataSource, Event};
use onetape_journal::{Options, Tag, Writer};
use serde::Serialize;
use std::path::PathBuf;

/// What to generate.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// The journal to write; it must be new.
    pub journal: PathBuf,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many market events; the definitions before them and a day's closing come on top.
    pub events: u64,
    /// What kind of day.
    pub scenario: Scenario,
}

/// What was generated.
#[derive(Clone, Debug, Serialize)]
pub struct GenerateReport {
    /// Frames on the tape.
    pub frames: u64,
    /// The scenario's name.
    pub scenario: &'static str,
    /// The seed.
    pub seed: u64,
}

/// Writes a generated day into a new journal.
///
/// # Errors
/// [`Error::Journal`].
pub fn run(
    options: &GenerateOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<GenerateReport, Error> {
    /// Frames between two looks at the progress.
    const PROGRESS_EVERY: u64 = 1 << 16;
    let mut writer = Writer::create(&options.journal, Options::default())?;
    let (mut payload, mut frames) = (Vec::with_capacity(1 << 12), 0);
    stream(
        options.seed,
        options.events,
        options.scenario,
        &mut |at_ns, event| {
            payload.clear();
            event.encode(&mut payload);
            writer.append(
                Tag::input(event.kind().number()).with_step_end(true),
                at_ns,
                &payload,
            )?;
            frames += 1;
            if frames % PROGRESS_EVERY == 0 {
                progress(frames);
            }
            Ok::<(), Error>(())
        },
    )?;
    writer.close()?;
    Ok(GenerateReport {
        frames,
        scenario: options.scenario.name(),
        seed: options.seed,
    })
}

/// Gives a generated day's events one by one, with their stamps.
///
/// # Errors
/// Those of `out`.
pub fn stream<E>(
    seed: u64,
    events: u64,
    scenario: Scenario,
    out: &mut dyn FnMut(u64, &Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let source = DataSource {
        name: scenario.name().to_owned(),
        format: "generated".to_owned(),
        identity: format!("seed {seed}, {events} events"),
        generated: true,
    };
    out(scenario::START_NS, &Event::DataSource(Box::new(source)))?;
    scenario.play(seed, events, out)
}
