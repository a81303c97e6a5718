//! Sealed segments, compressed: `{id}.seg.zst`, a checked header and one zstd frame with the hash of the
//! segment's bytes.
//!
//! A segment is archived only after every frame of it has verified, and its file goes only after the
//! archive, its content and its name are on disk. Readers and recovery read archives as they read segments.

use crate::checksum;
use crate::directory::{self, Entry};
use crate::error::{Context, Error};
use crate::layout::{
    ARCHIVE_AT_BASE_SEQUENCE, ARCHIVE_AT_CRC, ARCHIVE_AT_FRAMES, ARCHIVE_AT_HASH, ARCHIVE_AT_ID,
    ARCHIVE_AT_MAGIC, ARCHIVE_AT_PACKED_LENGTH, ARCHIVE_AT_RAW_LENGTH, ARCHIVE_AT_VERSION,
    ARCHIVE_HEADER, ARCHIVE_MAGIC, FORMAT_VERSION, SEAL_FRAME, SEGMENT_HEADER, SEGMENT_MAX, put,
    read_u32, read_u64,
};
use crate::reader::base_sequence;
use crate::segment::View;
use crate::walk::{Cursor, Found};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zerocopy::IntoBytes;

/// A segment that [`compress_sealed`] archived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Archived {
    /// Segment id.
    pub segment: u64,
    /// The archive.
    pub path: PathBuf,
    /// Bytes of the segment that carried content.
    pub raw_bytes: u64,
    /// Bytes of the archive.
    pub packed_bytes: u64,
    /// BLAKE3 of the segment's bytes.
    pub hash: blake3::Hash,
}

/// An archive's content.
pub(crate) struct Unpacked {
    pub(crate) words: Vec<u64>,
    pub(crate) length: usize,
}

/// What an archive's header says; enough to place the segment without unpacking it.
pub(crate) struct ArchiveHeader {
    pub(crate) base_sequence: u64,
    raw_length: u64,
    packed_length: u64,
    hash: [u8; 32],
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Archive {
        path: path.to_path_buf(),
        what,
    }
}

/// Reads and checks an archive's header.
pub(crate) fn read_header(file: &File, path: &Path, id: u64) -> Result<ArchiveHeader, Error> {
    let length = file.metadata().at("look at", path)?.len();
    let mut bytes = [0; ARCHIVE_HEADER];
    if length < ARCHIVE_HEADER as u64 {
        return Err(wrong(
            path,
            format!("expected a header of {ARCHIVE_HEADER} bytes, found a file of {length}"),
        ));
    }
    file.read_exact_at(&mut bytes, 0).at("read", path)?;
    let (found, computed) = (
        read_u32(&bytes, ARCHIVE_AT_CRC),
        checksum::of(&bytes[..ARCHIVE_AT_CRC]),
    );
    if found != computed || read_u64(&bytes, ARCHIVE_AT_MAGIC) != ARCHIVE_MAGIC {
        return Err(wrong(
            path,
            format!("header checksum is {found:#010x}, expected {computed:#010x}"),
        ));
    }
    let version = read_u32(&bytes, ARCHIVE_AT_VERSION);
    if version != FORMAT_VERSION {
        return Err(Error::Version {
            path: path.to_path_buf(),
            found: version,
            expected: FORMAT_VERSION,
        });
    }
    if read_u64(&bytes, ARCHIVE_AT_ID) != id {
        return Err(wrong(
            path,
            format!(
                "the file's name says segment {id}, its header says {}",
                read_u64(&bytes, ARCHIVE_AT_ID)
            ),
        ));
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[ARCHIVE_AT_HASH..ARCHIVE_AT_HASH + 32]);
    let header = ArchiveHeader {
        base_sequence: read_u64(&bytes, ARCHIVE_AT_BASE_SEQUENCE),
        raw_length: read_u64(&bytes, ARCHIVE_AT_RAW_LENGTH),
        packed_length: read_u64(&bytes, ARCHIVE_AT_PACKED_LENGTH),
        hash,
    };
    // Both lengths bound allocations.
    let raw = (SEGMENT_HEADER + SEAL_FRAME) as u64..=SEGMENT_MAX;
    if !raw.contains(&header.raw_length) || !header.raw_length.is_multiple_of(8) {
        return Err(wrong(
            path,
            format!("a content of {} bytes, expected {raw:?}", header.raw_length),
        ));
    }
    if length - ARCHIVE_HEADER as u64 != header.packed_length {
        return Err(wrong(
            path,
            format!(
                "{} compressed bytes, expected {}",
                length - ARCHIVE_HEADER as u64,
                header.packed_length
            ),
        ));
    }
    Ok(header)
}

/// Decompresses an archive into memory and verifies its hash.
pub(crate) fn unpack(file: &File, path: &Path, id: u64) -> Result<Unpacked, Error> {
    let header = read_header(file, path, id)?;
    let mut packed = vec![0; header.packed_length as usize];
    file.read_exact_at(&mut packed, ARCHIVE_HEADER as u64)
        .at("read", path)?;
    let length = header.raw_length as usize;
    let mut words = vec![0u64; length / 8];
    let got = zstd::bulk::decompress_to_buffer(&packed, words.as_mut_bytes())
        .map_err(|e| wrong(path, format!("does not decompress: {e}")))?;
    let hash = blake3::hash(words.as_bytes());
    if got != length || hash != blake3::Hash::from_bytes(header.hash) {
        return Err(wrong(
            path,
            format!(
                "content has BLAKE3 {hash}, expected {}",
                blake3::Hash::from_bytes(header.hash)
            ),
        ));
    }
    Ok(Unpacked { words, length })
}

/// Archives every sealed segment of the journal with the given zstd level (1 to 22), oldest first, and
/// returns what was archived. May run beside a live writer and readers: the segment being written is not
/// sealed, and readers that map an old file keep it.
///
/// # Errors
/// [`Error::Damaged`] if a segment has a frame that does not verify (it is left as it is); system errors.
pub fn compress_sealed(dir: &Path, level: i32) -> Result<Vec<Archived>, Error> {
    let mut done = Vec::new();
    let entries: Vec<Entry> = directory::segments(dir)?
        .into_iter()
        .filter(|e| !e.archived)
        .collect();
    for entry in entries {
        if let Some(archived) = compress(dir, &entry, level)? {
            done.push(archived);
        }
    }
    Ok(done)
}

/// Archives the oldest sealed segment that is none yet and holds only frames before `before`; `None` if there is none.
///
/// # Errors
/// As [`compress_sealed`].
pub fn compress_next(dir: &Path, before: u64, level: i32) -> Result<Option<Archived>, Error> {
    let entries = directory::segments(dir)?;
    for pair in entries.windows(2) {
        let [entry, next] = pair else { break };
        if entry.archived {
            continue;
        }
        if base_sequence(dir, next.id)?.is_none_or(|base| base > before) {
            break;
        }
        if let Some(archived) = compress(dir, entry, level)? {
            return Ok(Some(archived));
        }
    }
    Ok(None)
}

/// `None` for a segment that is not sealed, or that another process is archiving.
fn compress(dir: &Path, entry: &Entry, level: i32) -> Result<Option<Archived>, Error> {
    let Some(view) = View::open(&entry.path, entry.id, false)? else {
        return Ok(None);
    };
    let mut cursor = view.cursor();
    loop {
        match cursor.examine() {
            Found::Frame(frame) => cursor.advance(&frame),
            Found::Seal(_) => break,
            Found::Nothing | Found::End => return Ok(None),
            Found::Bad(what) => {
                return Err(Error::Damaged {
                    path: entry.path.clone(),
                    segment: entry.id,
                    offset: cursor.offset as u64,
                    sequence: cursor.next_sequence,
                    what,
                });
            }
        }
    }
    let path = directory::archive(dir, entry.id);
    let tmp = path.with_extension("zst.tmp");
    let mut out = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&tmp)
        .at("create", &tmp)?;
    match out.try_lock() {
        Ok(()) => out.set_len(0).at("truncate", &tmp)?,
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e).at("lock", &tmp),
    }
    let packed = pack(entry, &view, &cursor, level, &mut out, &tmp);
    if packed.is_err() {
        // Gives the space back.
        let _ = std::fs::remove_file(&tmp);
    }
    let (raw_bytes, packed_bytes, hash) = packed?;
    std::fs::rename(&tmp, &path).at("rename", &tmp)?;
    directory::sync(dir)?;
    match std::fs::remove_file(&entry.path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        other => other.at("remove", &entry.path)?,
    }
    directory::sync(dir)?;
    Ok(Some(Archived {
        segment: entry.id,
        path,
        raw_bytes,
        packed_bytes,
        hash,
    }))
}

/// Writes a segment's archive, and reads it back; bytes before and after, and the hash of the former.
fn pack(
    entry: &Entry,
    view: &View,
    cursor: &Cursor,
    level: i32,
    out: &mut File,
    tmp: &Path,
) -> Result<(u64, u64, blake3::Hash), Error> {
    let file = File::open(&entry.path).at("open", &entry.path)?;
    // Where both files are there the segment counts. A power loss before the unlink is on disk would bring
    // it back, so it must be as whole as the archive by then.
    file.sync_data().at("sync", &entry.path)?;
    let mut raw = vec![0; cursor.offset + SEAL_FRAME];
    file.read_exact_at(&mut raw, 0).at("read", &entry.path)?;
    let packed = zstd::bulk::compress(&raw, level).at("compress", &entry.path)?;
    let hash = blake3::hash(&raw);

    let mut header = [0; ARCHIVE_HEADER];
    put(&mut header, ARCHIVE_AT_MAGIC, &ARCHIVE_MAGIC.to_le_bytes());
    put(
        &mut header,
        ARCHIVE_AT_VERSION,
        &FORMAT_VERSION.to_le_bytes(),
    );
    put(&mut header, ARCHIVE_AT_ID, &entry.id.to_le_bytes());
    put(
        &mut header,
        ARCHIVE_AT_RAW_LENGTH,
        &(raw.len() as u64).to_le_bytes(),
    );
    put(
        &mut header,
        ARCHIVE_AT_PACKED_LENGTH,
        &(packed.len() as u64).to_le_bytes(),
    );
    put(
        &mut header,
        ARCHIVE_AT_BASE_SEQUENCE,
        &view.header.base_sequence.to_le_bytes(),
    );
    put(
        &mut header,
        ARCHIVE_AT_FRAMES,
        &(cursor.next_sequence - view.header.base_sequence).to_le_bytes(),
    );
    put(&mut header, ARCHIVE_AT_HASH, hash.as_bytes());
    let crc = checksum::of(&header[..ARCHIVE_AT_CRC]);
    put(&mut header, ARCHIVE_AT_CRC, &crc.to_le_bytes());

    out.write_all(&header).at("write", tmp)?;
    out.write_all(&packed).at("write", tmp)?;
    out.sync_all().at("sync", tmp)?;
    // What was written must read back before the original goes.
    let back = File::open(tmp).at("open", tmp)?;
    unpack(&back, tmp, entry.id)?;
    let packed_bytes = (packed.len() + ARCHIVE_HEADER) as u64;
    Ok((raw.len() as u64, packed_bytes, hash))
}
