//! A journal's files, damaged: the reader says so or goes on, whatever it finds, and recovery leaves a journal that reads.
//!
//! The input is a list of changes to a small journal of two segments: two bytes of place, one of what, one of which file.
#![no_main]
use libfuzzer_sys::fuzz_target;
use onetape_journal::{Options, Reader, Tag, Writer};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const OPTIONS: Options = Options {
    segment_bytes: 8_192,
    roll_every_ns: 0,
    durability: onetape_journal::Durability::Process,
    verify_bytes: u64::MAX,
};

/// The undamaged journal's files.
fn good() -> &'static [(PathBuf, Vec<u8>)] {
    static GOOD: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let dir = tempfile::tempdir().expect("room");
        let journal = dir.path().join("journal");
        let mut writer = Writer::create(&journal, OPTIONS).expect("a journal");
        for number in 0..200u16 {
            let tag = Tag::input(number % 40 + 1).with_step_end(number % 3 == 2);
            let payload = vec![number as u8; usize::from(number) % 90];
            writer
                .append(tag, u64::from(number), &payload)
                .expect("room");
        }
        writer.close().expect("room");
        let files = journal.read_dir().expect("a folder");
        let files = files.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
        files.sort();
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).expect("it reads");
            (PathBuf::from(path.file_name().expect("a name")), bytes)
        };
        files.into_iter().map(read).collect()
    })
}

fn read(journal: &Path) {
    if let Ok(mut reader) = Reader::open(journal) {
        let mut last = 0;
        while let Ok(Some(frame)) = reader.next() {
            assert!(frame.sequence > last);
            last = frame.sequence;
        }
        let _ = (reader.tail(), reader.durable());
        let _ = reader.seek(100).map(|()| reader.next().map(|_| ()));
    }
    if let Ok(mut reader) = Reader::open(journal) {
        while let Ok(Some(_)) = reader.next_or_damaged() {}
    }
    let _ = onetape_journal::describe(journal);
}

fuzz_target!(|data: &[u8]| {
    let dir = tempfile::tempdir().expect("room");
    let journal = dir.path();
    let good = good();
    let mut files: Vec<Vec<u8>> = good.iter().map(|(_, bytes)| bytes.clone()).collect();
    for change in data.chunks_exact(4) {
        let file = usize::from(change[3] >> 2) % files.len();
        let bytes = &mut files[file];
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % (bytes.len() + 1);
        match change[3] & 3 {
            3 => bytes.truncate(place),
            2 => bytes.insert(place, change[2]),
            _ if place < bytes.len() => bytes[place] = change[2],
            _ => bytes.push(change[2]),
        }
    }
    for ((name, _), bytes) in good.iter().zip(&files) {
        std::fs::write(journal.join(name), bytes).expect("room");
    }
    read(journal);
    // What a writer takes over it can go on with, and it reads to the end.
    if let Ok((mut writer, _)) = Writer::open(journal, OPTIONS) {
        let end = Tag::input(1).with_step_end(true);
        let next = writer.next_sequence();
        if writer.append(end, u64::MAX / 2, b"on").is_ok() {
            writer.close().expect("room");
            let mut reader = Reader::open(journal).expect("what was recovered opens");
            let mut last = 0;
            while let Some(frame) = reader.next().expect("what was recovered reads") {
                last = frame.sequence;
            }
            assert_eq!(last, next);
        }
    }
});
