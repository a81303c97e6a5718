//! Snapshots: a state at a sequence, in a file that exists only when it is whole and on disk.
//!
//! What the body means is the caller's; a snapshot belongs at a sequence that is durable.

use crate::checksum;
use crate::directory;
use crate::error::{Context, Error};
use crate::layout::{
    FORMAT_VERSION, SNAPSHOT_AT_CRC, SNAPSHOT_AT_HASH, SNAPSHOT_AT_JOURNAL, SNAPSHOT_AT_LENGTH,
    SNAPSHOT_AT_MAGIC, SNAPSHOT_AT_SEQUENCE, SNAPSHOT_AT_VERSION, SNAPSHOT_HEADER, SNAPSHOT_MAGIC,
    put, read_u32, read_u64, read_u128,
};
use crate::reader::{base_sequence, open_segment};
use crate::segment;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The id that the journal's headers say: a mapped segment's where there is one, for an archive must be unpacked.
fn journal_id(dir: &Path) -> Result<u128, Error> {
    let none = || Error::NotFound {
        path: dir.to_path_buf(),
    };
    let entries = directory::segments(dir)?;
    for entry in entries.iter().rev().filter(|entry| !entry.archived) {
        let header = File::open(&entry.path)
            .ok()
            .map(|file| segment::read_header(&file, &entry.path, entry.id));
        if let Some(Ok(Some(header))) = header {
            return Ok(header.journal);
        }
    }
    let first = entries.first().ok_or_else(none)?;
    let view = open_segment(dir, first.id)?.ok_or_else(none)?;
    Ok(view.header.journal)
}

/// Brings the frames after `after` and up to `sequence` onto the disk, whatever the writer's durability is: a snapshot
/// that may one day be all there is before them belongs at a sequence that is durable.
///
/// # Errors
/// System errors.
pub fn sync_frames(dir: &Path, after: u64, sequence: u64) -> Result<(), Error> {
    for entry in directory::segments(dir)?.iter().rev() {
        let Some(base) = base_sequence(dir, entry.id)?.filter(|base| *base <= sequence) else {
            continue;
        };
        match File::open(&entry.path) {
            // An archive was on disk before it had its name.
            Ok(_) if entry.archived => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            other => {
                let file = other.at("open", &entry.path)?;
                file.sync_data().at("sync", &entry.path)?;
            }
        }
        if base <= after.saturating_add(1) {
            break;
        }
    }
    Ok(())
}

/// Writes the state after `sequence` and returns the file. An existing snapshot of that sequence is replaced.
///
/// # Errors
/// [`Error::NotFound`] if there is no journal in `dir`; system errors. A file that is not whole is never
/// left under a snapshot's name.
pub fn write(dir: &Path, sequence: u64, body: &[u8]) -> Result<PathBuf, Error> {
    let mut header = [0; SNAPSHOT_HEADER];
    put(
        &mut header,
        SNAPSHOT_AT_MAGIC,
        &SNAPSHOT_MAGIC.to_le_bytes(),
    );
    put(
        &mut header,
        SNAPSHOT_AT_VERSION,
        &FORMAT_VERSION.to_le_bytes(),
    );
    put(
        &mut header,
        SNAPSHOT_AT_JOURNAL,
        &journal_id(dir)?.to_le_bytes(),
    );
    put(&mut header, SNAPSHOT_AT_SEQUENCE, &sequence.to_le_bytes());
    put(
        &mut header,
        SNAPSHOT_AT_LENGTH,
        &(body.len() as u64).to_le_bytes(),
    );
    put(&mut header, SNAPSHOT_AT_HASH, blake3::hash(body).as_bytes());
    let crc = checksum::of(&header[..SNAPSHOT_AT_CRC]);
    put(&mut header, SNAPSHOT_AT_CRC, &crc.to_le_bytes());

    let path = directory::snapshot(dir, sequence);
    directory::write_whole(dir, &path, &[&header, body])?;
    Ok(path)
}

/// The sequences of all snapshots, ascending.
///
/// # Errors
/// [`Error::NotFound`] if there is no such directory; system errors.
pub fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    directory::snapshots(dir)
}

/// Reads and verifies the snapshot of `sequence`.
///
/// # Errors
/// [`Error::Snapshot`] if it is not what was written, or belongs to another journal; system errors.
pub fn read(dir: &Path, sequence: u64) -> Result<Vec<u8>, Error> {
    let path = directory::snapshot(dir, sequence);
    let wrong = |what: String| Error::Snapshot {
        path: path.clone(),
        what,
    };
    let length = File::open(&path)
        .at("open", &path)?
        .metadata()
        .at("look at", &path)?
        .len();
    if length < SNAPSHOT_HEADER as u64 {
        return Err(wrong(format!(
            "expected a header of {SNAPSHOT_HEADER} bytes, found a file of {length}"
        )));
    }
    let mut bytes = std::fs::read(&path).at("read", &path)?;
    let body = bytes.split_off(SNAPSHOT_HEADER.min(bytes.len()));
    let header = bytes;
    if header.len() < SNAPSHOT_HEADER {
        return Err(wrong("the file became shorter".into()));
    }
    let (found, computed) = (
        read_u32(&header, SNAPSHOT_AT_CRC),
        checksum::of(&header[..SNAPSHOT_AT_CRC]),
    );
    let padding = &header[SNAPSHOT_AT_CRC + 4..];
    if found != computed
        || read_u64(&header, SNAPSHOT_AT_MAGIC) != SNAPSHOT_MAGIC
        || padding.iter().any(|b| *b != 0)
    {
        return Err(wrong(format!(
            "header checksum is {found:#010x}, expected {computed:#010x}"
        )));
    }
    let version = read_u32(&header, SNAPSHOT_AT_VERSION);
    if version != FORMAT_VERSION {
        return Err(Error::Version {
            path: path.clone(),
            found: version,
            expected: FORMAT_VERSION,
        });
    }
    if read_u64(&header, SNAPSHOT_AT_SEQUENCE) != sequence {
        return Err(wrong(format!(
            "is of sequence {}, expected {sequence}",
            read_u64(&header, SNAPSHOT_AT_SEQUENCE)
        )));
    }
    let (journal, expected) = (read_u128(&header, SNAPSHOT_AT_JOURNAL), journal_id(dir)?);
    if journal != expected {
        return Err(wrong(format!(
            "belongs to journal {journal:032x}, expected {expected:032x}"
        )));
    }
    let expected = read_u64(&header, SNAPSHOT_AT_LENGTH);
    if body.len() as u64 != expected {
        return Err(wrong(format!(
            "a body of {} bytes, expected {expected}",
            body.len()
        )));
    }
    let hash = blake3::hash(&body);
    if hash.as_bytes()[..] != header[SNAPSHOT_AT_HASH..SNAPSHOT_AT_HASH + 32] {
        return Err(wrong(format!(
            "the body has BLAKE3 {hash}, which is not the one in its header"
        )));
    }
    Ok(body)
}

/// Removes all but the newest `keep` snapshots and returns the sequences of those removed.
///
/// # Errors
/// As [`list`].
pub fn retain(dir: &Path, keep: usize) -> Result<Vec<u64>, Error> {
    let mut all = list(dir)?;
    all.truncate(all.len().saturating_sub(keep));
    for sequence in &all {
        let path = directory::snapshot(dir, *sequence);
        std::fs::remove_file(&path).at("remove", &path)?;
    }
    if !all.is_empty() {
        directory::sync(dir)?;
    }
    Ok(all)
}
