//! Keeping a journal within a bound: its oldest segments go, and what is gone is remembered in BEGINNING.
//!
//! Only whole segments go, and only those that the caller says are not needed: recovery needs every frame from the
//! oldest snapshot on that it may begin with. Frames that what is left refers to (names, say) are carried over.

use crate::beginning;
use crate::directory;
use crate::error::{Context, Damage, Error};
use crate::reader::{base_sequence, open_segment};
use crate::tag::{Frame, Tag};
use crate::walk::{Cursor, Found};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub use crate::beginning::Carried;

/// What [`keep_within`] left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Bytes that the journal takes on disk.
    pub bytes: u64,
    /// Segments that went.
    pub removed: u64,
    /// The first sequence that is left.
    pub first_sequence: u64,
}

/// Bytes that a journal's segments, archives and snapshots take on disk.
///
/// # Errors
/// [`Error::NotFound`] if there is no such directory; system errors.
pub fn bytes(dir: &Path) -> Result<u64, Error> {
    let mut sum = 0;
    for name in directory::names(dir)? {
        if [".seg", ".zst", ".snap", ".tmp"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            sum += file_bytes(&dir.join(name))?;
        }
    }
    Ok(sum)
}

/// What a file takes on disk; nothing if it is gone.
fn file_bytes(path: &Path) -> Result<u64, Error> {
    /// The unit of `st_blocks`, whatever the file system's is.
    const BLOCK: u64 = 512;
    match std::fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
        other => Ok(other.at("look at", path)?.blocks() * BLOCK),
    }
}

/// The first sequence that retention has left: 1 where it has taken nothing.
///
/// # Errors
/// As [`carried`].
pub fn first_sequence(dir: &Path) -> Result<u64, Error> {
    Ok(beginning::read(dir)?.map_or(1, |kept| kept.sequence))
}

/// The frames of removed segments that were carried over, in order; none if nothing was removed.
///
/// # Errors
/// [`Error::Header`] or [`Error::Version`] if BEGINNING is not what was written; system errors.
pub fn carried(dir: &Path) -> Result<Vec<Carried>, Error> {
    beginning::carried(dir)
}

/// Removes the oldest segments until the journal takes at most `max_bytes`, or no further one holds only frames before
/// `before`. Frames that `carry` names stay readable with [`carried`]. May run beside a live writer and readers: a
/// reader that comes to a removed segment is told so.
///
/// # Errors
/// [`Error::Damaged`] if a segment that would go has a frame that does not verify (nothing has gone then); system errors.
pub fn keep_within(
    dir: &Path,
    max_bytes: u64,
    before: u64,
    carry: &mut dyn FnMut(&Frame<'_>) -> bool,
) -> Result<Kept, Error> {
    // What a crash has left of the last time.
    beginning::remove_before(dir)?;
    let entries = directory::segments(dir)?;
    let mut left = bytes(dir)?;
    let (mut removed, mut first_sequence) = (0, 1);
    if let Some(first) = entries.first() {
        first_sequence = base_sequence(dir, first.id)?.unwrap_or(1);
    }
    let mut frames = None;
    let mut journal = 0;
    for pair in entries.windows(2) {
        let [entry, next] = pair else { break };
        let base = base_sequence(dir, next.id)?.filter(|base| *base <= before);
        let (true, Some(base)) = (left > max_bytes, base) else {
            break;
        };
        if frames.is_none() {
            frames = Some(beginning::carried(dir)?);
        }
        journal = carry_over(dir, entry, carry, frames.get_or_insert_default())?;
        left = left.saturating_sub(file_bytes(&entry.path)?);
        (removed, first_sequence) = (removed + 1, base);
    }
    if let (Some(frames), Some(first)) = (frames, entries.get(removed as usize)) {
        beginning::write(dir, journal, first.id, first_sequence, &frames)?;
        beginning::remove_before(dir)?;
    }
    Ok(Kept {
        bytes: left,
        removed,
        first_sequence,
    })
}

/// Adds the frames of a segment that `carry` names; the journal's id.
fn carry_over(
    dir: &Path,
    entry: &directory::Entry,
    carry: &mut dyn FnMut(&Frame<'_>) -> bool,
    frames: &mut Vec<Carried>,
) -> Result<u128, Error> {
    let view = open_segment(dir, entry.id)?.ok_or_else(|| Error::MissingSegment {
        path: entry.path.clone(),
        segment: entry.id,
    })?;
    let mut cursor = view.cursor();
    while let Some(raw) = cursor.peek() {
        if let Some(tag) = Tag::from_bits(raw.tag_bits) {
            let frame = Frame {
                sequence: raw.sequence,
                timestamp_ns: raw.timestamp_ns,
                tag,
                // SAFETY: the cursor's own frame; the view lives to the end of this function.
                payload: unsafe { Cursor::payload(&raw) },
            };
            if carry(&frame) {
                frames.push(Carried::of(&frame));
            }
        }
        cursor.advance(&raw);
    }
    match cursor.examine() {
        Found::Seal(_) => Ok(view.header.journal),
        found => Err(Error::Damaged {
            path: view.path.clone(),
            segment: entry.id,
            offset: cursor.offset as u64,
            sequence: cursor.next_sequence,
            what: match found {
                Found::Bad(what) => what,
                _ => Damage::Overrun,
            },
        }),
    }
}
