//! One hash for a journal's content, independent of epochs, checksums, segments and archives.

use crate::error::Error;
use crate::reader::Reader;
use crate::tag::Frame;
use std::path::Path;

/// What [`root_hash`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootHash {
    /// BLAKE3 over every frame's sequence (u64), timestamp (u64), tag (u16), payload length (u32), all
    /// little-endian, and payload.
    pub hash: blake3::Hash,
    /// How many frames went into it.
    pub frames: u64,
    /// Sequence of the first one; 0 if there is none.
    pub first_sequence: u64,
    /// Sequence of the last one; 0 if there is none.
    pub last_sequence: u64,
}

/// Computes a [`RootHash`] frame by frame, for those who read the frames anyway.
#[derive(Debug, Default)]
pub struct RootHasher {
    hasher: blake3::Hasher,
    /// Small frames are gathered: BLAKE3 is fast on long input only.
    buffer: Vec<u8>,
    frames: u64,
    first_sequence: u64,
    last_sequence: u64,
}

const GATHERED: usize = 64 << 10;

impl RootHasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> RootHasher {
        RootHasher::default()
    }

    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame<'_>) {
        if self.frames == 0 {
            self.first_sequence = frame.sequence;
        }
        self.frames += 1;
        self.last_sequence = frame.sequence;
        self.buffer.extend_from_slice(&frame.sequence.to_le_bytes());
        self.buffer
            .extend_from_slice(&frame.timestamp_ns.to_le_bytes());
        self.buffer
            .extend_from_slice(&frame.tag.bits().to_le_bytes());
        self.buffer
            .extend_from_slice(&(frame.payload.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(frame.payload);
        if self.buffer.len() >= GATHERED {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// The hash of everything added.
    #[must_use]
    pub fn finish(mut self) -> RootHash {
        self.hasher.update(&self.buffer);
        RootHash {
            hash: self.hasher.finalize(),
            frames: self.frames,
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
        }
    }
}

/// Hashes the whole journal in `dir`, up to its end now.
///
/// # Errors
/// Those of [`Reader::open`] and [`Reader::next`].
pub fn root_hash(dir: &Path) -> Result<RootHash, Error> {
    root_hash_of(&mut Reader::open(dir)?)
}

/// Hashes from the reader's position to the journal's end now.
///
/// # Errors
/// Those of [`Reader::next`].
pub fn root_hash_of(reader: &mut Reader) -> Result<RootHash, Error> {
    let mut hasher = RootHasher::new();
    while let Some(frame) = reader.next()? {
        hasher.add(&frame);
    }
    Ok(hasher.finish())
}
