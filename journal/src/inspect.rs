//! What a journal's directory holds, told without stopping at the first thing that is wrong.

use crate::beginning;
use crate::control;
use crate::directory;
use crate::error::Error;
use crate::layout::{SEAL_FRAME, SEGMENT_HEADER};
use crate::segment::View;
use crate::walk::Found;
use std::path::{Path, PathBuf};

/// A journal as a whole.
#[derive(Clone, Debug)]
pub struct Description {
    /// The journal's id, if any segment says it.
    pub journal_id: Option<u128>,
    /// The durable record; `None` if there is no CONTROL.
    pub durable_sequence: Option<u64>,
    /// The first sequence that retention has left, if it has taken any.
    pub begins_at: Option<u64>,
    /// The segments in order.
    pub segments: Vec<SegmentInfo>,
    /// Sequences of the snapshots, ascending.
    pub snapshots: Vec<u64>,
}

/// One segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its id.
    pub id: u64,
    /// Its file.
    pub path: PathBuf,
    /// The epoch of the writer that wrote it.
    pub epoch: u64,
    /// The sequence of its first frame.
    pub base_sequence: u64,
    /// Frames in it that verify, without the seal.
    pub frames: u64,
    /// Bytes used, with header and seal.
    pub bytes_used: u64,
    /// Bytes it has room for.
    pub capacity: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Whether it is compressed.
    pub archived: bool,
    /// How it ends.
    pub state: SegmentState,
}

impl SegmentInfo {
    /// Whether nothing more will be written to it.
    #[must_use]
    pub fn sealed(&self) -> bool {
        self.state == SegmentState::Sealed
    }
}

/// How a segment ends.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SegmentState {
    /// With a seal.
    Sealed,
    /// With zeroes: being written, or its writer died.
    Open,
    /// It was made ready and not begun.
    Prepared,
    /// Other than it should; the text says how.
    Damaged(String),
}

/// Describes the journal in `dir`, verifying every frame. Damage is part of the description, not an error.
///
/// # Errors
/// [`Error::NotFound`] if there is no segment, [`Error::Control`], system errors on the directory.
pub fn describe(dir: &Path) -> Result<Description, Error> {
    let entries = directory::segments(dir)?;
    if entries.is_empty() {
        return Err(Error::NotFound {
            path: dir.to_path_buf(),
        });
    }
    let durable_sequence = control::read(dir)?.map(|r| r.durable);
    let mut journal_id = None;
    let mut segments = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut info = SegmentInfo {
            id: entry.id,
            path: entry.path.clone(),
            epoch: 0,
            base_sequence: 0,
            frames: 0,
            bytes_used: 0,
            capacity: 0,
            file_bytes: std::fs::metadata(&entry.path).map_or(0, |m| m.len()),
            archived: entry.archived,
            state: SegmentState::Prepared,
        };
        match View::open(&entry.path, entry.id, entry.archived) {
            Ok(None) => {}
            Err(e) => info.state = SegmentState::Damaged(e.to_string()),
            Ok(Some(view)) => {
                journal_id = journal_id.or(Some(view.header.journal));
                measure(&view, &mut info);
            }
        }
        segments.push(info);
    }
    Ok(Description {
        journal_id,
        durable_sequence,
        begins_at: beginning::read(dir)?.map(|kept| kept.sequence),
        segments,
        snapshots: directory::snapshots(dir)?,
    })
}

fn measure(view: &View, info: &mut SegmentInfo) {
    let mut cursor = view.cursor();
    let state = loop {
        match cursor.examine() {
            Found::Frame(frame) => cursor.advance(&frame),
            Found::Seal(_) => break SegmentState::Sealed,
            Found::Nothing => break SegmentState::Open,
            Found::End => {
                break SegmentState::Damaged(format!(
                    "a file of {} bytes that should have {}",
                    view.length, view.header.capacity
                ));
            }
            Found::Bad(what) => {
                break SegmentState::Damaged(format!(
                    "at offset {}: expected frame {}, found {what}",
                    cursor.offset, cursor.next_sequence
                ));
            }
        }
        if cursor.offset.is_multiple_of(1 << 20) {
            view.release(SEGMENT_HEADER, cursor.offset);
        }
    };
    info.epoch = view.header.epoch;
    info.base_sequence = view.header.base_sequence;
    info.frames = cursor.next_sequence - view.header.base_sequence;
    info.bytes_used = cursor.offset as u64
        + if state == SegmentState::Sealed {
            SEAL_FRAME as u64
        } else {
            0
        };
    info.capacity = view.header.capacity;
    info.file_bytes = view.stored;
    info.state = state;
}
