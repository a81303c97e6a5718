//! BEGINNING: where a journal begins whose first segments retention has taken, and the frames that it carried over.
//!
//! It is on disk before the first segment goes, so that what is gone on purpose is told from what is lost.

use crate::checksum;
use crate::directory;
use crate::error::{Context, Error};
use crate::layout::{
    BEGINNING_AT_CRC, BEGINNING_AT_HASH, BEGINNING_AT_JOURNAL, BEGINNING_AT_MAGIC,
    BEGINNING_AT_SEGMENT, BEGINNING_AT_SEQUENCE, BEGINNING_AT_VERSION, BEGINNING_HEADER,
    BEGINNING_MAGIC, CARRIED_AT_LENGTH, CARRIED_AT_SEQUENCE, CARRIED_AT_TAG, CARRIED_AT_TIMESTAMP,
    CARRIED_HEADER, FORMAT_VERSION, PAYLOAD_MAX, put, read_u32, read_u64, read_u128,
};
use crate::tag::{Frame, Tag};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// A frame of a removed segment that what is left refers to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Its sequence.
    pub sequence: u64,
    /// Its timestamp, ns.
    pub timestamp_ns: u64,
    /// Its tag.
    pub tag: Tag,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Carried {
    pub(crate) fn of(frame: &Frame<'_>) -> Carried {
        Carried {
            sequence: frame.sequence,
            timestamp_ns: frame.timestamp_ns,
            tag: frame.tag,
            payload: frame.payload.to_vec(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut header = [0; CARRIED_HEADER];
        let length = self.payload.len() as u32;
        put(
            &mut header,
            CARRIED_AT_SEQUENCE,
            &self.sequence.to_le_bytes(),
        );
        put(
            &mut header,
            CARRIED_AT_TIMESTAMP,
            &self.timestamp_ns.to_le_bytes(),
        );
        put(
            &mut header,
            CARRIED_AT_TAG,
            &u32::from(self.tag.bits()).to_le_bytes(),
        );
        put(&mut header, CARRIED_AT_LENGTH, &length.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.payload);
    }

    /// The frame that the bytes begin with, and the rest of them.
    fn decode(bytes: &[u8]) -> Option<(Carried, &[u8])> {
        let (header, rest) = bytes.split_at_checked(CARRIED_HEADER)?;
        let length = read_u32(header, CARRIED_AT_LENGTH) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        let bits = u16::try_from(read_u32(header, CARRIED_AT_TAG)).ok()?;
        let carried = Carried {
            sequence: read_u64(header, CARRIED_AT_SEQUENCE),
            timestamp_ns: read_u64(header, CARRIED_AT_TIMESTAMP),
            tag: Tag::from_bits(bits)?,
            payload: payload.to_vec(),
        };
        (length <= PAYLOAD_MAX).then_some((carried, rest))
    }
}

/// What BEGINNING's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Beginning {
    pub(crate) journal: u128,
    /// The first segment that is kept.
    pub(crate) segment: u64,
    /// The sequence of its first frame.
    pub(crate) sequence: u64,
    hash: [u8; 32],
}

/// The id of the journal's first segment: 0 unless retention has taken some.
pub(crate) fn first_segment(dir: &Path) -> Result<u64, Error> {
    Ok(read(dir)?.map_or(0, |beginning| beginning.segment))
}

/// What BEGINNING says; `None` if there is none: the journal has all its segments.
pub(crate) fn read(dir: &Path) -> Result<Option<Beginning>, Error> {
    Ok(open(dir)?.map(|(_, beginning)| beginning))
}

/// The frames that were carried over, in order.
pub(crate) fn carried(dir: &Path) -> Result<Vec<Carried>, Error> {
    let Some((mut file, beginning)) = open(dir)? else {
        return Ok(Vec::new());
    };
    let path = dir.join(directory::BEGINNING);
    let wrong = |what: String| Error::Header {
        path: path.clone(),
        what,
    };
    let mut body = Vec::new();
    file.read_to_end(&mut body).at("read", &path)?;
    let hash = blake3::hash(&body);
    if *hash.as_bytes() != beginning.hash {
        return Err(wrong(format!(
            "the frames carried over have BLAKE3 {hash}, which is not the one in its header"
        )));
    }
    let (mut frames, mut rest) = (Vec::new(), body.as_slice());
    while !rest.is_empty() {
        let (frame, after) = Carried::decode(rest)
            .ok_or_else(|| wrong(format!("carried frame {} does not read", frames.len())))?;
        frames.push(frame);
        rest = after;
    }
    Ok(frames)
}

fn open(dir: &Path) -> Result<Option<(File, Beginning)>, Error> {
    let path = dir.join(directory::BEGINNING);
    let mut file = match File::open(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.at("open", &path)?,
    };
    let mut header = [0; BEGINNING_HEADER];
    file.read_exact(&mut header).at("read", &path)?;
    let (found, computed) = (
        read_u32(&header, BEGINNING_AT_CRC),
        checksum::of(&header[..BEGINNING_AT_CRC]),
    );
    if found != computed || read_u64(&header, BEGINNING_AT_MAGIC) != BEGINNING_MAGIC {
        return Err(Error::Header {
            path,
            what: format!("header checksum is {found:#010x}, expected {computed:#010x}"),
        });
    }
    let version = read_u32(&header, BEGINNING_AT_VERSION);
    if version != FORMAT_VERSION {
        return Err(Error::Version {
            path,
            found: version,
            expected: FORMAT_VERSION,
        });
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(&header[BEGINNING_AT_HASH..BEGINNING_AT_HASH + 32]);
    let beginning = Beginning {
        journal: read_u128(&header, BEGINNING_AT_JOURNAL),
        segment: read_u64(&header, BEGINNING_AT_SEGMENT),
        sequence: read_u64(&header, BEGINNING_AT_SEQUENCE),
        hash,
    };
    Ok(Some((file, beginning)))
}

/// Whether a segment's file lies before the beginning.
pub(crate) fn is_before(path: &Path) -> bool {
    let id = path
        .file_stem()
        .and_then(|stem| stem.to_str()?.parse().ok());
    let first = path.parent().map(first_segment);
    matches!((id, first), (Some(id), Some(Ok(first))) if first > id)
}

/// Moves the beginning, on disk when it returns.
pub(crate) fn write(
    dir: &Path,
    journal: u128,
    segment: u64,
    sequence: u64,
    carried: &[Carried],
) -> Result<(), Error> {
    let mut body = Vec::new();
    for frame in carried {
        frame.encode(&mut body);
    }
    let mut header = [0; BEGINNING_HEADER];
    let hash = blake3::hash(&body);
    let fields: [(usize, &[u8]); 6] = [
        (BEGINNING_AT_MAGIC, &BEGINNING_MAGIC.to_le_bytes()),
        (BEGINNING_AT_VERSION, &FORMAT_VERSION.to_le_bytes()),
        (BEGINNING_AT_JOURNAL, &journal.to_le_bytes()),
        (BEGINNING_AT_SEGMENT, &segment.to_le_bytes()),
        (BEGINNING_AT_SEQUENCE, &sequence.to_le_bytes()),
        (BEGINNING_AT_HASH, hash.as_bytes()),
    ];
    for (at, value) in fields {
        put(&mut header, at, value);
    }
    let crc = checksum::of(&header[..BEGINNING_AT_CRC]);
    put(&mut header, BEGINNING_AT_CRC, &crc.to_le_bytes());

    let path = dir.join(directory::BEGINNING);
    directory::write_whole(dir, &path, &[&header, &body])
}

/// Removes the files of segments before the beginning, oldest first.
pub(crate) fn remove_before(dir: &Path) -> Result<(), Error> {
    let first = first_segment(dir)?;
    let mut any = false;
    for entry in directory::all_segments(dir)? {
        if entry.id >= first {
            break;
        }
        for path in [
            directory::archive(dir, entry.id),
            directory::segment(dir, entry.id),
        ] {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => other.at("remove", &path)?,
            }
        }
        any = true;
    }
    if any { directory::sync(dir) } else { Ok(()) }
}
