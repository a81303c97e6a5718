//! Everything decided again and compared, byte for byte, with what stands on the tape.
mod follow;

pub use follow::{Followed, Follower};

use crate::describe::Names;
use crate::error::Error;
use crate::recover::KeptFrame;
use onetape_engine::event::{Event, Kind, SessionStart};
use onetape_engine::id::Sequence;
use onetape_engine::sequencer::{Sequencer, Sink};
use onetape_engine::session::SessionConfig;
use onetape_engine::time::Nanos;
use onetape_engine::{LOGIC_HASH, sequencer::StepError};
use onetape_journal::{Forensic, Reader, Tag};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// Whether every frame is what this build decides from the inputs.
    pub identical: bool,
    /// Frames compared.
    pub frames: u64,
    /// Inputs among them.
    pub inputs: u64,
    /// Derived frames among them: timers, bars, fills, decisions, halts, state hashes.
    pub derived: u64,
    /// The logic hash of the build that wrote the session; none in a journal of inputs alone.
    pub recorded_by: Option<String>,
    /// This build's.
    pub verified_by: String,
    /// Frames of a last step that a crash cut short are compared as far as they go.
    pub cut_short: bool,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// The first frame that is not what it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Where.
    pub sequence: u64,
    /// When, UTC ns.
    pub at_ns: u64,
    /// What kind of difference.
    pub what: String,
    /// The strategy, where the frame is a strategy's.
    pub strategy: Option<String>,
    /// The gate, where the frame is a gate's.
    pub gate: Option<String>,
    /// The fields that differ, each with both values.
    pub fields: Vec<FieldDifference>,
    /// The frame on the tape.
    pub recorded: Option<Value>,
    /// The frame as decided again.
    pub computed: Option<Value>,
}

/// One field of two frames.
#[derive(Clone, Debug, Serialize)]
pub struct FieldDifference {
    /// Its name.
    pub field: String,
    /// On the tape.
    pub recorded: Value,
    /// As decided again.
    pub computed: Value,
}

/// Verifies a journal; `with` replaces the recorded session's configuration, to see where another one first differs.
///
/// # Errors
/// [`Error`] when the journal can't be read; a difference is a result, not an error.
pub fn verify(
    journal: &Path,
    with: Option<&SessionConfig>,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, Error> {
    let sink = CompareSink::open(journal)?;
    let mut sequencer = Sequencer::new(sink);
    let mut inputs = Reader::open_whole(journal)?;
    let mut result = Verification {
        identical: true,
        frames: 0,
        inputs: 0,
        derived: 0,
        recorded_by: None,
        verified_by: LOGIC_HASH.to_owned(),
        cut_short: false,
        difference: None,
    };
    let found = loop {
        let frame = match inputs.next_or_damaged()? {
            None => break None,
            // The comparison meets it in its place.
            Some(Forensic::Damaged {
                tag_bits,
                sequence,
                segment,
                offset,
                ..
            }) => {
                if Tag::from_bits(tag_bits).is_some_and(Tag::is_derived) {
                    continue;
                }
                break Some(Stop::DamagedInput {
                    sequence,
                    segment,
                    offset,
                });
            }
            Some(Forensic::Frame(frame)) => frame,
        };
        if frame.tag.is_derived() {
            continue;
        }
        result.inputs += 1;
        let (at, kind) = (Nanos(frame.timestamp_ns), frame.tag.kind());
        let step = if kind == Kind::SessionStart.number() {
            let recorded = match Event::decode(kind, frame.payload) {
                Ok(Event::SessionStart(start)) => *start,
                Ok(_) => return Err(Error::Config("a session start that is none".to_owned())),
                Err(e) => return Err(Error::decode(journal, frame.sequence, &e)),
            };
            result.recorded_by = Some(recorded.logic_hash.clone());
            match with {
                None => sequencer.step(at, kind, frame.payload),
                Some(config) => {
                    // The start itself is meant to differ: only what follows from it is compared.
                    sequencer.sink_mut().skip_next = true;
                    let mut payload = Vec::new();
                    Event::SessionStart(Box::new(SessionStart {
                        config: config.clone(),
                        ..recorded
                    }))
                    .encode(&mut payload);
                    sequencer.step(at, kind, &payload)
                }
            }
        } else {
            sequencer.step(at, kind, frame.payload)
        };
        match step {
            Ok(()) => {}
            Err(StepError::Sink(CompareError::Differs(difference))) => {
                break Some(Stop::Differs(difference));
            }
            Err(StepError::Sink(CompareError::End)) => {
                result.cut_short = true;
                break None;
            }
            Err(StepError::Sink(CompareError::Journal(e))) => return Err(e.into()),
            Err(other) => {
                return Err(Error::Core {
                    journal: journal.to_path_buf(),
                    why: other.to_string(),
                });
            }
        }
        if result.inputs.is_multiple_of(1 << 16) {
            progress(sequencer.next_sequence().0);
        }
    };
    let found = match found {
        Some(found) => Some(found),
        None if result.cut_short => None,
        None => finish(&mut sequencer, &mut result)?,
    };
    result.frames = sequencer.sink().compared;
    result.derived = result.frames.saturating_sub(result.inputs);
    result.difference = match found {
        None => None,
        Some(Stop::Differs(raw)) => Some(raw.named(&sequencer)),
        Some(Stop::DamagedInput {
            sequence,
            segment,
            offset,
        }) => {
            return Err(Error::Core {
                journal: journal.to_path_buf(),
                why: format!(
                    "the input at sequence {sequence} (segment {segment}, byte {offset}) fails its checksum, so nothing \
                     after it can be verified; restore the journal from a backup"
                ),
            });
        }
    };
    result.identical = result.difference.is_none();
    Ok(result)
}

/// After the last input: what is left on the tape is a step that was cut short, or frames that nothing leads to.
fn finish(
    sequencer: &mut Sequencer<CompareSink>,
    result: &mut Verification,
) -> Result<Option<Stop>, Error> {
    // Events that were due before the next input came have their steps on the tape without an input behind them.
    while let Some(recorded) = sequencer.sink_mut().peek()? {
        let fired = sequencer.fire_next_due(Nanos(recorded.timestamp_ns));
        match fired {
            Ok(true) => {}
            Err(StepError::Sink(CompareError::Differs(difference))) => {
                return Ok(Some(Stop::Differs(difference)));
            }
            Err(StepError::Sink(CompareError::End)) => {
                result.cut_short = true;
                return Ok(None);
            }
            Err(StepError::Sink(CompareError::Journal(e))) => return Err(e.into()),
            Ok(false) | Err(_) => {
                let what = "a frame on the tape that nothing leads to";
                return Ok(Some(Stop::Differs(Box::new(RawDifference::of_recorded(
                    recorded, what,
                )))));
            }
        }
    }
    Ok(None)
}

/// The bits of a tag that hold the kind's number.
const KIND_BITS: u16 = 0x3ff;

enum Stop {
    Differs(Box<RawDifference>),
    DamagedInput {
        sequence: u64,
        segment: u64,
        offset: u64,
    },
}

#[derive(Debug)]
struct RawDifference {
    sequence: u64,
    at_ns: u64,
    what: String,
    recorded: Option<(u16, Vec<u8>)>,
    computed: Option<(u16, Vec<u8>)>,
}

impl RawDifference {
    fn of_recorded(recorded: KeptFrame, what: &str) -> Self {
        Self {
            sequence: recorded.sequence,
            at_ns: recorded.timestamp_ns,
            what: what.to_owned(),
            recorded: Some((recorded.tag.bits(), recorded.payload)),
            computed: None,
        }
    }

    fn named(self, sequencer: &Sequencer<CompareSink>) -> Difference {
        let names = Names::of(sequencer.market(), sequencer.desk());
        let read = |side: &Option<(u16, Vec<u8>)>| {
            side.as_ref()
                .map(|(bits, payload)| names.payload_json(*bits & KIND_BITS, payload))
        };
        let (recorded, computed) = (read(&self.recorded), read(&self.computed));
        let text = |name: &str| {
            let of = |side: &Option<Value>| side.as_ref()?.get(name)?.as_str().map(str::to_owned);
            of(&computed).or_else(|| of(&recorded))
        };
        let fields = match (&recorded, &computed) {
            (Some(Value::Object(recorded)), Some(Value::Object(computed))) => {
                let all = recorded
                    .keys()
                    .chain(computed.keys().filter(|key| !recorded.contains_key(*key)));
                let value = |side: &serde_json::Map<String, Value>, key: &String| {
                    side.get(key).cloned().unwrap_or_default()
                };
                all.map(|key| (key, value(recorded, key), value(computed, key)))
                    .filter(|(_, recorded, computed)| recorded != computed)
                    .map(|(key, recorded, computed)| FieldDifference {
                        field: key.clone(),
                        recorded,
                        computed,
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        Difference {
            sequence: self.sequence,
            at_ns: self.at_ns,
            what: self.what,
            strategy: text("strategy"),
            gate: text("gate"),
            fields,
            recorded,
            computed,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("the recorded frame differs")]
    Differs(Box<RawDifference>),
    #[error("the tape ends here")]
    End,
    #[error(transparent)]
    Journal(#[from] onetape_journal::Error),
}

/// Holds every frame against the one on the tape.
struct CompareSink {
    recorded: Reader,
    compared: u64,
    skip_next: bool,
    /// Whether the last frame on the tape ends its step.
    at_step_end: bool,
}

impl CompareSink {
    fn open(journal: &Path) -> Result<Self, Error> {
        let recorded = Reader::open(journal)?;
        Ok(Self {
            recorded,
            compared: 0,
            skip_next: false,
            at_step_end: true,
        })
    }

    /// The next recorded frame, left in place.
    fn peek(&mut self) -> Result<Option<KeptFrame>, onetape_journal::Error> {
        let next = self.recorded.next_sequence();
        let Some(found) = self.recorded.next()? else {
            return Ok(None);
        };
        let kept = KeptFrame::of(&found);
        self.recorded.seek(next)?;
        Ok(Some(kept))
    }
}

impl Sink for CompareSink {
    type Error = CompareError;

    #[inline]
    fn frame(
        &mut self,
        sequence: Sequence,
        at: Nanos,
        tag: Tag,
        payload: &[u8],
    ) -> Result<(), CompareError> {
        let computed = || Some((tag.bits(), payload.to_vec()));
        let (found_tag, found_at, found_payload, damaged) = match self.recorded.next_or_damaged()? {
            None => return Err(CompareError::End),
            Some(Forensic::Frame(frame)) => {
                (Some(frame.tag), frame.timestamp_ns, frame.payload, false)
            }
            Some(Forensic::Damaged {
                timestamp_ns,
                tag_bits,
                payload,
                ..
            }) => (Tag::from_bits(tag_bits), timestamp_ns, payload, true),
        };
        self.at_step_end = found_tag.is_some_and(Tag::ends_step);
        self.compared += 1;
        if self.skip_next {
            self.skip_next = false;
            return Ok(());
        }
        let same_tag =
            found_tag.is_some_and(|found| found.with_step_end(false) == tag.with_step_end(false));
        if !damaged && same_tag && found_at == at.0 && found_payload == payload {
            return Ok(());
        }
        let what = if damaged {
            "the frame on the tape was altered after it was written: it fails its checksum"
                .to_owned()
        } else if found_at != at.0 && same_tag && found_payload == payload {
            format!("stamped {found_at} on the tape, {} now", at.0)
        } else {
            "the frame on the tape is not what follows from the inputs".to_owned()
        };
        let recorded = Some((found_tag.map_or(0, Tag::bits), found_payload.to_vec()));
        let difference = RawDifference {
            sequence: sequence.0,
            at_ns: at.0,
            what,
            recorded,
            computed: computed(),
        };
        Err(CompareError::Differs(Box::new(difference)))
    }

    #[inline]
    fn end_step(&mut self) -> Result<(), CompareError> {
        if self.at_step_end {
            return Ok(());
        }
        // The tape says that more follows: a frame that was not decided now, or a crash in between.
        match self.peek() {
            Ok(Some(recorded)) => {
                let what = "a frame on the tape that is not decided any more";
                Err(CompareError::Differs(Box::new(RawDifference::of_recorded(
                    recorded, what,
                ))))
            }
            Ok(None) => Err(CompareError::End),
            Err(e) => Err(e.into()),
        }
    }
}
