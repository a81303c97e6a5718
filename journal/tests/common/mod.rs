//! Helpers that several test files share.
#![allow(dead_code, unreachable_pub)] // each test file uses some of them

use onetape_journal::{Error, Options, Reader, Tag, Writer};
use std::path::{Path, PathBuf};

/// A frame as a test remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    pub sequence: u64,
    pub timestamp_ns: u64,
    pub tag: Tag,
    pub payload: Vec<u8>,
}

/// Deterministic numbers, so that a failing case can be run again.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

pub const SMALL: Options = Options {
    segment_bytes: 8192,
    roll_every_ns: 0,
    durability: onetape_journal::Durability::Process,
    verify_bytes: 256 << 20,
};

pub fn frame(numbers: &mut Numbers, longest: u64) -> (Tag, u64, Vec<u8>) {
    let kind = 1 + numbers.below(0x3EF) as u16;
    let tag = if numbers.below(2) == 0 {
        Tag::input(kind)
    } else {
        Tag::derived(kind)
    };
    let length = numbers.below(longest) as usize;
    (
        tag.with_step_end(numbers.below(2) == 0),
        numbers.next(),
        numbers.bytes(length),
    )
}

pub fn append(writer: &mut Writer, numbers: &mut Numbers, longest: u64) -> Kept {
    let (tag, timestamp_ns, payload) = frame(numbers, longest);
    let sequence = writer.append(tag, timestamp_ns, &payload).unwrap();
    Kept {
        sequence,
        timestamp_ns,
        tag,
        payload,
    }
}

/// Everything a reader gives, and how it ended.
pub fn read_all(dir: &Path) -> (Vec<Kept>, Result<(), Error>) {
    let mut kept = Vec::new();
    let mut reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(e) => return (kept, Err(e)),
    };
    loop {
        match reader.next() {
            Ok(Some(f)) => kept.push(Kept {
                sequence: f.sequence,
                timestamp_ns: f.timestamp_ns,
                tag: f.tag,
                payload: f.payload.to_vec(),
            }),
            Ok(None) => return (kept, Ok(())),
            Err(e) => return (kept, Err(e)),
        }
    }
}

/// Every file of a journal, to put it back as it was.
pub fn image(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        // A live writer's helper renames its unfinished file at any moment.
        .filter(|p| p.extension().is_none_or(|e| e != "tmp"))
        .map(|p| (p.clone(), std::fs::read(&p).unwrap()))
        .collect();
    files.sort();
    files
}

pub fn restore(dir: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (path, bytes) in files {
        std::fs::write(dir.join(path.file_name().unwrap()), bytes).unwrap();
    }
}

/// A temporary directory in memory where there is one: these tests write the same small files thousands
/// of times and are not about the disk.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return dir;
    }
    tempfile::tempdir().unwrap()
}

pub fn is_prefix(found: &[Kept], all: &[Kept]) -> bool {
    found.len() <= all.len() && found == &all[..found.len()]
}
