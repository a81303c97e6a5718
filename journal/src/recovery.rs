//! Recovery: from whatever a crash left to an exact prefix that holds everything that was durable.
//!
//! First everything is looked at and nothing changed; only a journal that may be opened is repaired:
//! 1. The *chain* is the segments whose ids follow each other, whose headers verify and continue each other.
//! 2. Segments that may not have been synced, and the last one, are verified frame by frame.
//! 3. The first place that is not the next frame is the *cut*. What is there instead does not matter: a power
//!    loss leaves any mixture of old and new sectors, of this segment and of later ones. If frames up to
//!    the durable record D are missing at the cut, the journal is refused; so is damage in an archive, which
//!    was on disk before it had its name.
//! 4. Else nobody was promised what lies beyond: it is counted, reported and discarded. The tail becomes
//!    zero, then a seal is written at the cut; no file gets shorter, since readers may map it.

use crate::archive;
use crate::beginning;
use crate::checksum;
use crate::commit::{self, CommitWord};
use crate::control;
use crate::directory::{self, Entry};
use crate::error::{Context, Damage, Error};
use crate::frame;
use crate::layout::{
    FRAME_AT_SEQUENCE, KIND_SEAL, PAGE, SEAL_FRAME, SEAL_PAYLOAD, SEGMENT_HEADER, put,
};
use crate::segment::{self, Header, View};
use crate::walk::{Cursor, Found, SealReason};
use memmap2::MmapOptions;
use rustix::fs::FallocateFlags;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use zerocopy::IntoBytes;

/// What opening a journal for writing found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The last frame's sequence; 0 if there is none.
    pub last_sequence: u64,
    /// The last frame's timestamp, ns.
    pub last_timestamp_ns: u64,
    /// Frames in the journal.
    pub frames: u64,
    /// Frames whose checksums were verified by this open.
    pub frames_verified: u64,
    /// What the durable record promised; 0 if there was none.
    pub durable_sequence: u64,
    /// Bytes discarded beyond the last frame: staged, torn or beyond a hole.
    pub dropped_bytes: u64,
    /// Whole frames among them. They lay beyond a hole and were never durable.
    pub dropped_frames_beyond: u64,
    /// The segment in which the last life ended.
    pub segment: u64,
    /// Whether the last writer closed the journal.
    pub was_clean: bool,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = self.frames;
        if self.was_clean {
            write!(
                f,
                "closed in order: {frames} frames, the last is {}",
                self.last_sequence
            )?;
        } else {
            write!(
                f,
                "not closed: {frames} frames recovered, the last is {}",
                self.last_sequence
            )?;
        }
        if self.dropped_bytes > 0 {
            write!(
                f,
                "; dropped {} bytes after it that were never published or never on disk",
                self.dropped_bytes
            )?;
        }
        if self.dropped_frames_beyond > 0 {
            write!(
                f,
                ", among them {} whole frames beyond a hole",
                self.dropped_frames_beyond
            )?;
        }
        write!(
            f,
            "; durable up to {}, {} frames verified",
            self.durable_sequence, self.frames_verified
        )
    }
}

pub(crate) struct Recovered {
    /// Header of the last segment that stays.
    pub(crate) last: Header,
    pub(crate) recovery: Recovery,
}

/// What is known of a segment without reading its frames.
struct Head {
    entry: Entry,
    base_sequence: u64,
    /// `None` for an archive, which would have to be unpacked.
    header: Option<Header>,
    bytes: u64,
}

/// A seal to write: where a segment has none.
struct Cut {
    path: PathBuf,
    header: Header,
    offset: u64,
    next_sequence: u64,
    timestamp_ns: u64,
    reason: SealReason,
}

/// Where a walk ended.
struct Walked {
    view: View,
    cursor: Cursor,
    found: Found,
    timestamp_ns: u64,
}

/// How many of the segments follow each other without a missing id, from the first.
pub(crate) fn run_length(entries: &[Entry]) -> usize {
    entries
        .windows(2)
        .position(|pair| matches!(pair, [a, b] if b.id != a.id + 1))
        .map_or(entries.len(), |i| i + 1)
}

pub(crate) fn missing(dir: &Path, id: u64) -> Error {
    Error::MissingSegment {
        path: directory::segment(dir, id),
        segment: id,
    }
}

/// What is known of a segment without reading its frames; `None` if it was prepared, but not begun.
fn head(entry: &Entry) -> Result<Option<Head>, Error> {
    let file = File::open(&entry.path).at("open", &entry.path)?;
    let bytes = file.metadata().at("look at", &entry.path)?.len();
    let (base_sequence, header) = if entry.archived {
        let header = archive::read_header(&file, &entry.path, entry.id)?;
        (header.base_sequence, None)
    } else {
        match segment::read_header(&file, &entry.path, entry.id)? {
            Some(header) => (header.base_sequence, Some(header)),
            None => return Ok(None),
        }
    };
    Ok(Some(Head {
        entry: entry.clone(),
        base_sequence,
        header,
        bytes,
    }))
}

/// The segments that continue each other, and what comes after the last of them.
struct Chain {
    heads: Vec<Head>,
    rest: Vec<Entry>,
    /// Why the chain ends there, if that is more than "nothing was begun after it".
    broken: Option<Error>,
    /// Whether that can't come from a crash, so that it stops recovery wherever the frames end.
    fatal: bool,
}

fn chain(dir: &Path, entries: &[Entry]) -> Result<Chain, Error> {
    let mut heads: Vec<Head> = Vec::new();
    let run = run_length(entries);
    let (mut broken, mut fatal) = (None, false);
    for entry in &entries[..run] {
        match head(entry) {
            Ok(Some(head)) => {
                if let Some(last) = heads.last()
                    && let (Some(a), Some(b)) = (&last.header, &head.header)
                    && let Err(e) = a.check_next(b, b.base_sequence, &entry.path)
                {
                    broken = Some(e);
                    break;
                }
                heads.push(head);
            }
            // Prepared and not begun, or the begun header never reached the disk.
            Ok(None) if !heads.is_empty() => break,
            Ok(None) => {
                return Err(Error::Header {
                    path: entry.path.clone(),
                    what: "the first segment has no header".into(),
                });
            }
            Err(e @ (Error::Header { .. } | Error::Archive { .. })) if !heads.is_empty() => {
                fatal = matches!(e, Error::Archive { .. });
                broken = Some(e);
                break;
            }
            Err(e) => return Err(e),
        }
    }
    if broken.is_none() && heads.len() == run && run < entries.len() {
        broken = heads.last().map(|last| missing(dir, last.entry.id + 1));
    }
    Ok(Chain {
        rest: entries[heads.len()..].to_vec(),
        heads,
        broken,
        fatal,
    })
}

fn walk(head: &Head) -> Result<Walked, Error> {
    let Some(view) = View::open(&head.entry.path, head.entry.id, head.entry.archived)? else {
        return Err(Error::Header {
            path: head.entry.path.clone(),
            what: "the header has vanished".into(),
        });
    };
    let mut cursor = view.cursor();
    let mut timestamp_ns = view.header.base_timestamp_ns;
    loop {
        while let Some(frame) = cursor.peek() {
            timestamp_ns = frame.timestamp_ns;
            cursor.advance(&frame);
        }
        let found = cursor.examine();
        if !matches!(found, Found::Frame(_)) {
            return Ok(Walked {
                view,
                cursor,
                found,
                timestamp_ns,
            });
        }
    }
}

impl Walked {
    /// The seal to write where the walk ended.
    fn cut(&self, reason: SealReason) -> Cut {
        Cut {
            path: self.view.path.clone(),
            header: self.view.header,
            offset: self.cursor.offset as u64,
            next_sequence: self.cursor.next_sequence,
            timestamp_ns: self.timestamp_ns,
            reason,
        }
    }
}

/// Bytes and whole frames in a segment that goes because it lies beyond the cut in one with header `last`.
/// Only for the report, so what can't be read counts as nothing.
fn count_discarded(entry: &Entry, last: &Header, next_sequence: u64) -> (u64, u64) {
    let view = match View::open(&entry.path, entry.id, entry.archived) {
        Ok(Some(view)) => view,
        _ if entry.archived => return (0, 0),
        // Its header did not reach the disk, but frames of the same life may have.
        _ => match View::open_as(
            &entry.path,
            Header {
                base_sequence: next_sequence,
                ..*last
            },
        ) {
            Ok(Some(view)) => view,
            _ => return (0, 0),
        },
    };
    let mut cursor = view.cursor();
    let first = cursor.next_sequence;
    while let Some(frame) = cursor.peek() {
        cursor.advance(&frame);
    }
    let (whole, bytes) = (
        cursor.next_sequence - first,
        (cursor.offset - SEGMENT_HEADER) as u64,
    );
    match cursor.remains(true) {
        // A segment that was prepared and not begun, mostly.
        0 => (bytes, whole),
        rest => (bytes + rest, whole + cursor.frames_beyond()),
    }
}

fn damage(walked: &Walked, what: Damage) -> Error {
    Error::Damaged {
        path: walked.view.path.clone(),
        segment: walked.view.header.id,
        offset: walked.cursor.offset as u64,
        sequence: walked.cursor.next_sequence,
        what,
    }
}

/// Recovers the journal in `dir`, whose lock the caller holds. Afterwards every segment is sealed, every
/// frame is on disk, and nothing lies beyond the last one.
pub(crate) fn recover(dir: &Path, verify_bytes: u64) -> Result<Recovered, Error> {
    let entries = directory::segments(dir)?;
    let beginning = beginning::first_segment(dir)?;
    if entries.first().is_some_and(|first| first.id > beginning) {
        return Err(missing(dir, beginning));
    }
    let record = control::read(dir)?;
    let durable = record.map_or(0, |r| r.durable);
    let Chain {
        mut heads,
        rest,
        mut broken,
        mut fatal,
    } = chain(dir, &entries)?;
    let Some(first_sequence) = heads.first().map(|h| h.base_sequence) else {
        return Err(Error::NotFound {
            path: dir.to_path_buf(),
        });
    };

    // The newest segments are verified again as far as the budget goes.
    let mut budget = verify_bytes;
    let mut verify_from = heads.len();
    while verify_from > 0 && heads[verify_from - 1].bytes <= budget {
        verify_from -= 1;
        budget -= heads[verify_from].bytes;
    }

    let mut cuts = Vec::new();
    let mut verified = 0;
    let mut last: Option<Walked> = None;
    let mut end = heads.len();
    for i in 0..heads.len() {
        let next_base = heads.get(i + 1).map(|h| h.base_sequence);
        if i < verify_from && next_base.is_some_and(|base| base <= durable.saturating_add(1)) {
            // Sealed and synced: known good when it was, and left to `verify` now.
            last = None;
            continue;
        }
        let walked = walk(&heads[i])?;
        let (header, cursor) = (walked.view.header, walked.cursor);
        if let Some(last) = &last
            && let Err(e) =
                last.view
                    .header
                    .check_next(&header, last.cursor.next_sequence, &walked.view.path)
        {
            // The segment before is whole and this one is not what follows it.
            (end, broken, fatal) = (i, Some(e), false);
            break;
        }
        verified += cursor.next_sequence - header.base_sequence;
        let what = match (walked.found, next_base) {
            (Found::Seal(_), None) => None,
            (Found::Seal(_), Some(base)) if base == cursor.next_sequence => None,
            // The next segment proves that nothing but the seal of this one is missing.
            (Found::Nothing | Found::Bad(_), Some(base))
                if base == cursor.next_sequence && !walked.view.archived =>
            {
                cuts.push(walked.cut(SealReason::Roll));
                None
            }
            (Found::Bad(what), _) => Some(what),
            _ if walked.view.is_cut() => Some(Damage::Cut {
                found: walked.view.length,
                expected: header.capacity,
            }),
            (_, Some(base)) => Some(Damage::Unsealed {
                next: header.id + 1,
                base,
            }),
            (_, None) => Some(Damage::Overrun),
        };
        if let Some(what) = what {
            if !matches!(walked.found, Found::Seal(_)) {
                // An archive was whole and on disk when it got its name.
                if walked.view.archived {
                    return Err(damage(&walked, what));
                }
                cuts.push(walked.cut(SealReason::Recovered));
            }
            // In the last segment, "ends at" says more than what the bytes there look like.
            broken = next_base.map(|_| damage(&walked, what));
            (end, fatal) = (i + 1, false);
            last = Some(walked);
            break;
        }
        last = Some(walked);
    }
    let Some(last) = last else {
        return Err(Error::NotFound {
            path: dir.to_path_buf(),
        });
    };
    let header = last.view.header;
    if record.is_some_and(|r| r.journal != header.journal) {
        return Err(Error::Header {
            path: dir.join(directory::CONTROL),
            what: format!("does not belong to journal {:032x}", header.journal),
        });
    }
    let next_sequence = last.cursor.next_sequence;
    if fatal || next_sequence <= durable {
        return Err(broken.unwrap_or(Error::Corrupt {
            path: dir.to_path_buf(),
            durable,
            found: next_sequence - 1,
        }));
    }
    if let Some(cut) = cuts
        .iter()
        .find(|c| c.offset + SEAL_FRAME as u64 > c.header.capacity)
    {
        return Err(Error::Damaged {
            path: cut.path.clone(),
            segment: cut.header.id,
            offset: cut.offset,
            sequence: cut.next_sequence,
            what: Damage::Overrun,
        });
    }

    let mut recovery = Recovery {
        last_sequence: next_sequence - 1,
        last_timestamp_ns: last.timestamp_ns,
        frames: next_sequence - first_sequence,
        frames_verified: verified,
        durable_sequence: durable,
        dropped_bytes: 0,
        dropped_frames_beyond: 0,
        segment: header.id,
        was_clean: matches!(last.found, Found::Seal(SealReason::Close))
            && entries.len() == end
            && cuts.is_empty(),
    };
    if !matches!(last.found, Found::Seal(_)) {
        recovery.dropped_bytes = last.cursor.remains(true);
        if recovery.dropped_bytes > 0 {
            recovery.dropped_frames_beyond = last.cursor.frames_beyond();
        }
    }
    let mut discarded: Vec<Entry> = heads.drain(end..).map(|h| h.entry).collect();
    discarded.extend(rest);
    for entry in &discarded {
        let (bytes, frames) = count_discarded(entry, &header, next_sequence);
        recovery.dropped_bytes += bytes;
        recovery.dropped_frames_beyond += frames;
    }

    // From here on the journal changes.
    directory::remove_unfinished(dir)?;
    beginning::remove_before(dir)?;
    for entry in discarded.iter().rev() {
        // With a segment goes an archive of it, which would count in its place.
        let packed = directory::archive(dir, entry.id);
        if !entry.archived && packed.exists() {
            std::fs::remove_file(&packed).at("remove", &packed)?;
        }
        std::fs::remove_file(&entry.path).at("remove", &entry.path)?;
    }
    directory::sync(dir)?;
    for cut in &cuts {
        seal(cut)?;
    }
    for (i, head) in heads.iter().enumerate() {
        let synced = heads
            .get(i + 1)
            .is_some_and(|next| next.base_sequence <= durable.saturating_add(1));
        if !synced && !head.entry.archived {
            let path = &head.entry.path;
            File::open(path)
                .at("open", path)?
                .sync_data()
                .at("sync", path)?;
        }
    }
    Ok(Recovered {
        last: header,
        recovery,
    })
}

/// Zeroes everything from the cut on, then seals there. Each half is on disk before the other counts.
fn seal(cut: &Cut) -> Result<(), Error> {
    let path = &cut.path;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .at("open", path)?;
    if file.metadata().at("look at", path)?.len() < cut.header.capacity {
        // Longer, never shorter.
        file.set_len(cut.header.capacity).at("extend", path)?;
    }
    let page_end = cut.offset.next_multiple_of(PAGE).min(cut.header.capacity);
    file.write_all_at(&vec![0; (page_end - cut.offset) as usize], cut.offset)
        .at("write", path)?;
    if page_end < cut.header.capacity {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&file, flags, page_end, cut.header.capacity - page_end).is_err() {
            let zeroes = vec![0; 1 << 20];
            let mut at = page_end;
            while at < cut.header.capacity {
                let n = (cut.header.capacity - at).min(zeroes.len() as u64);
                file.write_all_at(&zeroes[..n as usize], at)
                    .at("write", path)?;
                at += n;
            }
        }
    }
    file.sync_data().at("sync", path)?;

    let mut words = [0u64; SEAL_FRAME / 8];
    let mut payload = [0; SEAL_PAYLOAD];
    put(&mut payload, 0, &cut.reason.number().to_le_bytes());
    // SAFETY: the buffer is aligned and as long as a seal's frame.
    let state = unsafe {
        frame::fill(
            checksum::hardware(),
            words.as_mut_ptr().cast(),
            checksum::seed(cut.header.epoch),
            cut.next_sequence,
            cut.timestamp_ns,
            &payload,
        )
    };
    let offset = cut.offset as usize;
    // By write(2), so that a full disk is an error here and not a signal in the store below: this allocates
    // the page of the commit word too, which an earlier frame or the next eight bytes share.
    let rest = &words.as_bytes()[FRAME_AT_SEQUENCE..];
    file.write_all_at(rest, cut.offset + FRAME_AT_SEQUENCE as u64)
        .at("write", path)?;
    let map = MmapOptions::new()
        .len(cut.header.capacity as usize)
        .map_raw(&file)
        .at("map", path)?;
    if let Some(word) = frame::word(state, CommitWord::low(SEAL_PAYLOAD, KIND_SEAL)) {
        // SAFETY: within the mapping, aligned, on allocated space; a reader that follows this segment sees
        // the word only after the bytes written above.
        commit::publish(
            unsafe { AtomicU64::from_ptr(map.as_mut_ptr().add(offset).cast()) },
            word,
        );
    }
    map.flush_range(offset, SEAL_FRAME).at("sync", path)?;
    file.sync_data().at("sync", path)
}
