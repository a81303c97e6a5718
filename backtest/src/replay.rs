//! A recorded journal's inputs through the one loop: into a new journal, or for the figures alone.
//!
//! A run into a journal that was killed goes on where it stopped when the same run is started again.
use crate::error::Error;
use crate::journal_sink::JournalSink;
use crate::recover::{self, Recovered};
use crate::summary::Summary;
use onetape_engine::event::{Event, Kind, SessionEnd, SessionStart};
use onetape_engine::sequencer::{NullSink, Sequencer, Sink};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;
use onetape_engine::{ENGINE_VERSION, LOGIC_HASH};
use onetape_journal::{Frame, Options, Reader, Writer, snapshot};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Debug)]
pub struct BacktestOptions {
    /// The journal whose inputs are replayed.
    pub source: PathBuf,
    /// Strategies, limits, paper venue, seed.
    pub config: SessionConfig,
    /// Where every frame goes; without it only the figures are kept.
    pub journal: Option<PathBuf>,
    /// How the journal is written.
    pub journal_options: Options,
    /// A snapshot of the state stands beside the journal after each this many inputs; 0 for none.
    pub snapshot_every: u64,
    /// Inputs per second at the most; without it as fast as it goes.
    pub pace: Option<u64>,
}

impl BacktestOptions {
    /// A run of `config` over `source` for its figures alone.
    pub fn new(source: &Path, config: SessionConfig) -> Self {
        Self {
            source: source.to_path_buf(),
            config,
            journal: None,
            journal_options: Options::default(),
            snapshot_every: 1_000_000,
            pace: None,
        }
    }
}

/// How many snapshots stay beside a journal: the newest, and one in case it is damaged.
const SNAPSHOTS_KEPT: usize = 2;

/// How far a run is: its inputs so far, and the stamp of the last one in ns.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Runs a backtest to the end of its source.
///
/// # Errors
/// [`Error`].
pub fn backtest(options: &BacktestOptions, progress: Progress<'_>) -> Result<Summary, Error> {
    let source = Reader::open_whole(&options.source)?;
    match &options.journal {
        None => {
            let mut sequencer = Sequencer::new(NullSink);
            Run::new(options, source)?.finish(&mut sequencer, progress, |_, _| Ok(()))?;
            Summary::of(&mut sequencer)
        }
        Some(journal) => backtest_into(options, source, journal, progress),
    }
}

fn backtest_into(
    options: &BacktestOptions,
    source: Reader,
    journal: &Path,
    progress: Progress<'_>,
) -> Result<Summary, Error> {
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .ok()
            .is_some_and(|a| b.canonicalize().ok() == Some(a))
    };
    if same(&options.source, journal) {
        return Err(Error::SameJournal {
            journal: journal.to_path_buf(),
        });
    }
    let mut run = Run::new(options, source)?;
    let mut sequencer = match Writer::open(journal, options.journal_options) {
        Err(onetape_journal::Error::NotFound { .. }) => Sequencer::new(JournalSink::new(
            Writer::create(journal, options.journal_options)?,
        )),
        Err(e) => return Err(e.into()),
        Ok((writer, recovery)) if recovery.frames == 0 => Sequencer::new(JournalSink::new(writer)),
        Ok((writer, _)) => {
            let recovered = recover::recover(journal)?;
            run.skip_to(journal, &recovered)?;
            recover::finish_cut_step(recovered, writer, journal)?
        }
    };
    let (every, mut snapshotted) = (options.snapshot_every, sequencer.next_sequence());
    run.finish(&mut sequencer, progress, |sequencer, last| {
        let inputs = sequencer.desk().stats().inputs;
        let due =
            every != 0 && inputs.is_multiple_of(every) && sequencer.next_sequence() > snapshotted;
        if due || last {
            snapshotted = sequencer.next_sequence();
            take_snapshot(sequencer, journal)?;
        }
        Ok(())
    })?;
    let summary = Summary::of(&mut sequencer)?;
    sequencer.into_sink().close()?;
    Ok(summary)
}

/// Writes the state beside the journal, never ahead of what is on disk.
fn take_snapshot(sequencer: &mut Sequencer<JournalSink>, journal: &Path) -> Result<(), Error> {
    sequencer.sink_mut().writer_mut().sync()?;
    let state = sequencer
        .snapshot()
        .map_err(|e| Error::Config(e.to_string()))?;
    snapshot::write(journal, sequencer.next_sequence().0 - 1, &state)?;
    snapshot::retain(journal, SNAPSHOTS_KEPT)?;
    Ok(())
}

/// Whether a frame is an input that a new session takes over. What belongs to the session that recorded it does not: its
/// start, its end and its venues' reports on orders that the new session never sent.
#[inline]
pub(crate) fn is_market_input(frame: &Frame<'_>) -> bool {
    const OF_SESSION: [u16; 3] = [
        Kind::SessionStart.number(),
        Kind::SessionEnd.number(),
        Kind::ExecutionReport.number(),
    ];
    !frame.tag.is_derived() && !OF_SESSION.contains(&frame.tag.kind())
}

/// Whether a session starts on a journal before its first market data.
fn begins_a_session(journal: &Path) -> Result<bool, Error> {
    const MARKET_DATA: [u16; 4] = [
        Kind::Quote.number(),
        Kind::Trade.number(),
        Kind::BookSnapshot.number(),
        Kind::BookDelta.number(),
    ];
    let mut reader = Reader::open(journal)?;
    while let Some(frame) = reader.next()? {
        let kind = frame.tag.kind();
        if kind == Kind::SessionStart.number() {
            return Ok(true);
        }
        if MARKET_DATA.contains(&kind) {
            break;
        }
    }
    Ok(false)
}

/// The inputs of one run.
struct Run<'a> {
    options: &'a BacktestOptions,
    source: Reader,
    start: Vec<u8>,
    /// The source is a run: the new session begins where its session did, so that the same session comes out the same.
    is_of_run: bool,
    /// Inputs that the output has already.
    done: u64,
    /// Whether the output has the session's end, too.
    ended: bool,
}

impl<'a> Run<'a> {
    fn new(options: &'a BacktestOptions, source: Reader) -> Result<Self, Error> {
        let mut start = Vec::new();
        Event::SessionStart(Box::new(SessionStart {
            engine_version: ENGINE_VERSION.to_owned(),
            logic_hash: LOGIC_HASH.to_owned(),
            config: options.config.clone(),
        }))
        .encode(&mut start);
        Ok(Self {
            is_of_run: begins_a_session(&options.source)?,
            options,
            source,
            start,
            done: 0,
            ended: false,
        })
    }

    /// Steps past the inputs that a killed run has on its tape.
    fn skip_to(&mut self, journal: &Path, recovered: &Recovered) -> Result<(), Error> {
        let other = |why: String| Error::OtherRun {
            journal: journal.to_path_buf(),
            why,
        };
        let mut output = Reader::open(journal)?;
        loop {
            match output.next()? {
                Some(frame) if frame.tag.kind() == Kind::SessionStart.number() => {
                    if frame.payload != self.start.as_slice() {
                        return Err(other("its strategies, limits or build differ".to_owned()));
                    }
                    break;
                }
                // Facts that stand before a run's session.
                Some(found) if self.is_of_run => {
                    let wanted = self.source.next()?;
                    let of = |frame: Frame<'_>| (frame.tag.kind(), frame.payload.to_vec());
                    if wanted.map(of) != Some(of(found)) {
                        return Err(other("it comes from another source".to_owned()));
                    }
                }
                None if self.is_of_run => return Ok(()),
                _ => return Err(other("it does not begin with a session".to_owned())),
            }
        }
        self.done = recovered.inputs();
        self.ended = recovered.ended();
        let mut left = self.done - u64::from(self.ended);
        while left > 0 {
            // The inputs must be the same ones: compared one by one, which also finds a source that has changed.
            let Some(wanted) = self.source.next()? else {
                return Err(other(format!("the source has {left} inputs less")));
            };
            if !is_market_input(&wanted) {
                continue;
            }
            loop {
                let Some(found) = output.next()? else {
                    return Err(other("it has fewer inputs than it says".into()));
                };
                if found.tag.is_derived() {
                    continue;
                }
                if (found.tag.kind(), found.payload) != (wanted.tag.kind(), wanted.payload) {
                    return Err(other(format!(
                        "sequence {} comes from another source",
                        found.sequence
                    )));
                }
                break;
            }
            left -= 1;
        }
        Ok(())
    }

    /// Takes every input that is left; `after` is called after each step, and with true after the last one.
    fn finish<S: Sink>(
        &mut self,
        sequencer: &mut Sequencer<S>,
        progress: Progress<'_>,
        mut after: impl FnMut(&mut Sequencer<S>, bool) -> Result<(), Error>,
    ) -> Result<(), Error>
    where
        Error: From<S::Error>,
    {
        /// Inputs between two looks at the progress.
        const PROGRESS_EVERY: u64 = 1 << 16;
        if self.ended {
            return Ok(());
        }
        let path = &self.options.source;
        let (started, before) = (Instant::now(), self.done);
        while let Some(frame) = self.source.next()? {
            let (at, kind, payload) = (Nanos(frame.timestamp_ns), frame.tag.kind(), frame.payload);
            let start = Kind::SessionStart.number();
            let is_due = if self.is_of_run {
                kind == start
            } else {
                is_market_input(&frame)
            };
            if is_due && !sequencer.desk().has_session() {
                sequencer
                    .step(at, start, &self.start)
                    .map_err(|e| Error::at(path, e))?;
            }
            if !is_market_input(&frame) {
                continue;
            }
            sequencer
                .step(at, kind, payload)
                .map_err(|e| Error::at(path, e))?;
            if !sequencer.desk().has_session() {
                continue;
            }
            self.done += 1;
            after(sequencer, false)?;
            if let Some(pace) = self.options.pace {
                keep_pace(started, self.done - before, pace);
            }
            if self.done.is_multiple_of(PROGRESS_EVERY) {
                progress(self.done, at.0);
            }
        }
        if self.done == 0 {
            return Err(Error::NoInputs {
                journal: path.clone(),
            });
        }
        let mut end = Vec::new();
        Event::SessionEnd(SessionEnd { inputs: self.done }).encode(&mut end);
        let at = sequencer.last_stamp();
        sequencer
            .step(at, Kind::SessionEnd.number(), &end)
            .map_err(|e| Error::at(path, e))?;
        after(sequencer, true)
    }
}

/// Waits until `done` inputs are due at `pace` inputs a second.
fn keep_pace(started: Instant, done: u64, pace: u64) {
    let due = Duration::from_secs_f64(done as f64 / pace.max(1) as f64);
    let ahead = due.saturating_sub(started.elapsed());
    // Sleeping is coarse: small leads are left to add up.
    if ahead > Duration::from_millis(1) {
        std::thread::sleep(ahead);
    }
}
