//! The bytes of format version 1, held against an encoder of their own, fixed numbers and the document.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::{SMALL, scratch};
use onetape_journal::{Reader, Tag, Tail, Writer, layout, snapshot};

/// A frame as `docs/journal-format.md` describes it, written without the crate's own code.
fn frame(epoch: u64, sequence: u64, timestamp: u64, tag: u16, payload: &[u8]) -> Vec<u8> {
    let low = payload.len() as u32 | u32::from(tag) << 20;
    let mut body = [sequence.to_le_bytes(), timestamp.to_le_bytes()].concat();
    body.extend_from_slice(payload);
    body.resize(16 + payload.len().next_multiple_of(8), 0);
    let seed = (epoch ^ (epoch >> 32)) as u32;
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, &body), &low.to_le_bytes());
    [&low.to_le_bytes()[..], &crc.to_le_bytes(), &body].concat()
}

fn header(
    journal: u128,
    id: u64,
    epoch: u64,
    base: u64,
    time: u64,
    capacity: u64,
    previous: u64,
) -> Vec<u8> {
    let mut bytes = b"1TAPESEG".to_vec();
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&4096u32.to_le_bytes());
    bytes.extend_from_slice(&journal.to_le_bytes());
    for word in [id, epoch, base, time, capacity, previous] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.resize(4092, 0);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

const EPOCH: u64 = 0x0123_4567_89AB_CDEF;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_golden_frames_have_these_bytes() {
    assert_eq!(hex(&frame(EPOCH, 1, 1000, 0x001, b"")), GOLDEN[0]);
    assert_eq!(hex(&frame(EPOCH, 2, 2000, 0xC07, b"onetape!!")), GOLDEN[1]);
    assert_eq!(
        hex(&frame(EPOCH, 3, 2000, 0x3FF, &[2, 0, 0, 0, 0, 0, 0, 0])),
        GOLDEN[2]
    );
    let header = header(7, 0, EPOCH, 1, 0, 8192, 0);
    assert_eq!(hex(&header[4092..]), GOLDEN_HEADER_CRC);
}

/// Computed by a bitwise CRC in another language.
const GOLDEN: [&str; 3] = [
    "00001000ab920c7d0100000000000000e803000000000000",
    "090070c0d98f439c0200000000000000d0070000000000006f6e6574617065212100000000000000",
    "0800f03f03361b550300000000000000d0070000000000000200000000000000",
];
const GOLDEN_HEADER_CRC: &str = "0433068d";

#[test]
fn a_journal_made_by_hand_is_read() {
    let dir = scratch();
    let mut bytes = header(7, 0, EPOCH, 1, 0, 8192, 0);
    bytes.extend(frame(EPOCH, 1, 1000, 0x001, b""));
    bytes.extend(frame(EPOCH, 2, 2000, 0xC07, b"onetape!!"));
    bytes.extend(frame(EPOCH, 3, 2000, 0x3FF, &[2, 0, 0, 0, 0, 0, 0, 0]));
    bytes.resize(8192, 0);
    std::fs::write(dir.path().join("0000000000000000.seg"), bytes).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.journal_id(), 7);
    let first = reader.next().unwrap().unwrap();
    assert_eq!(
        (first.sequence, first.timestamp_ns, first.tag, first.payload),
        (1, 1000, Tag::input(1), &[][..])
    );
    let second = reader.next().unwrap().unwrap();
    assert_eq!(
        (second.sequence, second.timestamp_ns, second.payload),
        (2, 2000, &b"onetape!!"[..])
    );
    assert_eq!(second.tag, Tag::derived(7).with_step_end(true));
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(reader.tail(), Tail::Closed);
    let (_, recovery) = Writer::open(dir.path(), SMALL).unwrap();
    assert!(recovery.was_clean && recovery.last_sequence == 2);
}

#[test]
fn the_writer_writes_what_the_document_says() {
    let dir = scratch();
    let mut writer = Writer::create(dir.path(), SMALL).unwrap();
    let large = vec![0xA5; 2047];
    writer.append(Tag::input(1), 1000, b"").unwrap();
    writer.stage(Tag::derived(7), 2000, b"onetape!!").unwrap();
    writer.publish(true);
    writer.append(Tag::input(9), 3000, &large).unwrap();
    let journal = writer.journal_id();
    writer.close().unwrap();
    let bytes = std::fs::read(dir.path().join("0000000000000000.seg")).unwrap();
    let epoch = layout::read_u64(&bytes, layout::SEGMENT_AT_EPOCH);
    let mut expected = header(journal, 0, epoch, 1, 0, 8192, 0);
    expected.extend(frame(epoch, 1, 1000, 0x001, b""));
    expected.extend(frame(epoch, 2, 2000, 0xC07, b"onetape!!"));
    expected.extend(frame(epoch, 3, 3000, 0x009, &large));
    expected.extend(frame(epoch, 4, 3000, 0x3FF, &[2, 0, 0, 0, 0, 0, 0, 0]));
    expected.resize(8192, 0);
    assert!(bytes == expected);

    let control = std::fs::read(dir.path().join("CONTROL")).unwrap();
    assert_eq!(control.len(), layout::CONTROL_BYTES);
    assert_eq!(
        layout::read_u64(&control, 0),
        u64::from_le_bytes(*b"1TAPECTL")
    );
    let path = snapshot::write(dir.path(), 3, b"body").unwrap();
    let snap = std::fs::read(path).unwrap();
    assert_eq!((&snap[..8], &snap[96..]), (&b"1TAPESNP"[..], &b"body"[..]));
    assert_eq!(snap[48..80], *blake3::hash(b"body").as_bytes());
}

#[test]
fn the_document_and_the_layout_agree_on_every_offset() {
    let document = include_str!("../../docs/journal-format.md");
    let constants: Vec<(&str, usize)> = include_str!("../src/layout.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": usize = "))
        .filter_map(|(name, value)| Some((name, value.strip_suffix(';')?.parse().ok()?)))
        .filter(|(name, _)| name.contains("_AT_"))
        .collect();
    assert!(constants.len() >= 35, "{}", constants.len());
    for (name, offset) in &constants {
        let row = format!("| {offset} | `{name}` |");
        assert!(document.contains(&row), "the document lacks: {row}");
    }
    let rows = document.lines().filter(|l| l.contains("_AT_")).count();
    assert_eq!(
        rows,
        constants.len(),
        "the document has rows that the layout lacks"
    );
}

#[test]
fn tags_keep_to_their_twelve_bits() {
    for bits in 0..=u16::MAX {
        let legal = bits <= 0xFFF && (1..0x3F0).contains(&(bits & 0x3FF));
        assert_eq!(Tag::from_bits(bits).map(Tag::bits), legal.then_some(bits));
    }
    let tag = Tag::derived(0x3EF).with_step_end(true);
    assert!((tag.kind(), tag.is_derived(), tag.ends_step()) == (0x3EF, true, true));
    assert_eq!(tag.with_step_end(false).bits(), 0x7EF);
}
