//! Every offset, size and constant of the file formats, each named once.
//!
//! `docs/journal-format.md` draws the same tables for readers in other languages; a test holds the two
//! against each other.

/// First eight bytes of a segment.
pub const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"1TAPESEG");
/// First eight bytes of a durable-record slot.
pub const CONTROL_MAGIC: u64 = u64::from_le_bytes(*b"1TAPECTL");
/// First eight bytes of an archived segment.
pub const ARCHIVE_MAGIC: u64 = u64::from_le_bytes(*b"1TAPEARC");
/// First eight bytes of a snapshot.
pub const SNAPSHOT_MAGIC: u64 = u64::from_le_bytes(*b"1TAPESNP");
/// First eight bytes of the record of what retention has taken.
pub const BEGINNING_MAGIC: u64 = u64::from_le_bytes(*b"1TAPEBEG");
/// The version of every format in this file; raised by any change a reader has to know of.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of a segment's header; frames start here.
pub const SEGMENT_HEADER: usize = 4096;
/// Segment header: magic, u64.
pub const SEGMENT_AT_MAGIC: usize = 0;
/// Segment header: format version, u32.
pub const SEGMENT_AT_VERSION: usize = 8;
/// Segment header: length of the header, u32.
pub const SEGMENT_AT_HEADER_LENGTH: usize = 12;
/// Segment header: journal id, u128.
pub const SEGMENT_AT_JOURNAL: usize = 16;
/// Segment header: segment id, u64.
pub const SEGMENT_AT_ID: usize = 32;
/// Segment header: epoch of the writer's life, u64.
pub const SEGMENT_AT_EPOCH: usize = 40;
/// Segment header: sequence of the first frame, u64.
pub const SEGMENT_AT_BASE_SEQUENCE: usize = 48;
/// Segment header: timestamp of the frame before the first one, ns, u64.
pub const SEGMENT_AT_BASE_TIMESTAMP: usize = 56;
/// Segment header: length of the file in bytes, u64.
pub const SEGMENT_AT_CAPACITY: usize = 64;
/// Segment header: epoch of the segment before this one (0 for the first), u64.
pub const SEGMENT_AT_PREVIOUS_EPOCH: usize = 72;
/// Segment header: CRC32C of all header bytes before it, u32.
pub const SEGMENT_AT_CRC: usize = 4092;

/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 24;
/// Frame: commit word, u64, stored last.
pub const FRAME_AT_WORD: usize = 0;
/// Frame: sequence, u64.
pub const FRAME_AT_SEQUENCE: usize = 8;
/// Frame: timestamp, ns, u64.
pub const FRAME_AT_TIMESTAMP: usize = 16;
/// Frame: payload, zero-padded to a multiple of eight bytes.
pub const FRAME_AT_PAYLOAD: usize = 24;
/// Commit word: bits of the payload length.
pub const WORD_LENGTH_BITS: u32 = 20;
/// Commit word: first bit of the tag.
pub const WORD_TAG_SHIFT: u32 = 20;
/// Commit word: first bit of the CRC.
pub const WORD_CRC_SHIFT: u32 = 32;
/// Longest payload in bytes: what 20 bits can say.
pub const PAYLOAD_MAX: usize = (1 << WORD_LENGTH_BITS) - 1;

/// Tag: mask of the kind number.
pub const TAG_KIND_MASK: u16 = 0x3FF;
/// Tag: the frame follows from inputs before it.
pub const TAG_DERIVED: u16 = 1 << 10;
/// Tag: the frame is the last of its step.
pub const TAG_STEP_END: u16 = 1 << 11;
/// Tag: all twelve bits.
pub const TAG_MASK: u16 = 0xFFF;
/// Kinds from here to 0x3FF belong to the journal itself.
pub const KIND_RESERVED: u16 = 0x3F0;
/// The kind of the frame that ends a segment.
pub const KIND_SEAL: u16 = 0x3FF;
/// Bytes of a seal's payload: reason, u32; zero, u32.
pub const SEAL_PAYLOAD: usize = 8;
/// Bytes of a whole seal frame; every segment keeps this much room to the end.
pub const SEAL_FRAME: usize = FRAME_HEADER + SEAL_PAYLOAD;

/// Smallest segment in bytes: the header and one page.
pub const SEGMENT_MIN: u64 = 8192;
/// Largest segment in bytes; what a file claims beyond it is refused, never mapped or allocated.
pub const SEGMENT_MAX: u64 = 1 << 30;
/// Size of the first segment of a writer's life in bytes.
pub const SEGMENT_FIRST: u64 = 1 << 20;
/// Each further segment of a life is this many times larger, up to the configured size.
pub const SEGMENT_GROWTH: u64 = 4;
/// Segments are whole pages, so that a mapping never shows bytes beyond the file.
pub const PAGE: u64 = 4096;

/// Bytes of CONTROL: two slots, each on a page of its own so that a torn write damages one only.
pub const CONTROL_BYTES: usize = 8192;
/// Distance between the two slots.
pub const CONTROL_SLOT: usize = 4096;
/// Bytes of a slot that carry meaning.
pub const CONTROL_RECORD: usize = 64;
/// Slot: magic, u64.
pub const CONTROL_AT_MAGIC: usize = 0;
/// Slot: format version, u32; four zero bytes follow.
pub const CONTROL_AT_VERSION: usize = 8;
/// Slot: journal id, u128.
pub const CONTROL_AT_JOURNAL: usize = 16;
/// Slot: generation, u64; the valid slot with the higher one counts.
pub const CONTROL_AT_GENERATION: usize = 32;
/// Slot: epoch of the writer, u64.
pub const CONTROL_AT_EPOCH: usize = 40;
/// Slot: every sequence up to this one is on disk, u64.
pub const CONTROL_AT_DURABLE: usize = 48;
/// Slot: CRC32C of the slot's bytes before it, u32; four zero bytes precede the end.
pub const CONTROL_AT_CRC: usize = 56;

/// Bytes of an archived segment's header; the zstd frame follows.
pub const ARCHIVE_HEADER: usize = 128;
/// Archive: magic, u64.
pub const ARCHIVE_AT_MAGIC: usize = 0;
/// Archive: format version, u32; four zero bytes follow.
pub const ARCHIVE_AT_VERSION: usize = 8;
/// Archive: segment id, u64.
pub const ARCHIVE_AT_ID: usize = 16;
/// Archive: bytes of the segment from its header to the end of its seal, u64.
pub const ARCHIVE_AT_RAW_LENGTH: usize = 24;
/// Archive: bytes of the zstd frame, u64.
pub const ARCHIVE_AT_PACKED_LENGTH: usize = 32;
/// Archive: sequence of the first frame, u64.
pub const ARCHIVE_AT_BASE_SEQUENCE: usize = 40;
/// Archive: number of frames without the seal, u64.
pub const ARCHIVE_AT_FRAMES: usize = 48;
/// Archive: BLAKE3 of the raw bytes, 32 bytes.
pub const ARCHIVE_AT_HASH: usize = 56;
/// Archive: CRC32C of the header bytes before it, u32.
pub const ARCHIVE_AT_CRC: usize = 124;

/// Bytes of a snapshot's header; the body follows.
pub const SNAPSHOT_HEADER: usize = 96;
/// Snapshot: magic, u64.
pub const SNAPSHOT_AT_MAGIC: usize = 0;
/// Snapshot: format version, u32; four zero bytes follow.
pub const SNAPSHOT_AT_VERSION: usize = 8;
/// Snapshot: journal id, u128.
pub const SNAPSHOT_AT_JOURNAL: usize = 16;
/// Snapshot: the state after this sequence, u64.
pub const SNAPSHOT_AT_SEQUENCE: usize = 32;
/// Snapshot: bytes of the body, u64.
pub const SNAPSHOT_AT_LENGTH: usize = 40;
/// Snapshot: BLAKE3 of the body, 32 bytes.
pub const SNAPSHOT_AT_HASH: usize = 48;
/// Snapshot: CRC32C of the header bytes before it, u32; twelve zero bytes follow.
pub const SNAPSHOT_AT_CRC: usize = 80;

/// Bytes of BEGINNING's header; the frames that are carried over follow.
pub const BEGINNING_HEADER: usize = 96;
/// Beginning: magic, u64.
pub const BEGINNING_AT_MAGIC: usize = 0;
/// Beginning: format version, u32; four zero bytes follow.
pub const BEGINNING_AT_VERSION: usize = 8;
/// Beginning: journal id, u128.
pub const BEGINNING_AT_JOURNAL: usize = 16;
/// Beginning: id of the first segment that is kept, u64.
pub const BEGINNING_AT_SEGMENT: usize = 32;
/// Beginning: sequence of its first frame, u64.
pub const BEGINNING_AT_SEQUENCE: usize = 40;
/// Beginning: BLAKE3 of what follows the header, 32 bytes.
pub const BEGINNING_AT_HASH: usize = 48;
/// Beginning: CRC32C of the header bytes before it, u32; twelve zero bytes follow.
pub const BEGINNING_AT_CRC: usize = 80;

/// Bytes of a carried frame before its payload.
pub const CARRIED_HEADER: usize = 24;
/// Carried frame: sequence, u64.
pub const CARRIED_AT_SEQUENCE: usize = 0;
/// Carried frame: timestamp, ns, u64.
pub const CARRIED_AT_TIMESTAMP: usize = 8;
/// Carried frame: tag, u32.
pub const CARRIED_AT_TAG: usize = 16;
/// Carried frame: length of the payload, u32.
pub const CARRIED_AT_LENGTH: usize = 20;

/// Payload bytes as they lie in the file: rounded up to a multiple of eight.
#[inline]
#[must_use]
pub const fn padded(length: usize) -> usize {
    (length + 7) & !7
}

/// Reads a little-endian u64; zero where the bytes end, so that a short file reads as "nothing there".
#[must_use]
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |b| u64::from_le_bytes(*b))
}

/// Reads a little-endian u32; zero where the bytes end.
#[must_use]
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |b| u32::from_le_bytes(*b))
}

/// Reads a little-endian u128; zero where the bytes end.
#[must_use]
pub fn read_u128(bytes: &[u8], at: usize) -> u128 {
    bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |b| u128::from_le_bytes(*b))
}

/// Copies `value` to `at`. Only for buffers of our own, whose size is a constant of this file.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

#[cfg(not(all(
    target_endian = "little",
    target_has_atomic = "64",
    target_pointer_width = "64"
)))]
compile_error!(
    "the journal is read in place: it needs a little-endian 64-bit target with 64-bit atomics"
);
