//! One segment: its header, and its bytes for reading, mapped or unpacked from the archive.

use crate::archive;
use crate::checksum;
use crate::error::{Context, Error};
use crate::layout::{
    FORMAT_VERSION, SEGMENT_AT_BASE_SEQUENCE, SEGMENT_AT_BASE_TIMESTAMP, SEGMENT_AT_CAPACITY,
    SEGMENT_AT_CRC, SEGMENT_AT_EPOCH, SEGMENT_AT_HEADER_LENGTH, SEGMENT_AT_ID, SEGMENT_AT_JOURNAL,
    SEGMENT_AT_MAGIC, SEGMENT_AT_PREVIOUS_EPOCH, SEGMENT_AT_VERSION, SEGMENT_HEADER, SEGMENT_MAGIC,
    SEGMENT_MAX, SEGMENT_MIN, put, read_u32, read_u64, read_u128,
};
use crate::walk::Cursor;
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use zerocopy::IntoBytes;

/// What a segment says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) journal: u128,
    pub(crate) id: u64,
    pub(crate) epoch: u64,
    pub(crate) base_sequence: u64,
    pub(crate) base_timestamp_ns: u64,
    pub(crate) capacity: u64,
    pub(crate) previous_epoch: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        put(&mut bytes, SEGMENT_AT_MAGIC, &SEGMENT_MAGIC.to_le_bytes());
        put(
            &mut bytes,
            SEGMENT_AT_VERSION,
            &FORMAT_VERSION.to_le_bytes(),
        );
        put(
            &mut bytes,
            SEGMENT_AT_HEADER_LENGTH,
            &(SEGMENT_HEADER as u32).to_le_bytes(),
        );
        put(&mut bytes, SEGMENT_AT_JOURNAL, &self.journal.to_le_bytes());
        put(&mut bytes, SEGMENT_AT_ID, &self.id.to_le_bytes());
        put(&mut bytes, SEGMENT_AT_EPOCH, &self.epoch.to_le_bytes());
        put(
            &mut bytes,
            SEGMENT_AT_BASE_SEQUENCE,
            &self.base_sequence.to_le_bytes(),
        );
        put(
            &mut bytes,
            SEGMENT_AT_BASE_TIMESTAMP,
            &self.base_timestamp_ns.to_le_bytes(),
        );
        put(
            &mut bytes,
            SEGMENT_AT_CAPACITY,
            &self.capacity.to_le_bytes(),
        );
        put(
            &mut bytes,
            SEGMENT_AT_PREVIOUS_EPOCH,
            &self.previous_epoch.to_le_bytes(),
        );
        let crc = checksum::of(&bytes[..SEGMENT_AT_CRC]);
        put(&mut bytes, SEGMENT_AT_CRC, &crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes`; `None` if they are all zero (a segment prepared, but not begun).
    pub(crate) fn decode(bytes: &[u8], path: &Path, id: u64) -> Result<Option<Header>, Error> {
        let wrong = |what: String| Error::Header {
            path: path.to_path_buf(),
            what,
        };
        if bytes.len() < SEGMENT_HEADER {
            return Err(wrong(format!(
                "expected a header of {SEGMENT_HEADER} bytes, found a file of {}",
                bytes.len()
            )));
        }
        let bytes = &bytes[..SEGMENT_HEADER];
        if bytes.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let magic = read_u64(bytes, SEGMENT_AT_MAGIC);
        if magic != SEGMENT_MAGIC {
            return Err(wrong(format!(
                "expected a segment's magic {SEGMENT_MAGIC:#018x}, found {magic:#018x}"
            )));
        }
        let (found, computed) = (
            read_u32(bytes, SEGMENT_AT_CRC),
            checksum::of(&bytes[..SEGMENT_AT_CRC]),
        );
        let version = read_u32(bytes, SEGMENT_AT_VERSION);
        if found != computed {
            return Err(wrong(format!(
                "header checksum is {found:#010x}, expected {computed:#010x}"
            )));
        }
        // After the checksum: a flipped bit in the version is damage, not another version.
        if version != FORMAT_VERSION {
            return Err(Error::Version {
                path: path.to_path_buf(),
                found: version,
                expected: FORMAT_VERSION,
            });
        }
        let header = Header {
            journal: read_u128(bytes, SEGMENT_AT_JOURNAL),
            id: read_u64(bytes, SEGMENT_AT_ID),
            epoch: read_u64(bytes, SEGMENT_AT_EPOCH),
            base_sequence: read_u64(bytes, SEGMENT_AT_BASE_SEQUENCE),
            base_timestamp_ns: read_u64(bytes, SEGMENT_AT_BASE_TIMESTAMP),
            capacity: read_u64(bytes, SEGMENT_AT_CAPACITY),
            previous_epoch: read_u64(bytes, SEGMENT_AT_PREVIOUS_EPOCH),
        };
        if header.id != id {
            return Err(wrong(format!(
                "the file's name says segment {id}, its header says {}",
                header.id
            )));
        }
        if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&header.capacity)
            || !header.capacity.is_multiple_of(8)
        {
            return Err(wrong(format!(
                "a capacity of {} bytes, expected {SEGMENT_MIN} to {SEGMENT_MAX}",
                header.capacity
            )));
        }
        if header.base_sequence == 0 {
            return Err(wrong("base sequence 0, expected at least 1".into()));
        }
        Ok(Some(header))
    }

    /// Whether `next` is the segment that continues this one after `next_sequence - 1`.
    pub(crate) fn check_next(
        &self,
        next: &Header,
        next_sequence: u64,
        path: &Path,
    ) -> Result<(), Error> {
        let wrong = |what: String| {
            Err(Error::Header {
                path: path.to_path_buf(),
                what,
            })
        };
        if next.journal != self.journal {
            return wrong(format!(
                "belongs to journal {:032x}, expected {:032x}",
                next.journal, self.journal
            ));
        }
        if next.previous_epoch != self.epoch {
            return wrong(format!(
                "continues a segment of epoch {:016x}, expected {:016x}",
                next.previous_epoch, self.epoch
            ));
        }
        if next.base_sequence != next_sequence {
            return wrong(format!(
                "starts at sequence {}, expected {next_sequence}",
                next.base_sequence
            ));
        }
        Ok(())
    }
}

enum Storage {
    Mapped(MmapRaw),
    /// Words, not bytes, for the alignment.
    Memory(Vec<u64>),
}

/// A segment opened for reading.
pub(crate) struct View {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    pub(crate) archived: bool,
    /// Bytes of the file (of the raw segment, if archived).
    pub(crate) length: u64,
    /// Bytes of the file on disk.
    pub(crate) stored: u64,
    storage: Storage,
}

/// Reads a segment file's header without mapping it.
pub(crate) fn read_header(file: &File, path: &Path, id: u64) -> Result<Option<Header>, Error> {
    let mut bytes = vec![0; SEGMENT_HEADER];
    let mut have = 0;
    while have < bytes.len() {
        match file
            .read_at(&mut bytes[have..], have as u64)
            .at("read", path)?
        {
            0 => break,
            n => have += n,
        }
    }
    Header::decode(&bytes[..have], path, id)
}

impl View {
    /// Opens a segment file or its archive; `None` for a segment that was prepared, but not begun.
    pub(crate) fn open(path: &Path, id: u64, archived: bool) -> Result<Option<View>, Error> {
        let file = File::open(path).at("open", path)?;
        if archived {
            let stored = file.metadata().at("look at", path)?.len();
            let unpacked = archive::unpack(&file, path, id)?;
            let Some(header) = Header::decode(unpacked.words.as_bytes(), path, id)? else {
                return Err(Error::Archive {
                    path: path.to_path_buf(),
                    what: "an empty segment header".into(),
                });
            };
            return Ok(Some(View {
                header,
                path: path.to_path_buf(),
                archived,
                length: unpacked.length as u64,
                stored,
                storage: Storage::Memory(unpacked.words),
            }));
        }
        let Some(header) = read_header(&file, path, id)? else {
            return Ok(None);
        };
        Self::map(&file, path, header).map(Some)
    }

    /// Opens a segment file under a header that stands in for its own, which is lost; `None` if the file
    /// is too short to hold frames.
    pub(crate) fn open_as(path: &Path, stand_in: Header) -> Result<Option<View>, Error> {
        let file = File::open(path).at("open", path)?;
        let length = file.metadata().at("look at", path)?.len();
        if length <= SEGMENT_HEADER as u64 {
            return Ok(None);
        }
        let header = Header {
            capacity: length.min(SEGMENT_MAX),
            ..stand_in
        };
        Self::map(&file, path, header).map(Some)
    }

    fn map(file: &File, path: &Path, header: Header) -> Result<View, Error> {
        let length = file.metadata().at("look at", path)?.len();
        // Never a byte beyond the file: reading those of a mapping is a bus error.
        let readable = length.min(header.capacity) as usize;
        let map = MmapOptions::new()
            .len(readable)
            .map_raw_read_only(file)
            .at("map", path)?;
        Ok(View {
            header,
            path: path.to_path_buf(),
            archived: false,
            length,
            stored: length,
            storage: Storage::Mapped(map),
        })
    }

    /// A cursor at the first frame. It must not outlive the view.
    pub(crate) fn cursor(&self) -> Cursor {
        let (base, limit) = match &self.storage {
            Storage::Mapped(map) => (map.as_ptr(), map.len()),
            Storage::Memory(words) => (
                words.as_ptr().cast(),
                (self.length as usize).min(words.len() * 8),
            ),
        };
        let base = NonNull::new(base.cast_mut()).unwrap_or(NonNull::<u64>::dangling().cast());
        // SAFETY: page- or word-aligned; the length is that of the mapping, which the file backed when it
        // was opened and which no program of ours ever truncates, or of the memory. Users keep the view for
        // as long as the cursor.
        unsafe { Cursor::new(base, limit, self.header.epoch, self.header.base_sequence) }
    }

    /// Whether the file is shorter than its header says.
    pub(crate) fn is_cut(&self) -> bool {
        !self.archived && self.length < self.header.capacity
    }

    /// Whether opening the segment again would give the same bytes: not if it was cut and may have been
    /// extended, or if recovery has put another one in its place.
    pub(crate) fn is_current(&self) -> bool {
        let on_disk = || {
            let file = File::open(&self.path).ok()?;
            read_header(&file, &self.path, self.header.id).ok()?
        };
        self.archived || (!self.is_cut() && on_disk() == Some(self.header))
    }

    /// Lets go of the pages in `from..to`, so that reading a long journal does not fill memory.
    pub(crate) fn release(&self, from: usize, to: usize) {
        if let Storage::Mapped(map) = &self.storage {
            let (from, to) = (from & !4095, to.min(map.len()) & !4095);
            if from < to {
                // SAFETY: a shared file mapping: pages that are looked at again are read from the file, with
                // the same content. Failure only costs memory.
                let _ = unsafe {
                    map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from)
                };
            }
        }
    }
}
