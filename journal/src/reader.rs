//! Reading: a cursor over the whole journal, live or not, in any process.
//!
//! A reader asks nobody and holds no lock. It verifies every frame it gives, keeps at most one segment
//! mapped, and lets go of the pages behind it.
//!
//! There is no index file. A sequence is found by the segments' headers, which hold their first sequences,
//! and a walk of one segment, which at some hundred million frames per second takes less time than an
//! index of that segment would take to read, check and keep true.

use crate::archive;
use crate::beginning;
use crate::control;
use crate::directory::{self, Entry};
use crate::error::{Context, Damage, Error};
use crate::layout::SEGMENT_HEADER;
use crate::recovery::{missing, run_length};
use crate::segment::{self, View};
use crate::tag::{Frame, Tag};
use crate::walk::{Cursor, Found, RawFrame, SealReason};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What follows the last frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tail {
    /// Zeroes: the writer has not gone on yet, or has died between two frames.
    Open,
    /// A seal: the journal was closed, or recovery ended that life.
    Closed,
    /// Bytes of a frame that is staged, or of one that a crash cut short.
    Unfinished {
        /// From the end of the last frame to the last byte that is not zero, as far as one frame reaches.
        bytes: u64,
    },
    /// The file ends before its header says.
    Cut {
        /// Length of the file, bytes.
        found: u64,
        /// Length in its header, bytes.
        expected: u64,
    },
}

/// What [`Reader::next_or_damaged`] gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Forensic<'a> {
    /// A frame that verifies.
    Frame(Frame<'a>),
    /// A frame that does not verify, though the one right after it does and carries the sequence after it.
    Damaged {
        /// The sequence it must have had.
        sequence: u64,
        /// The file.
        segment: u64,
        /// Where it starts in the segment, bytes.
        offset: u64,
        /// The timestamp there, which may be what is damaged.
        timestamp_ns: u64,
        /// The tag bits there, which may be what is damaged.
        tag_bits: u16,
        /// The payload there, which may be what is damaged.
        payload: &'a [u8],
        /// What did not verify.
        what: Damage,
    },
}

/// A position in a journal.
pub struct Reader {
    cursor: Cursor,
    /// Frames before this sequence are walked over.
    skip_below: u64,
    /// When the cursor is here, the pages behind it go.
    release_at: usize,
    released: usize,
    /// Owns the bytes that `cursor` points into.
    view: View,
    dir: PathBuf,
    /// The newest segment that is known to have been begun.
    known_last: u64,
    /// The durable record when it was last looked at: what must be there.
    durable: u64,
    /// The journal's first sequence when it was opened.
    first_sequence: u64,
}

// SAFETY: the cursor points into the mapping or memory that `view` owns, which moves with it and is not
// tied to a thread. Both are only read.
unsafe impl Send for Reader {}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("dir", &self.dir)
            .field("segment", &self.view.header.id)
            .field("offset", &self.cursor.offset)
            .field("next_sequence", &self.cursor.next_sequence)
            .finish_non_exhaustive()
    }
}

/// Pages are let go in steps of this many bytes.
const RELEASE_STEP: usize = 4 << 20;

impl Reader {
    /// Opens the journal in `dir` at its first frame: sequence 1, or what retention has left. A live writer may be at
    /// work on it, and this reader follows it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::MissingSegment`], [`Error::Header`], [`Error::Version`],
    /// [`Error::Archive`], [`Error::Control`], system errors.
    pub fn open(dir: &Path) -> Result<Reader, Error> {
        // First: everything up to the record was visible when it was read, so it must be found below.
        let record = control::read(dir)?;
        let entries = segments(dir, record.map_or(0, |r| r.durable))?;
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Err(Error::NotFound {
                path: dir.to_path_buf(),
            });
        };
        let beginning = beginning::first_segment(dir)?;
        if first.id > beginning {
            return Err(missing(dir, beginning));
        }
        let Some(view) = open_segment(dir, first.id)? else {
            // Retention took it after the look at the directory.
            if beginning::first_segment(dir)? > first.id {
                return Reader::open(dir);
            }
            return Err(Error::NotFound {
                path: dir.to_path_buf(),
            });
        };
        let known_last = if first.id == last.id || base_sequence(dir, last.id)?.is_some() {
            last.id
        } else {
            last.id - 1
        };
        if record.is_some_and(|r| r.journal != view.header.journal) {
            return Err(Error::Header {
                path: dir.join(directory::CONTROL),
                what: format!("does not belong to journal {:032x}", view.header.journal),
            });
        }
        let mut reader = Reader {
            cursor: view.cursor(),
            skip_below: 0,
            release_at: 0,
            released: 0,
            first_sequence: view.header.base_sequence,
            view,
            dir: dir.to_path_buf(),
            known_last,
            durable: record.map_or(0, |r| r.durable),
        };
        reader.rest();
        Ok(reader)
    }

    /// As [`Reader::open`], for whoever needs the journal from its first frame.
    ///
    /// # Errors
    /// [`Error::Removed`] where retention has taken the first frames; those of [`Reader::open`].
    pub fn open_whole(dir: &Path) -> Result<Reader, Error> {
        let reader = Reader::open(dir)?;
        match reader.first_sequence {
            1 => Ok(reader),
            first => Err(Error::Removed {
                path: dir.to_path_buf(),
                first,
            }),
        }
    }

    /// The sequence that the journal began with when it was opened: 1 unless retention has taken its first frames.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The next frame; `None` when there is nothing more now ([`Reader::tail`] says what is there instead),
    /// after which it may be called again. A frame is never given unless its checksum verifies and it
    /// carries the next sequence.
    ///
    /// Beyond the durable record whatever is not the next frame is an end, as recovery would make it one:
    /// a power loss leaves any bytes there.
    ///
    /// # Errors
    /// Up to the durable record: [`Error::Damaged`] for bytes that are not the next frame,
    /// [`Error::Corrupt`] at an end, the errors of [`Reader::open`] for the next segment. The position stays
    /// as it is.
    #[inline(always)] // left apart, it gives each frame back through memory
    #[allow(clippy::should_implement_trait)] // it lends from itself, which an iterator can't
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        Ok(match self.next_raw()? {
            // SAFETY: the frame came from this reader's cursor just now; the borrow of `self` keeps the
            // view, and with it the bytes, for as long as the frame lives.
            Some(raw) => unsafe { frame(&raw) },
            None => None,
        })
    }

    #[inline(always)]
    fn next_raw(&mut self) -> Result<Option<RawFrame>, Error> {
        loop {
            if let Some(raw) = self.cursor.peek() {
                if self.cursor.offset >= self.release_at {
                    self.release();
                }
                self.cursor.advance(&raw);
                if raw.sequence >= self.skip_below {
                    return Ok(Some(raw));
                }
            } else if !self.pass_end()? {
                return Ok(None);
            }
        }
    }

    /// For finding out what happened: as [`Reader::next`], but where a frame does not verify while the one
    /// right after it does and carries the sequence after it, gives the damaged bytes and goes on.
    ///
    /// # Errors
    /// As [`Reader::next`]; damage whose extent nothing proves stays an error.
    pub fn next_or_damaged(&mut self) -> Result<Option<Forensic<'_>>, Error> {
        let what = match self.next_raw() {
            // SAFETY: as in `next`.
            Ok(Some(raw)) => return Ok(unsafe { frame(&raw) }.map(Forensic::Frame)),
            // Beyond what was durable damage ends the journal; here it is looked at all the same.
            Ok(None) => match self.cursor.examine() {
                Found::Bad(what) => Ok(what),
                _ => return Ok(None),
            },
            Err(Error::Damaged { what, .. }) => Err(what),
            Err(e) => return Err(e),
        };
        let (Ok(damage) | Err(damage)) = what;
        let (segment, offset) = self.position();
        let Some(raw) = self.cursor.damaged_but_bounded() else {
            return match what {
                Ok(_) => Ok(None),
                Err(what) => Err(self.damaged(what)),
            };
        };
        self.cursor.advance(&raw);
        Ok(Some(Forensic::Damaged {
            sequence: raw.sequence,
            segment,
            offset,
            timestamp_ns: raw.timestamp_ns,
            tag_bits: raw.tag_bits,
            // SAFETY: as in `next`; the extent was checked against the segment.
            payload: unsafe { Cursor::payload(&raw) },
            what: damage,
        }))
    }

    /// Goes to `sequence`: `next` then gives the first frame with that sequence or a later one. One that is
    /// not there yet is waited for as any frame is. Segments are chosen by their headers, so damage in those
    /// before the one sought is not noticed.
    ///
    /// # Errors
    /// As [`Reader::next`]. The position is unchanged then, unless the damage lies in the segment sought.
    pub fn seek(&mut self, sequence: u64) -> Result<(), Error> {
        let entries = segments(&self.dir, self.durable)?;
        let none = || Error::NotFound {
            path: self.dir.clone(),
        };
        // The last segment that begins at or before the sequence; else the first.
        let (mut low, mut high) = (0, entries.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match base_sequence(&self.dir, entries[middle].id)? {
                Some(base) if base <= sequence => low = middle,
                _ => high = middle,
            }
        }
        let id = entries.get(low).ok_or_else(none)?.id;
        if id != self.view.header.id || !self.view.is_current() {
            let view = open_segment(&self.dir, id)?.ok_or_else(none)?;
            self.enter(view);
        } else if sequence < self.cursor.next_sequence {
            self.cursor = self.view.cursor();
            self.released = 0;
            self.rest();
        }
        self.skip_below = sequence;
        while self.cursor.next_sequence < sequence {
            let Some(raw) = self.cursor.peek() else { break };
            if self.cursor.offset >= self.release_at {
                self.release();
            }
            self.cursor.advance(&raw);
        }
        Ok(())
    }

    /// The sequence that `next` will give first.
    #[inline]
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.cursor.next_sequence.max(self.skip_below)
    }

    /// The journal's id.
    #[must_use]
    pub fn journal_id(&self) -> u128 {
        self.view.header.journal
    }

    /// The segment of the next frame, and the frame's offset there in bytes.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.view.header.id, self.cursor.offset as u64)
    }

    /// The durable record as it is now: everything up to this sequence is on disk (0: no record). A system
    /// call; the record may lag behind the truth and never leads it.
    ///
    /// # Errors
    /// [`Error::Control`], system errors.
    pub fn durable(&self) -> Result<u64, Error> {
        Ok(control::read(&self.dir)?.map_or(0, |r| r.durable))
    }

    /// What is after the last frame, asked when `next` gave `None`.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let cut = Tail::Cut {
            found: self.view.length,
            expected: self.view.header.capacity,
        };
        match self.cursor.examine() {
            Found::Seal(_) => Tail::Closed,
            Found::End | Found::Bad(Damage::Length { .. }) if self.view.is_cut() => cut,
            Found::Frame(_) => Tail::Open,
            Found::Nothing | Found::End | Found::Bad(_) => match self.cursor.remains(false) {
                0 if self.view.is_cut() => cut,
                0 => Tail::Open,
                bytes => Tail::Unfinished { bytes },
            },
        }
    }

    /// Decides what an offset without the next frame means: `true` if there may be more now.
    #[cold]
    #[inline(never)]
    fn pass_end(&mut self) -> Result<bool, Error> {
        let id = self.view.header.id;
        let error = match self.cursor.examine() {
            Found::Frame(_) => return Ok(true),
            Found::Seal(reason) => return self.follow(reason),
            // Where a live writer goes on: nothing but the record known already is looked at.
            Found::Nothing if id >= self.known_last => {
                return if self.cursor.next_sequence <= self.durable {
                    Err(self.ends_early())
                } else {
                    Ok(false)
                };
            }
            found => {
                let next = if id < self.known_last {
                    base_sequence(&self.dir, id + 1)?
                } else {
                    None
                };
                if next.is_none() {
                    // Recovery has discarded what was there, or a power loss has.
                    self.known_last = id;
                }
                // The next segment was begun, so this one was complete but for its seal (a power loss), or
                // the seal is about to be published.
                if next == Some(self.cursor.next_sequence) && !matches!(found, Found::End) {
                    return self.follow(SealReason::Roll);
                }
                match (found, next) {
                    (Found::Bad(what), _) if !self.view.is_cut() => self.damaged(what),
                    _ if id >= self.known_last => self.ends_early(),
                    _ if self.view.is_cut() => self.damaged(Damage::Cut {
                        found: self.view.length,
                        expected: self.view.header.capacity,
                    }),
                    (_, base) => self.damaged(Damage::Unsealed {
                        next: id + 1,
                        base: base.unwrap_or(0),
                    }),
                }
            }
        };
        if !self.is_promised()? {
            return Ok(false);
        }
        // The record is newer than the look at the bytes.
        match self.cursor.examine() {
            Found::Frame(_) | Found::Seal(_) => Ok(true),
            _ => Err(error),
        }
    }

    /// Whether the frame at the cursor is recorded as being on disk, by the record as it is now.
    fn is_promised(&mut self) -> Result<bool, Error> {
        self.durable = self.durable.max(self.durable()?);
        Ok(self.cursor.next_sequence <= self.durable)
    }

    fn ends_early(&self) -> Error {
        Error::Corrupt {
            path: self.dir.clone(),
            durable: self.durable,
            found: self.cursor.next_sequence - 1,
        }
    }

    /// Goes to the segment after a seal, if it is there.
    fn follow(&mut self, reason: SealReason) -> Result<bool, Error> {
        let mut next = self.next_segment();
        // Not there yet, or torn, or not what follows; what is wrong with a whole one is an error at once.
        if matches!(next, Ok(None) | Err(Error::Header { .. })) {
            if !self.is_promised()? {
                return Ok(false);
            }
            // The record is newer than the look at the directory.
            next = self.next_segment();
        }
        let view = match (next?, reason) {
            (Some(view), _) => view,
            (None, SealReason::Roll) => return Err(self.next_is_missing()),
            (None, _) => return Err(self.ends_early()),
        };
        self.enter(view);
        self.durable = self.durable.max(self.durable()?);
        Ok(true)
    }

    /// Why the segment after this one is not there, though it must have been.
    fn next_is_missing(&self) -> Error {
        let next = self.view.header.id + 1;
        match beginning::read(&self.dir) {
            // This reader was slower than retention.
            Ok(Some(kept)) if kept.segment > next => Error::Removed {
                path: self.dir.clone(),
                first: kept.sequence,
            },
            Ok(_) => missing(&self.dir, next),
            Err(e) => e,
        }
    }

    /// The segment that continues this one at the cursor, if it is there.
    fn next_segment(&self) -> Result<Option<View>, Error> {
        let view = open_segment(&self.dir, self.view.header.id + 1)?;
        if let Some(view) = &view {
            self.view
                .header
                .check_next(&view.header, self.cursor.next_sequence, &view.path)?;
        }
        Ok(view)
    }

    fn enter(&mut self, view: View) {
        self.cursor = view.cursor();
        self.known_last = self.known_last.max(view.header.id);
        self.view = view;
        self.released = 0;
        self.rest();
    }

    fn rest(&mut self) {
        self.release_at = SEGMENT_HEADER + self.released + RELEASE_STEP;
    }

    #[cold]
    #[inline(never)]
    fn release(&mut self) {
        self.view.release(self.released, self.cursor.offset);
        self.released = self.cursor.offset;
        self.rest();
    }

    fn damaged(&self, what: Damage) -> Error {
        Error::Damaged {
            path: self.view.path.clone(),
            segment: self.view.header.id,
            offset: self.cursor.offset as u64,
            sequence: self.cursor.next_sequence,
            what,
        }
    }
}

/// # Safety
/// The bytes under the frame stay mapped for all of `'a`.
#[inline(always)]
unsafe fn frame<'a>(raw: &RawFrame) -> Option<Frame<'a>> {
    Some(Frame {
        sequence: raw.sequence,
        timestamp_ns: raw.timestamp_ns,
        // The walk has refused every kind that is no tag.
        tag: Tag::from_bits(raw.tag_bits)?,
        // SAFETY: this function's contract.
        payload: unsafe { Cursor::payload(raw) },
    })
}

/// The segments up to the first missing id; an error if it is certain that durable frames are missing there.
fn segments(dir: &Path, durable: u64) -> Result<Vec<Entry>, Error> {
    let mut entries = directory::segments(dir)?;
    if run_length(&entries) < entries.len() {
        // A listing is not one moment: a segment may have become an archive during it.
        entries = directory::segments(dir)?;
    }
    let run = run_length(&entries);
    if let Some(beyond) = entries.get(run) {
        let base = base_sequence(dir, beyond.id)?;
        if base.is_some_and(|base| base <= durable.saturating_add(1)) {
            return Err(missing(dir, entries[run - 1].id + 1));
        }
        entries.truncate(run);
    }
    Ok(entries)
}

/// Opens a segment or its archive; `None` if neither is there or the segment was not begun.
pub(crate) fn open_segment(dir: &Path, id: u64) -> Result<Option<View>, Error> {
    let (plain, packed) = (directory::segment(dir, id), directory::archive(dir, id));
    // Archiving may put one in the other's place between two looks.
    for (path, archived) in [(&plain, false), (&packed, true), (&plain, false)] {
        match View::open(path, id, archived) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Ok(None)
}

/// The first sequence of a segment that was begun; `None` for one that was not, or whose header is torn.
pub(crate) fn base_sequence(dir: &Path, id: u64) -> Result<Option<u64>, Error> {
    let (plain, packed) = (directory::segment(dir, id), directory::archive(dir, id));
    for (path, archived) in [(&plain, false), (&packed, true), (&plain, false)] {
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            other => other.at("open", path)?,
        };
        if archived {
            return archive::read_header(&file, path, id).map(|h| Some(h.base_sequence));
        }
        return match segment::read_header(&file, path, id) {
            Err(Error::Header { .. }) => Ok(None),
            other => Ok(other?.map(|h| h.base_sequence)),
        };
    }
    Ok(None)
}
