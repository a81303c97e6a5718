//! The state that a journal's frames lead to, without deciding anything: from the newest snapshot that reads, plus the
//! frames after it.
use crate::error::Error;
use crate::journal_sink::JournalSink;
use onetape_engine::event::{Event, Kind};
use onetape_engine::id::Sequence;
use onetape_engine::sequencer::{NullSink, Sequencer, Sink};
use onetape_engine::time::Nanos;
use onetape_journal::{Frame, Reader, Tag, Tail, Writer, snapshot};
use std::collections::VecDeque;
use std::path::Path;

/// A frame taken off the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFrame {
    /// Its sequence.
    pub sequence: u64,
    /// Its stamp, UTC ns.
    pub timestamp_ns: u64,
    /// Its tag.
    pub tag: Tag,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl KeptFrame {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        let Frame {
            sequence,
            timestamp_ns,
            tag,
            payload,
        } = *frame;
        Self {
            sequence,
            timestamp_ns,
            tag,
            payload: payload.to_vec(),
        }
    }

    fn frame(&self) -> Frame<'_> {
        let Self {
            sequence,
            timestamp_ns,
            tag,
            payload,
        } = self;
        Frame {
            sequence: *sequence,
            timestamp_ns: *timestamp_ns,
            tag: *tag,
            payload,
        }
    }
}

/// What a journal recovers to.
pub struct Recovered {
    /// The state after the last whole step.
    pub sequencer: Sequencer<NullSink>,
    /// Frames of a step that a crash cut short, if there is one.
    pub cut_step: Vec<KeptFrame>,
    /// The snapshot that recovery began with.
    pub snapshot: Option<u64>,
    /// Snapshots that could not be used, and why.
    pub refused_snapshots: Vec<(u64, String)>,
    /// Frames folded after the snapshot.
    pub folded: u64,
    /// What follows the last frame.
    pub tail: Tail,
    ended: bool,
}

impl Recovered {
    /// Market inputs on the tape since the session's start, those of a cut step included.
    pub fn inputs(&self) -> u64 {
        let cut = self
            .cut_step
            .iter()
            .filter(|f| !f.tag.is_derived() && f.tag.kind() != Kind::SessionStart.number());
        self.sequencer.desk().stats().inputs + cut.count() as u64
    }

    /// Whether the session's end is on the tape.
    pub const fn ended(&self) -> bool {
        self.ended
    }
}

/// Where folding begins.
pub(crate) struct Base {
    /// At the frame after the snapshot, or at the first.
    pub(crate) reader: Reader,
    pub(crate) sequencer: Sequencer<NullSink>,
    snapshot: Option<u64>,
    refused_snapshots: Vec<(u64, String)>,
}

/// The newest snapshot at or before a sequence that can be used, or the empty state.
///
/// # Errors
/// [`Error`] when the journal does not read.
pub(crate) fn base(journal: &Path, up_to: u64) -> Result<Base, Error> {
    let mut reader = Reader::open(journal)?;
    let mut refused_snapshots = Vec::new();
    let mut base = None;
    let mut known = snapshot::list(journal)?;
    known.sort_unstable();
    for sequence in known
        .into_iter()
        .rev()
        .filter(|sequence| *sequence <= up_to)
    {
        let restored = snapshot::read(journal, sequence)
            .map_err(|e| e.to_string())
            .and_then(|bytes| {
                let sequencer = Sequencer::restore(&bytes, NullSink).map_err(|e| e.to_string())?;
                // A snapshot beyond the journal's end belongs to frames that a power cut took.
                reader.seek(sequence).map_err(|e| e.to_string())?;
                match reader.next() {
                    Ok(Some(frame)) if frame.sequence == sequence && frame.tag.ends_step() => {
                        Ok(sequencer)
                    }
                    Ok(_) => Err(
                        "the journal does not have the frame that it was taken after".to_owned(),
                    ),
                    Err(e) => Err(e.to_string()),
                }
            });
        match restored {
            Ok(sequencer) => {
                base = Some((sequence, sequencer));
                break;
            }
            Err(why) => refused_snapshots.push((sequence, why)),
        }
    }
    let snapshot = base.as_ref().map(|(sequence, _)| *sequence);
    let sequencer = match base {
        Some((_, sequencer)) => sequencer,
        None => {
            reader = Reader::open(journal)?;
            if reader.first_sequence() > 1 {
                return Err(no_snapshot(
                    journal,
                    reader.first_sequence(),
                    &refused_snapshots,
                ));
            }
            Sequencer::new(NullSink)
        }
    };
    Ok(Base {
        reader,
        sequencer,
        snapshot,
        refused_snapshots,
    })
}

fn no_snapshot(journal: &Path, first: u64, refused: &[(u64, String)]) -> Error {
    let why = refused.iter().map(|(at, why)| format!("{at}: {why}"));
    Error::NoSnapshot {
        journal: journal.to_path_buf(),
        first,
        why: match refused {
            [] => "there is none that is old enough".to_owned(),
            _ => format!("none can be used ({})", why.collect::<Vec<_>>().join("; ")),
        },
    }
}

/// Recovers the state of a journal.
///
/// # Errors
/// [`Error`]: damage, or frames that can't follow each other.
pub fn recover(journal: &Path) -> Result<Recovered, Error> {
    let Base {
        mut reader,
        mut sequencer,
        snapshot,
        refused_snapshots,
    } = base(journal, u64::MAX)?;
    let (mut step, mut folded, mut ended) = (Vec::new(), 0, false);
    while let Some(frame) = reader.next()? {
        folded += 1;
        ended |= frame.tag.kind() == Kind::SessionEnd.number();
        if frame.tag.ends_step() && step.is_empty() {
            sequencer.fold(&frame).map_err(|e| Error::at(journal, e))?;
            continue;
        }
        step.push(KeptFrame::of(&frame));
        if frame.tag.ends_step() {
            for kept in step.drain(..) {
                sequencer
                    .fold(&kept.frame())
                    .map_err(|e| Error::at(journal, e))?;
            }
        }
    }
    if folded == 0 && snapshot.is_some() {
        // The snapshot may stand right at the end, behind the session's last frames.
        ended = last_step_ends_session(journal, sequencer.next_sequence())?;
    }
    let tail = reader.tail();
    Ok(Recovered {
        sequencer,
        cut_step: step,
        snapshot,
        refused_snapshots,
        folded,
        tail,
        ended,
    })
}

fn last_step_ends_session(journal: &Path, next: Sequence) -> Result<bool, Error> {
    let mut reader = Reader::open(journal)?;
    reader.seek(next.0.saturating_sub(2).max(1))?;
    let mut ended = false;
    while let Some(frame) = reader.next()? {
        ended |= frame.tag.kind() == Kind::SessionEnd.number();
    }
    Ok(ended)
}

/// Takes the frames of a cut step as given and lets the rest through to the journal.
struct PrefixSink {
    given: VecDeque<KeptFrame>,
    journal: JournalSink,
    /// The first frame that this build would decide otherwise.
    differs: bool,
}

impl Sink for PrefixSink {
    type Error = onetape_journal::Error;

    fn frame(
        &mut self,
        sequence: Sequence,
        at: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<(), Self::Error> {
        match self.given.pop_front() {
            Some(given) => {
                let computed = KeptFrame {
                    sequence: sequence.0,
                    timestamp_ns: at.0,
                    tag,
                    payload: payload.to_vec(),
                };
                self.differs |= given != computed;
                Ok(())
            }
            // Nothing more may be written once the step has gone another way.
            None if self.differs => Ok(()),
            None => self.journal.frame(sequence, at, tag, payload),
        }
    }

    fn end_step(&mut self) -> Result<(), Self::Error> {
        self.differs |= !self.given.is_empty();
        if self.differs {
            Ok(())
        } else {
            self.journal.end_step()
        }
    }
}

/// Goes on writing where a journal stopped. A step that was cut short is decided again: the frames that are there stand,
/// the missing ones are added. A build that would decide otherwise leaves them as they are and closes the step.
///
/// # Errors
/// [`Error`].
pub fn finish_cut_step(
    recovered: Recovered,
    writer: Writer,
    journal: &Path,
) -> Result<Sequencer<JournalSink>, Error> {
    let Recovered {
        sequencer,
        cut_step,
        ..
    } = recovered;
    let sink = JournalSink::new(writer);
    let Some(first) = cut_step.first() else {
        return Ok(sequencer.with_sink(sink).0);
    };
    let before = sequencer
        .snapshot()
        .map_err(|e| Error::Config(e.to_string()))?;
    let given = cut_step.iter().cloned().collect();
    let (mut finished, _) = sequencer.with_sink(PrefixSink {
        given,
        journal: sink,
        differs: false,
    });
    let at = Nanos(first.timestamp_ns);
    let again = if first.tag.is_derived() {
        finished.fire_next_due(at).map(|_| ())
    } else {
        finished.step(at, first.tag.kind(), &first.payload)
    };
    let differs = again.is_err() || finished.sink().differs;
    let (finished, sink) = finished.with_sink(NullSink);
    if !differs {
        return Ok(finished.with_sink(sink.journal).0);
    }
    let mut standing =
        Sequencer::restore(&before, NullSink).map_err(|e| Error::Config(e.to_string()))?;
    for kept in &cut_step {
        standing
            .fold(&kept.frame())
            .map_err(|e| Error::at(journal, e))?;
    }
    let (mut closed, _) = standing.with_sink(sink.journal);
    closed
        .close_step(Sequence(first.sequence))
        .map_err(|e| Error::at(journal, e))?;
    Ok(closed)
}

/// The first session's start on a tape, if it has one.
///
/// # Errors
/// [`Error`].
pub fn session_of(journal: &Path) -> Result<Option<onetape_engine::event::SessionStart>, Error> {
    let mut reader = Reader::open_whole(journal)?;
    while let Some(frame) = reader.next()? {
        if frame.tag.kind() == Kind::SessionStart.number() {
            let (sequence, kind) = (frame.sequence, frame.tag.kind());
            return match Event::decode(kind, frame.payload) {
                Ok(Event::SessionStart(start)) => Ok(Some(*start)),
                Ok(_) => Ok(None),
                Err(e) => Err(Error::decode(journal, sequence, &e)),
            };
        }
    }
    Ok(None)
}
