//! The journal that is written, and the engine's own market folded beside it.
use super::error::ImportError;
use onetape_engine::event::{BookUpdate, Event, Kind, Level};
use onetape_engine::id::{InstrumentId, Sequence};
use onetape_engine::market::{Market, Top};
use onetape_engine::number::Price;
use onetape_engine::time::Nanos;
use onetape_journal::{Error as JournalError, Options, Reader, Tag, Writer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a journal holds before an import.
#[derive(Default)]
pub(super) struct Existing {
    /// False where there is no journal yet.
    pub(super) found: bool,
    pub(super) market: Market,
    pub(super) frames: u64,
    pub(super) last_ns: u64,
    /// Identities of the sources in it.
    pub(super) sources: Vec<String>,
    /// How far the last book snapshots reached.
    pub(super) reaches: BTreeMap<InstrumentId, Reach>,
}

/// The lowest bid and the highest ask of a snapshot. A venue's snapshot is cut: levels beyond it that have not changed
/// since are not known.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    lowest_bid: Option<Price>,
    highest_ask: Option<Price>,
}

impl Reach {
    pub(super) fn of(snapshot: &BookUpdate<'_>) -> Self {
        let prices = |levels: &[Level]| levels.iter().map(|level| level.price).collect::<Vec<_>>();
        Self {
            lowest_bid: prices(snapshot.bids).into_iter().min(),
            highest_ask: prices(snapshot.asks).into_iter().max(),
        }
    }

    /// Whether both best prices lie where the snapshot knew every level.
    pub(super) fn holds(&self, top: &Top) -> bool {
        self.lowest_bid.is_some_and(|low| low <= top.bid.price)
            && self.highest_ask.is_some_and(|high| top.ask.price <= high)
    }
}

impl Existing {
    /// Folds a journal; an empty market where there is none.
    pub(super) fn read(dir: &Path) -> Result<Self, ImportError> {
        let mut existing = Existing::default();
        let mut reader = match Reader::open_whole(dir) {
            Ok(reader) => reader,
            Err(JournalError::NotFound { .. }) => return Ok(existing),
            Err(other) => return Err(other.into()),
        };
        existing.found = true;
        while let Some(frame) = reader.next()? {
            let sequence = frame.sequence;
            let event = Event::decode(frame.tag.kind(), frame.payload)
                .map_err(|source| ImportError::Frame { sequence, source })?;
            match &event {
                Event::SessionStart(_) => {
                    return Err(ImportError::SessionInJournal {
                        journal: dir.to_path_buf(),
                        sequence,
                    });
                }
                Event::BookSnapshot(snapshot) => {
                    existing
                        .reaches
                        .insert(snapshot.header.instrument, Reach::of(snapshot));
                }
                Event::DataSource(source) => existing.sources.push(source.identity.clone()),
                _ => {}
            }
            existing
                .market
                .evolve(Sequence(sequence), Nanos(frame.timestamp_ns), &event)
                .map_err(|source| ImportError::Engine { sequence, source })?;
            existing.frames = sequence;
            existing.last_ns = frame.timestamp_ns;
        }
        Ok(existing)
    }
}

/// The journal under way.
pub(super) struct Tape {
    writer: Option<Writer>,
    undo: Undo,
    pub(super) market: Market,
    pub(super) reaches: BTreeMap<InstrumentId, Reach>,
    pub(super) last_ns: u64,
    pub(super) last_sequence: u64,
    pub(super) frames: u64,
    pub(super) clamped: u64,
    payload: Vec<u8>,
}

/// Removes a journal that was begun and not finished.
struct Undo {
    dir: PathBuf,
    existed: bool,
    armed: bool,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        // What can't be removed is a closed journal of fewer frames, and the error that led here is reported anyway.
        if !self.existed {
            let _ = std::fs::remove_dir_all(&self.dir);
        } else if let Ok(entries) = std::fs::read_dir(&self.dir) {
            for entry in entries.flatten() {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Tape {
    pub(super) fn open(dir: &Path, existing: Existing) -> Result<Self, ImportError> {
        let is_empty = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        // Only what this import itself makes is ever removed.
        let armed = !existing.found && (is_empty || !dir.exists());
        let undo = Undo {
            dir: dir.to_path_buf(),
            existed: dir.exists(),
            armed,
        };
        let writer = if existing.found {
            Writer::open(dir, Options::default())?.0
        } else {
            Writer::create(dir, Options::default())?
        };
        Ok(Self {
            writer: Some(writer),
            undo,
            market: existing.market,
            reaches: existing.reaches,
            last_ns: existing.last_ns,
            last_sequence: existing.frames,
            frames: 0,
            clamped: 0,
            payload: Vec::new(),
        })
    }

    /// Appends an input. A stamp before the last one becomes the last one: time never goes back.
    pub(super) fn push(&mut self, stamp_ns: u64, event: &Event<'_>) -> Result<Kind, ImportError> {
        self.clamped += u64::from(stamp_ns < self.last_ns);
        let stamp_ns = stamp_ns.max(self.last_ns);
        let sequence = self.last_sequence + 1;
        self.market
            .evolve(Sequence(sequence), Nanos(stamp_ns), event)
            .map_err(|source| ImportError::Engine { sequence, source })?;
        if let Event::BookSnapshot(snapshot) = event {
            self.reaches
                .insert(snapshot.header.instrument, Reach::of(snapshot));
        }
        let kind = event.kind();
        self.payload.clear();
        event.encode(&mut self.payload);
        if let Some(writer) = &mut self.writer {
            writer.append(
                Tag::input(kind.number()).with_step_end(true),
                stamp_ns,
                &self.payload,
            )?;
        }
        (self.last_ns, self.last_sequence) = (stamp_ns, sequence);
        self.frames += 1;
        Ok(kind)
    }

    /// Seals the journal: from here on it stays.
    pub(super) fn close(&mut self) -> Result<(), ImportError> {
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        self.undo.armed = false;
        Ok(())
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        // Before `undo` looks at the directory.
        self.writer = None;
    }
}
