//! The same comparison on a tape that still grows: each step is decided again once all of it is there.
use super::{CompareError, CompareSink, Difference};
use crate::error::Error;
use crate::recover;
use onetape_engine::sequencer::{Sequencer, StepError};
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use std::path::{Path, PathBuf};

/// Verifies a tape behind its writer.
pub struct Follower {
    journal: PathBuf,
    reader: Reader,
    sequencer: Sequencer<CompareSink>,
    /// The input of the step that is being read.
    input: Option<(Nanos, u16, Vec<u8>)>,
}

impl Follower {
    /// Begins after the tape's last whole step, in the state that it leads to.
    ///
    /// # Errors
    /// [`Error`] when the journal does not read.
    pub fn begin(journal: &Path) -> Result<Self, Error> {
        Self::after(journal, recover::recover(journal)?.sequencer)
    }

    fn after<S: onetape_engine::sequencer::Sink>(
        journal: &Path,
        state: Sequencer<S>,
    ) -> Result<Self, Error> {
        let next = state.next_sequence().0;
        let mut reader = Reader::open(journal)?;
        reader.seek(next)?;
        let mut sink = CompareSink::open(journal)?;
        sink.recorded.seek(next)?;
        let (sequencer, _) = state.with_sink(sink);
        Ok(Self {
            journal: journal.to_owned(),
            reader,
            sequencer,
            input: None,
        })
    }

    /// The last frame that was decided again and came out the same.
    pub fn verified(&self) -> u64 {
        self.sequencer.next_sequence().0.saturating_sub(1)
    }

    /// Decides up to so many frames again; whether there may be more, or the first difference.
    ///
    /// # Errors
    /// [`Error`]: the journal does not read, or an input that the tape has can't be taken.
    pub fn follow(&mut self, frames: usize) -> Result<Followed, Error> {
        for _ in 0..frames {
            let Some(frame) = self.reader.next()? else {
                return Ok(Followed::ToTheEnd);
            };
            if !frame.tag.is_derived() {
                let (at, kind) = (Nanos(frame.timestamp_ns), frame.tag.kind());
                self.input = Some((at, kind, frame.payload.to_vec()));
            }
            if !frame.tag.ends_step() {
                continue;
            }
            // A timer's own step has no input: it is decided with the next one, before it.
            let Some((at, kind, payload)) = self.input.take() else {
                continue;
            };
            match self.sequencer.step(at, kind, &payload) {
                Ok(()) => {}
                Err(StepError::Sink(CompareError::Differs(raw))) => {
                    return Ok(Followed::Differs(Box::new(raw.named(&self.sequencer))));
                }
                Err(StepError::Sink(CompareError::Journal(error))) => return Err(error.into()),
                Err(other) => {
                    return Err(Error::Core {
                        journal: self.journal.clone(),
                        why: other.to_string(),
                    });
                }
            }
        }
        Ok(Followed::More)
    }
}

/// How far a [`Follower`] came.
#[derive(Debug)]
pub enum Followed {
    /// There may be more on the tape.
    More,
    /// To the end of what is on the tape.
    ToTheEnd,
    /// To a frame that does not follow from the inputs. Nothing behind it can be verified.
    Differs(Box<Difference>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{self, Scenario};
    use crate::journal_sink::JournalSink;
    use onetape_engine::event::{Event, Kind, SessionStart};
    use onetape_engine::sequencer::NullSink;
    use onetape_engine::session::{SessionConfig, StrategyConfig};
    use onetape_engine::strategy::StrategyParams;
    use onetape_journal::{Options, Writer};

    /// The generated day's, 2026-01-05.
    const MIDNIGHT: Nanos = Nanos(1_767_571_200 * 1_000_000_000);

    /// Steps a generated day of a crossing average onto a tape; `between` is called after each step.
    fn traded(journal: &Path, mut between: impl FnMut(u64)) {
        let mut config = SessionConfig::default();
        config.strategies.push(StrategyConfig {
            id: "cross".to_owned(),
            params: StrategyParams::named("ema_cross").unwrap(),
        });
        let start = SessionStart {
            engine_version: String::new(),
            logic_hash: String::new(),
            config,
        };
        let mut payload = Vec::new();
        Event::SessionStart(Box::new(start)).encode(&mut payload);
        let writer = Writer::create(journal, Options::default()).unwrap();
        let mut sequencer = Sequencer::new(JournalSink::new(writer));
        let kind = Kind::SessionStart.number();
        sequencer.step(MIDNIGHT, kind, &payload).unwrap();
        let day = day(journal);
        let mut inputs = Reader::open(&day).unwrap();
        let mut steps = 0;
        while let Some(frame) = inputs.next().unwrap() {
            let at = Nanos(frame.timestamp_ns);
            sequencer.step(at, frame.tag.kind(), frame.payload).unwrap();
            steps += 1;
            between(steps);
        }
        sequencer.into_sink().close().unwrap();
    }

    /// A generated day beside a journal.
    fn day(journal: &Path) -> PathBuf {
        let day = journal.with_extension("day");
        let options = generate::GenerateOptions {
            journal: day.clone(),
            seed: 9,
            events: 3_000,
            scenario: Scenario::Quotes,
        };
        generate::run(&options, &mut |_| {}).unwrap();
        day
    }

    fn from_the_first(journal: &Path) -> Follower {
        Follower::after(journal, Sequencer::new(NullSink)).unwrap()
    }

    #[test]
    fn a_tape_is_verified_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("run");
        let mut follower = None;
        traded(&journal, |steps| {
            let follower = follower.get_or_insert_with(|| from_the_first(&journal));
            if steps % 7 == 0 {
                let found = follower.follow(1_000).unwrap();
                assert!(matches!(found, Followed::ToTheEnd), "{found:?}");
            }
        });
        let mut follower = follower.unwrap();
        while matches!(follower.follow(100).unwrap(), Followed::More) {}
        let mut reader = Reader::open(&journal).unwrap();
        let mut last = 0;
        while let Some(frame) = reader.next().unwrap() {
            last = frame.sequence;
        }
        assert!(last > 3_100, "{last}");
        assert_eq!(follower.verified(), last);
        assert_eq!(Follower::begin(&journal).unwrap().verified(), last);
    }

    #[test]
    fn a_decision_that_does_not_follow_is_found_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, forged) = (dir.path().join("run"), dir.path().join("forged"));
        traded(&journal, |_| {});
        let mut writer = Writer::create(&forged, Options::default()).unwrap();
        let mut reader = Reader::open(&journal).unwrap();
        let mut altered = None;
        while let Some(frame) = reader.next().unwrap() {
            let mut payload = frame.payload.to_vec();
            let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
            if let (Event::OrderDecided(mut order), None) = (event, altered) {
                order.qty.0 += 1;
                payload.clear();
                Event::OrderDecided(order).encode(&mut payload);
                altered = Some(frame.sequence);
            }
            writer
                .append(frame.tag, frame.timestamp_ns, &payload)
                .unwrap();
        }
        writer.close().unwrap();
        let mut follower = from_the_first(&forged);
        let found = loop {
            match follower.follow(100).unwrap() {
                Followed::More => {}
                Followed::ToTheEnd => panic!("it was not found"),
                Followed::Differs(difference) => break difference,
            }
        };
        assert_eq!(Some(found.sequence), altered);
        assert_eq!(found.fields[0].field, "qty");
    }
}
