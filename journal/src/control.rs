//! The durable record: "everything up to sequence D is on disk", in CONTROL.
//!
//! It is written only after a sync has succeeded, so it may lag behind the truth and never leads it. It
//! tells recovery a torn tail (beyond D: nobody was promised it) from lost frames (up to D: refuse). Two
//! slots take turns, so a torn write leaves the older record.

use crate::checksum;
use crate::directory;
use crate::error::{Context, Error};
use crate::layout::{
    CONTROL_AT_CRC, CONTROL_AT_DURABLE, CONTROL_AT_EPOCH, CONTROL_AT_GENERATION,
    CONTROL_AT_JOURNAL, CONTROL_AT_MAGIC, CONTROL_AT_VERSION, CONTROL_BYTES, CONTROL_MAGIC,
    CONTROL_RECORD, CONTROL_SLOT, FORMAT_VERSION, put, read_u32, read_u64, read_u128,
};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a slot says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) journal: u128,
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) durable: u64,
}

impl Record {
    fn encode(&self) -> [u8; CONTROL_RECORD] {
        let mut bytes = [0; CONTROL_RECORD];
        put(&mut bytes, CONTROL_AT_MAGIC, &CONTROL_MAGIC.to_le_bytes());
        put(
            &mut bytes,
            CONTROL_AT_VERSION,
            &FORMAT_VERSION.to_le_bytes(),
        );
        put(&mut bytes, CONTROL_AT_JOURNAL, &self.journal.to_le_bytes());
        put(
            &mut bytes,
            CONTROL_AT_GENERATION,
            &self.generation.to_le_bytes(),
        );
        put(&mut bytes, CONTROL_AT_EPOCH, &self.epoch.to_le_bytes());
        put(&mut bytes, CONTROL_AT_DURABLE, &self.durable.to_le_bytes());
        let crc = checksum::of(&bytes[..CONTROL_AT_CRC]);
        put(&mut bytes, CONTROL_AT_CRC, &crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Record> {
        let bytes = bytes.get(..CONTROL_RECORD)?;
        let sound = read_u64(bytes, CONTROL_AT_MAGIC) == CONTROL_MAGIC
            && read_u32(bytes, CONTROL_AT_VERSION) == FORMAT_VERSION
            && read_u32(bytes, CONTROL_AT_CRC) == checksum::of(&bytes[..CONTROL_AT_CRC]);
        sound.then(|| Record {
            journal: read_u128(bytes, CONTROL_AT_JOURNAL),
            generation: read_u64(bytes, CONTROL_AT_GENERATION),
            epoch: read_u64(bytes, CONTROL_AT_EPOCH),
            durable: read_u64(bytes, CONTROL_AT_DURABLE),
        })
    }
}

/// The newest record; `None` if there is no CONTROL.
pub(crate) fn read(dir: &Path) -> Result<Option<Record>, Error> {
    let path = dir.join(directory::CONTROL);
    let file = match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.at("open", &path)?,
    };
    // A live writer may be rewriting one slot while this looks; the other one is whole then.
    let mut slots = [[0; CONTROL_RECORD]; 2];
    for (i, slot) in slots.iter_mut().enumerate() {
        let mut have = 0;
        while have < slot.len() {
            match file
                .read_at(&mut slot[have..], (i * CONTROL_SLOT + have) as u64)
                .at("read", &path)?
            {
                0 => break,
                n => have += n,
            }
        }
    }
    let newest = slots
        .iter()
        .filter_map(|s| Record::decode(s))
        .max_by_key(|r| r.generation);
    let newer = |slot: &[u8; CONTROL_RECORD]| {
        let version = read_u32(slot, CONTROL_AT_VERSION);
        let is_newer =
            read_u64(slot, CONTROL_AT_MAGIC) == CONTROL_MAGIC && version > FORMAT_VERSION;
        is_newer.then_some(version)
    };
    match (newest, slots.iter().find_map(newer)) {
        (Some(record), _) => Ok(Some(record)),
        // Not damage: another build's, whose record may look otherwise.
        (None, Some(found)) => Err(Error::Version {
            path,
            found,
            expected: FORMAT_VERSION,
        }),
        (None, None) => Err(Error::Control { path }),
    }
}

/// The writer's handle.
#[derive(Debug)]
pub(crate) struct Control {
    file: File,
    path: PathBuf,
    record: Record,
    synced: Instant,
}

/// How stale the record on disk may get while syncs go on: it is a lower bound, and syncing it each time
/// would double the price of a group commit.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Control {
    /// Opens or creates CONTROL and records `durable`, synced. The caller has synced the frames.
    pub(crate) fn begin(
        dir: &Path,
        journal: u128,
        epoch: u64,
        durable: u64,
    ) -> Result<Control, Error> {
        let path = dir.join(directory::CONTROL);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .at("open", &path)?;
        let generation = read(dir).ok().flatten().map_or(0, |r| r.generation);
        if file.metadata().at("look at", &path)?.len() < CONTROL_BYTES as u64 {
            // Written now, so that no later write of a record needs space.
            file.write_all_at(&[0; CONTROL_BYTES], 0)
                .at("write", &path)?;
        }
        let mut control = Control {
            file,
            path,
            record: Record {
                journal,
                generation,
                epoch,
                durable,
            },
            synced: Instant::now(),
        };
        if generation == 0 {
            // No older record to fall back to: both slots say it.
            control.write(durable)?;
        }
        control.write(durable)?;
        control.sync()?;
        Ok(control)
    }

    fn write(&mut self, durable: u64) -> Result<(), Error> {
        debug_assert!(durable >= self.record.durable);
        self.record.durable = durable;
        self.record.generation += 1;
        let slot = (self.record.generation % 2) * CONTROL_SLOT as u64;
        self.file
            .write_all_at(&self.record.encode(), slot)
            .at("write", &self.path)
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        self.file.sync_data().at("sync", &self.path)
    }

    /// Records what a sync has just made durable; `finally` also syncs the record itself.
    pub(crate) fn record(&mut self, durable: u64, finally: bool) -> Result<(), Error> {
        if durable != self.record.durable {
            self.write(durable)?;
        }
        if finally || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_of_a_record_is_noticed() {
        let good = Record {
            journal: 7 << 90,
            generation: 3,
            epoch: u64::MAX,
            durable: 1 << 40,
        }
        .encode();
        assert!(Record::decode(&good).is_some());
        for bit in 0..CONTROL_AT_CRC * 8 + 32 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&bad), None, "bit {bit}");
        }
    }
}
