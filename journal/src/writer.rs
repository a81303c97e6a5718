//! The single writer: stage, publish, roll, close.

use crate::checksum;
use crate::commit::{self, CommitWord};
use crate::control::Control;
use crate::directory::{self, FileSystem};
use crate::error::{Context, Error};
use crate::flusher::{Active, Durable, Flusher, Pace, Shared};
use crate::frame;
use crate::layout::{
    FRAME_HEADER, KIND_SEAL, PAGE, PAYLOAD_MAX, SEAL_FRAME, SEAL_PAYLOAD, SEGMENT_FIRST,
    SEGMENT_GROWTH, SEGMENT_HEADER, SEGMENT_MAX, SEGMENT_MIN, padded, put,
};
use crate::lock::Lock;
use crate::prepare::{Helper, Plan, Prepared};
use crate::recovery::{self, Recovery};
use crate::segment::Header;
use crate::tag::Tag;
use crate::walk::SealReason;
use rustix::fs::FallocateFlags;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What survives what. A published frame is *visible* at once in every mode; the modes differ in when it is
/// *durable*.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// Every published frame survives the death of the process, however it dies. A power loss may lose what
    /// the kernel has not written back (about 30 s); recovery then gives an exact prefix. Nothing is synced
    /// but by [`Writer::sync`], [`Writer::close`] and the next open.
    #[default]
    Process,
    /// As `Process`, and a power loss loses about this much time at most.
    Interval(Duration),
    /// As `Process`, and a flusher syncs without pause while there is something to sync, so that
    /// [`Durable::wait`] takes about one sync of the device. For the write-ahead rule.
    Group,
    /// Every frame is durable when `publish` or `append` returns: one sync of the device each.
    Each,
}

/// How a journal is written. Readers need none of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Size of a segment in bytes (8 KiB to 1 GiB, rounded up to pages). A writer's first segment has at
    /// most 1 MiB and each further one four times the size before, up to this; a frame that needs more
    /// gets more.
    pub segment_bytes: u64,
    /// A new segment begins with the first frame whose timestamp reaches a further multiple of this many ns: no segment
    /// spans two of them while timestamps do not go back. 0 for none; a UTC day has 86,400 s.
    pub roll_every_ns: u64,
    /// When published frames reach the disk.
    pub durability: Durability,
    /// How many bytes of sealed, synced segments `open` verifies again, newest first. Segments that may not
    /// have been synced, and the last one, are always verified. 0 leaves the rest to `verify`.
    pub verify_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            roll_every_ns: 0,
            durability: Durability::Process,
            verify_bytes: 256 << 20,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Staged {
    state: u32,
    low: u32,
    /// Bytes of the frame; 0 if none is staged.
    size: usize,
}

/// The segment of the next period is made ready this long before it begins.
const PREPARE_AHEAD_NS: u64 = 60_000_000_000;

const NOTHING_STAGED: Staged = Staged {
    state: 0,
    low: 0,
    size: 0,
};

/// The one writer of a journal. Can move between threads; one thread at a time uses it.
///
/// Dropping it without [`Writer::close`] is what a crash of the process is: nothing published is lost, and
/// the next open says that the journal was not closed.
#[derive(Debug)]
pub struct Writer {
    base: *mut u8,
    offset: usize,
    /// Frames end at or before this without a look at anything else.
    soft_limit: usize,
    /// Frames stamped before this end without a look at the time, too.
    look_at_ns: u64,
    /// The first stamp that does not belong into the current segment any more.
    roll_at_ns: u64,
    next_sequence: u64,
    last_timestamp_ns: u64,
    seed: u32,
    hardware: bool,
    syncs_each: bool,
    staged: Staged,
    active: Arc<Active>,
    shared: Arc<Shared>,

    header: Header,
    options: Options,
    plan: Plan,
    helper: Helper,
    flusher: Option<Flusher>,
    /// Last, so that it is released when everything else is done.
    _lock: Lock,
}

// SAFETY: `base` points into the mapping that `active` owns, which is not tied to a thread; all other fields
// are `Send`. `&Writer` gives no access to `base`, and the type is not `Sync`.
unsafe impl Send for Writer {}

fn random(dir: &Path) -> Result<u64, Error> {
    getrandom::u64().map_err(|e| Error::Io {
        action: "get random numbers for",
        path: dir.to_path_buf(),
        source: std::io::Error::other(e.to_string()),
    })
}

fn checked(options: &Options) -> Result<Options, Error> {
    if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&options.segment_bytes) {
        return Err(Error::Option {
            option: "segment_bytes",
            found: options.segment_bytes,
            expected: format!("{SEGMENT_MIN} to {SEGMENT_MAX}"),
        });
    }
    if let Durability::Interval(interval) = options.durability
        && interval.is_zero()
    {
        return Err(Error::Option {
            option: "durability interval (ns)",
            found: 0,
            expected: "more than 0; use Group to sync without pause".into(),
        });
    }
    Ok(Options {
        segment_bytes: options.segment_bytes.next_multiple_of(PAGE),
        ..*options
    })
}

impl Writer {
    /// Makes a new journal in `dir`, which is created if it is missing.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Locked`], [`Error::NetworkFileSystem`], [`Error::Full`],
    /// [`Error::Option`] and system errors.
    pub fn create(dir: &Path, options: Options) -> Result<Writer, Error> {
        let options = checked(&options)?;
        std::fs::create_dir_all(dir).at("create", dir)?;
        let file_system = directory::file_system(dir)?;
        let lock = Lock::acquire(dir)?;
        if !directory::all_segments(dir)?.is_empty() {
            return Err(Error::AlreadyExists {
                path: dir.to_path_buf(),
            });
        }
        directory::remove_unfinished(dir)?;
        let journal = u128::from(random(dir)?) | u128::from(random(dir)?) << 64;
        let header = Header {
            journal,
            id: 0,
            epoch: random(dir)?,
            base_sequence: 1,
            base_timestamp_ns: 0,
            capacity: options.segment_bytes.min(SEGMENT_FIRST),
            previous_epoch: 0,
        };
        // A life before the first segment promised nothing.
        for name in [directory::CONTROL, directory::BEGINNING] {
            let left = dir.join(name);
            if left.exists() {
                std::fs::remove_file(&left).at("remove", &left)?;
            }
        }
        let begun = Self::begin(dir, options, &file_system, lock, header);
        if begun.is_err() {
            // It promised nothing; left, it would look like that of a journal whose segments are gone.
            let _ = std::fs::remove_file(dir.join(directory::CONTROL));
        }
        begun
    }

    /// Opens an existing journal for writing, after recovery.
    ///
    /// # Errors
    /// Those of [`Writer::create`] but for `AlreadyExists`, and [`Error::NotFound`]; [`Error::Corrupt`],
    /// [`Error::Damaged`], [`Error::Header`], [`Error::MissingSegment`], [`Error::Archive`],
    /// [`Error::Control`] if frames are not what was written. Then no byte has been changed.
    pub fn open(dir: &Path, options: Options) -> Result<(Writer, Recovery), Error> {
        let options = checked(&options)?;
        if directory::segments(dir)?.is_empty() {
            return Err(Error::NotFound {
                path: dir.to_path_buf(),
            });
        }
        let file_system = directory::file_system(dir)?;
        let lock = Lock::acquire(dir)?;
        let recovered = recovery::recover(dir, options.verify_bytes)?;
        let header = Header {
            journal: recovered.last.journal,
            id: recovered.last.id + 1,
            epoch: random(dir)?,
            base_sequence: recovered.recovery.last_sequence + 1,
            base_timestamp_ns: recovered.recovery.last_timestamp_ns,
            capacity: options.segment_bytes.min(SEGMENT_FIRST),
            previous_epoch: recovered.last.epoch,
        };
        let writer = Self::begin(dir, options, &file_system, lock, header)?;
        Ok((writer, recovered.recovery))
    }

    /// Starts a life: everything before `header.base_sequence` is on disk.
    fn begin(
        dir: &Path,
        options: Options,
        fs: &FileSystem,
        lock: Lock,
        header: Header,
    ) -> Result<Writer, Error> {
        let plan = Plan {
            dir: dir.to_path_buf(),
            synced_often: options.durability != Durability::Process,
            no_copy_on_write: matches!(fs, FileSystem::Btrfs),
        };
        let durable = header.base_sequence - 1;
        let control = Control::begin(dir, header.journal, header.epoch, durable)?;
        let first = plan.make(header.id, header.capacity, Some(&header))?;
        let helper = Helper::start(plan.clone())?;
        let shared = Arc::new(Shared::new(control, durable));
        let active = Arc::new(Active::new(
            first.map,
            first.path,
            SEGMENT_HEADER as u64,
            durable,
            SEGMENT_HEADER as u64,
        ));
        shared.push(active.clone());
        let flusher = match options.durability {
            Durability::Process | Durability::Each => None,
            Durability::Interval(interval) => {
                Some(Flusher::start(shared.clone(), Pace::Every(interval))?)
            }
            Durability::Group => Some(Flusher::start(shared.clone(), Pace::Always)?),
        };
        let mut writer = Writer {
            base: active.map.as_mut_ptr(),
            offset: SEGMENT_HEADER,
            soft_limit: 0,
            look_at_ns: 0,
            roll_at_ns: u64::MAX,
            next_sequence: header.base_sequence,
            last_timestamp_ns: header.base_timestamp_ns,
            seed: checksum::seed(header.epoch),
            hardware: checksum::hardware(),
            syncs_each: options.durability == Durability::Each,
            staged: NOTHING_STAGED,
            active,
            shared,
            header,
            options,
            plan,
            helper,
            flusher,
            _lock: lock,
        };
        writer.prepare_later();
        if writer.options.roll_every_ns == 0 {
            writer.look_at_ns = u64::MAX;
        }
        Ok(writer)
    }

    /// Where frames must end: the seal always has its room.
    fn hard_limit(&self) -> usize {
        self.header.capacity as usize - SEAL_FRAME
    }

    /// The sequence of the next frame (of the staged one, if one is staged).
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The journal's id, the same for all its life.
    #[must_use]
    pub fn journal_id(&self) -> u128 {
        self.header.journal
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.plan.dir
    }

    /// A handle on what is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        Durable {
            shared: self.shared.clone(),
        }
    }

    /// Writes a frame that nobody sees before [`Writer::publish`], and returns its sequence. Its checksum
    /// is ready but for the end-of-step bit, which `publish` gives.
    ///
    /// # Errors
    /// [`Error::PayloadTooLong`], [`Error::StillStaged`], [`Error::Full`], [`Error::Poisoned`]. Nothing has
    /// changed then.
    #[inline]
    pub fn stage(&mut self, tag: Tag, timestamp_ns: u64, payload: &[u8]) -> Result<u64, Error> {
        let size = FRAME_HEADER + padded(payload.len());
        self.reserve(payload.len(), size, timestamp_ns)?;
        // SAFETY: `reserve` has left room for `size` bytes before the hard limit, in a mapping of allocated
        // space that only this writer stores to; offsets are multiples of eight; the word there is zero.
        let state = unsafe {
            frame::fill(
                self.hardware,
                self.base.add(self.offset),
                self.seed,
                self.next_sequence,
                timestamp_ns,
                payload,
            )
        };
        self.staged = Staged {
            state,
            low: CommitWord::low(payload.len(), tag.bits()),
            size,
        };
        self.last_timestamp_ns = timestamp_ns;
        Ok(self.next_sequence)
    }

    /// Makes the staged frame visible with one store, as the last of its step or not. Does nothing if no
    /// frame is staged.
    ///
    /// In [`Durability::Each`] it also syncs; a failure shows at the next call.
    #[inline]
    pub fn publish(&mut self, ends_step: bool) {
        let Staged { state, low, size } = self.staged;
        if size == 0 {
            return;
        }
        const STEP_END: u32 = (crate::layout::TAG_STEP_END as u32) << crate::layout::WORD_TAG_SHIFT;
        let low = if ends_step {
            low | STEP_END
        } else {
            low & !STEP_END
        };
        // SAFETY: the frame that `stage` filled, and nothing since.
        unsafe { frame::commit(self.base.add(self.offset), state, low) };
        self.passed(size);
        if self.syncs_each {
            let _ = self.shared.sync(false);
        }
    }

    /// Takes back the staged frame, as if it had not been staged.
    pub fn unstage(&mut self) {
        let size = std::mem::replace(&mut self.staged, NOTHING_STAGED).size;
        // SAFETY: the staged frame's bytes, which only this writer looks at; its word is still zero.
        unsafe { std::ptr::write_bytes(self.base.add(self.offset), 0, size) };
    }

    /// Stages and publishes; the end-of-step bit is the tag's own.
    ///
    /// # Errors
    /// Those of [`Writer::stage`]; in [`Durability::Each`] those of [`Writer::sync`].
    #[inline]
    pub fn append(&mut self, tag: Tag, timestamp_ns: u64, payload: &[u8]) -> Result<u64, Error> {
        let size = FRAME_HEADER + padded(payload.len());
        self.reserve(payload.len(), size, timestamp_ns)?;
        let sequence = self.next_sequence;
        // SAFETY: as in `stage`.
        unsafe {
            let at = self.base.add(self.offset);
            frame::put(
                self.hardware,
                at,
                self.seed,
                sequence,
                timestamp_ns,
                tag.bits(),
                payload,
            );
        }
        self.last_timestamp_ns = timestamp_ns;
        self.passed(size);
        if self.syncs_each {
            self.shared.sync(false)?;
        }
        Ok(sequence)
    }

    #[inline(always)]
    fn reserve(&mut self, length: usize, size: usize, timestamp_ns: u64) -> Result<(), Error> {
        if self.offset + size > self.soft_limit
            || timestamp_ns >= self.look_at_ns
            || length > PAYLOAD_MAX
            || self.staged.size != 0
            || self.shared.has_failed()
        {
            self.make_room(length, size, timestamp_ns)?;
        }
        debug_assert!(self.offset + size <= self.hard_limit());
        Ok(())
    }

    #[inline(always)]
    fn passed(&mut self, size: usize) {
        self.staged = NOTHING_STAGED;
        self.offset += size;
        commit::advance_tail(
            &self.active.end,
            &self.active.sequence,
            self.offset as u64,
            self.next_sequence,
        );
        self.next_sequence += 1;
    }

    /// The slow part of [`Writer::reserve`]: refuses, asks for the next segment in time, or rolls.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, length: usize, size: usize, timestamp_ns: u64) -> Result<(), Error> {
        if self.shared.has_failed() {
            return Err(self.shared.poisoned());
        }
        if length > PAYLOAD_MAX {
            return Err(Error::PayloadTooLong {
                length,
                limit: PAYLOAD_MAX,
            });
        }
        if self.staged.size != 0 {
            return Err(Error::StillStaged {
                sequence: self.next_sequence,
            });
        }
        if timestamp_ns >= self.look_at_ns {
            if self.offset == SEGMENT_HEADER {
                self.begin_period(timestamp_ns);
                if self.offset + size <= self.soft_limit {
                    return Ok(());
                }
            } else {
                self.look_at_ns = self.roll_at_ns;
            }
        }
        if !self.helper.is_asked() {
            self.helper.ask(self.header.id + 1, self.next_capacity());
        }
        self.soft_limit = self.hard_limit();
        let is_over = timestamp_ns >= self.roll_at_ns && self.roll_at_ns != u64::MAX;
        if is_over && self.offset > SEGMENT_HEADER {
            self.roll(size)?;
            self.begin_period(timestamp_ns);
        } else if self.offset + size > self.soft_limit {
            self.roll(size)?;
        }
        Ok(())
    }

    /// Sets where a segment whose first frame is stamped so ends by time, and when the next one is made ready for it.
    fn begin_period(&mut self, timestamp_ns: u64) {
        let every = self.options.roll_every_ns;
        self.roll_at_ns = match timestamp_ns.checked_div(every) {
            Some(periods) => (periods + 1).saturating_mul(every),
            None => u64::MAX,
        };
        let ahead = self
            .roll_at_ns
            .saturating_sub(PREPARE_AHEAD_NS.min(every / 8));
        self.look_at_ns = if ahead > timestamp_ns {
            ahead
        } else {
            self.roll_at_ns
        };
    }

    fn next_capacity(&self) -> u64 {
        (self.header.capacity.saturating_mul(SEGMENT_GROWTH)).min(self.options.segment_bytes)
    }

    /// Goes on in a new segment with room for a frame of `size` bytes.
    fn roll(&mut self, size: usize) -> Result<(), Error> {
        let mut next = match self.helper.take() {
            // The answer may be old: space may have been freed since.
            Err(Error::Full { .. }) => {
                self.plan
                    .make(self.header.id + 1, self.next_capacity(), None)?
            }
            other => other?,
        };
        let needed = (SEGMENT_HEADER + size + SEAL_FRAME) as u64;
        if next.capacity < needed {
            // Nobody has seen it: its header is zero.
            std::fs::remove_file(&next.path).at("remove", &next.path)?;
            next = self
                .plan
                .make(self.header.id + 1, needed.next_multiple_of(PAGE), None)?;
        }
        let Prepared {
            map,
            path,
            capacity,
        } = next;
        let header = Header {
            id: self.header.id + 1,
            base_sequence: self.next_sequence,
            base_timestamp_ns: self.last_timestamp_ns,
            capacity,
            previous_epoch: self.header.epoch,
            ..self.header
        };
        self.seal(SealReason::Roll, || {
            // SAFETY: a mapping of at least SEGMENT_MIN bytes that nobody else stores to; readers take the
            // header only if its checksum verifies.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    header.encode().as_ptr(),
                    map.as_mut_ptr(),
                    SEGMENT_HEADER,
                )
            };
        });
        let active = Arc::new(Active::new(
            map,
            path,
            SEGMENT_HEADER as u64,
            self.next_sequence - 1,
            0,
        ));
        self.shared.push(active.clone());
        let filled = std::mem::replace(&mut self.active, active);
        if self.flusher.is_none() {
            self.shared.defer(&filled);
        }
        self.helper.release(filled);
        self.base = self.active.map.as_mut_ptr();
        self.offset = SEGMENT_HEADER;
        self.header = header;
        if self.next_capacity() > self.header.capacity {
            self.prepare_later();
        } else {
            // At full speed filling a segment is faster than preparing one, so begin at once.
            self.helper.ask(self.header.id + 1, self.next_capacity());
            self.soft_limit = self.hard_limit();
        }
        Ok(())
    }

    /// Lets the next segment be asked for when a quarter of this one is used: a journal that stays small
    /// never prepares what it does not need.
    fn prepare_later(&mut self) {
        self.soft_limit = SEGMENT_HEADER + (self.hard_limit() - SEGMENT_HEADER) / 4;
    }

    /// Ends the current segment. The seal carries the next sequence and does not use it up: sequences are
    /// a function of content, not of where segments end.
    fn seal(&mut self, reason: SealReason, begin_next: impl FnOnce()) {
        let mut payload = [0; SEAL_PAYLOAD];
        put(&mut payload, 0, &reason.number().to_le_bytes());
        let low = CommitWord::low(SEAL_PAYLOAD, KIND_SEAL);
        // SAFETY: every segment keeps SEAL_FRAME bytes beyond the hard limit; the rest is as in `stage`.
        unsafe {
            let at = self.base.add(self.offset);
            let state = frame::fill(
                self.hardware,
                at,
                self.seed,
                self.next_sequence,
                self.last_timestamp_ns,
                &payload,
            );
            if let Some(word) = frame::word(state, low) {
                commit::hand_over(begin_next, AtomicU64::from_ptr(at.cast()), word);
            }
        }
        self.offset += SEAL_FRAME;
        commit::advance_tail(
            &self.active.end,
            &self.active.sequence,
            self.offset as u64,
            self.next_sequence - 1,
        );
    }

    /// Makes everything published so far durable and returns its last sequence.
    ///
    /// # Errors
    /// [`Error::Io`] if the sync failed: the writer is poisoned then and accepts nothing more;
    /// [`Error::Poisoned`] ever after.
    pub fn sync(&mut self) -> Result<u64, Error> {
        self.shared.sync(false)
    }

    /// Ends the journal in order: takes back a staged frame, seals, syncs, records all as durable, gives the
    /// unused space back. Returns the last sequence.
    ///
    /// # Errors
    /// As [`Writer::sync`].
    pub fn close(mut self) -> Result<u64, Error> {
        self.stop_threads();
        if self.shared.has_failed() {
            return Err(self.shared.poisoned());
        }
        self.unstage();
        self.seal(SealReason::Close, || {});
        let last = self.shared.sync(true)?;
        let path: &PathBuf = &self.active.path;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .at("open", path)?;
        let from = (self.offset as u64).next_multiple_of(PAGE);
        if from < self.header.capacity {
            // The file keeps its length, so that no reader's mapping ever ends before it. A file system that
            // can't punch holes keeps the space.
            // Nothing rests on it, so it is not synced either.
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(&file, flags, from, self.header.capacity - from);
        }
        Ok(last)
    }

    fn stop_threads(&mut self) {
        if let Some(flusher) = &mut self.flusher {
            flusher.stop();
        }
        self.helper.stop();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Before the lock goes: a helper that still makes files would meet the next writer.
        self.stop_threads();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    /// What a failed sync leaves: nothing is accepted, nothing is tried again, nothing more is called
    /// durable, even if the disk works again.
    #[test]
    fn a_failed_sync_poisons_the_writer_in_every_mode() {
        let every = Durability::Interval(Duration::from_millis(1));
        for durability in [
            Durability::Process,
            every,
            Durability::Group,
            Durability::Each,
        ] {
            // In memory if possible: this is not about the disk's pace.
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
            let dir = dir.unwrap();
            let options = Options {
                durability,
                ..Options::default()
            };
            let mut writer = Writer::create(dir.path(), options).unwrap();
            let durable = writer.durable();
            let tag = Tag::input(1);
            writer.append(tag, 1, b"on disk").unwrap();
            assert_eq!(writer.sync().unwrap(), 1);
            let control = std::fs::read(dir.path().join(directory::CONTROL)).unwrap();

            let shared = writer.shared.clone();
            shared.fault.active.store(true, Ordering::Relaxed);
            let before = shared.fault.attempts.load(Ordering::Relaxed);
            let appended = writer.append(tag, 2, b"lost");
            match durability {
                Durability::Process => {
                    assert!(matches!(writer.sync(), Err(Error::Io { .. })));
                }
                Durability::Each => assert!(matches!(appended, Err(Error::Io { .. }))),
                // The flusher meets it by itself.
                _ => assert!(matches!(
                    durable.wait(2, Duration::from_secs(60)),
                    Err(Error::Poisoned { durable: 1, .. })
                )),
            }
            let next = writer.next_sequence();
            shared.fault.active.store(false, Ordering::Relaxed);
            let poisoned = |r: Result<u64, Error>| {
                let e = r.unwrap_err();
                assert!(matches!(e, Error::Poisoned { durable: 1, .. }), "{e}");
                assert!(e.to_string().contains("stopped at a failed sync"), "{e}");
            };
            poisoned(writer.append(tag, 3, b"x"));
            poisoned(writer.stage(tag, 3, b"x"));
            poisoned(writer.sync());
            poisoned(durable.wait(2, Duration::from_secs(60)).map(u64::from));
            assert!(durable.wait(1, Duration::ZERO).unwrap());
            assert_eq!((writer.next_sequence(), durable.get()), (next, 1));
            poisoned(writer.close());
            // One attempt failed and no other was made.
            let attempts = shared.fault.attempts.load(Ordering::Relaxed);
            assert_eq!(attempts, before + 1, "{durability:?}");
            assert_eq!(
                std::fs::read(dir.path().join(directory::CONTROL)).unwrap(),
                control
            );
            // What is on disk after all is found by the next open.
            let (_, recovery) = Writer::open(dir.path(), options).unwrap();
            assert!(!recovery.was_clean && recovery.last_sequence >= 1);
        }
    }
}
