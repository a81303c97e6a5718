//! Making segments ready ahead of the writer: allocated for real, zeroed, mapped and populated, so that
//! rolling is a change of pointers and a store never meets a missing page or a full disk.

use crate::directory;
use crate::error::{Context, Error};
use crate::flusher::Active;
use crate::segment::Header;
use memmap2::{Advice, MmapMut, MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, IFlags, OFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A segment that waits for its first frame.
pub(crate) struct Prepared {
    pub(crate) map: MmapRaw,
    pub(crate) path: PathBuf,
    pub(crate) capacity: u64,
}

/// How segments of this journal are made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) dir: PathBuf,
    /// The mapping will be synced while it is written: write zeroes (a sync of space that is only
    /// allocated changes metadata too) and use small folios (a sync writes whole folios).
    pub(crate) synced_often: bool,
    /// The file system copies on write: ask it not to.
    pub(crate) no_copy_on_write: bool,
}

impl Plan {
    /// Makes segment `id`. With a header it is begun at once. The name appears, durably, when all is done.
    pub(crate) fn make(
        &self,
        id: u64,
        capacity: u64,
        header: Option<&Header>,
    ) -> Result<Prepared, Error> {
        self.make_unless(&AtomicBool::new(false), id, capacity, header)
    }

    /// As [`Plan::make`], but gives up soon after `stop` is set.
    fn make_unless(
        &self,
        stop: &AtomicBool,
        id: u64,
        capacity: u64,
        header: Option<&Header>,
    ) -> Result<Prepared, Error> {
        let path = directory::segment(&self.dir, id);
        let tmp = path.with_extension("seg.tmp");
        let made = self.make_at(stop, &tmp, &path, capacity, header);
        if made.is_err() {
            // Gives the space back; recovery removes it otherwise.
            let _ = std::fs::remove_file(&tmp);
        }
        let map = made.map_err(|e| match e {
            Error::Io { source, .. }
                if matches!(
                    source.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded
                ) =>
            {
                Error::Full {
                    path: self.dir.clone(),
                    needed: capacity,
                }
            }
            other => other,
        })?;
        Ok(Prepared {
            map,
            path,
            capacity,
        })
    }

    fn make_at(
        &self,
        stop: &AtomicBool,
        tmp: &Path,
        path: &Path,
        capacity: u64,
        header: Option<&Header>,
    ) -> Result<MmapRaw, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(tmp)
            .at("create", tmp)?;
        if self.no_copy_on_write
            && let Ok(flags) = rustix::fs::ioctl_getflags(&file)
        {
            // Must come before the first byte; where it fails, populating finds out what space there is.
            let _ = rustix::fs::ioctl_setflags(&file, flags | IFlags::NOCOW);
        }
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, capacity) {
            Ok(()) => {
                if self.synced_often {
                    write_zeroes(stop, &file, tmp, capacity)?;
                }
            }
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeroes(stop, &file, tmp, capacity)?,
            other => other.at("allocate", tmp)?,
        }
        if let Some(header) = header {
            file.write_all_at(&header.encode(), 0).at("write", tmp)?;
        }
        // Before populating, which makes pages dirty that carry nothing yet.
        file.sync_all().at("sync", tmp)?;
        let map = MmapOptions::new()
            .len(capacity as usize)
            .map_raw(&file)
            .at("map", tmp)?;
        if self.synced_often {
            let _ = map.advise(Advice::Random);
        }
        for from in (0..capacity as usize).step_by(WINDOW) {
            go_on(stop)?;
            let window = WINDOW.min(capacity as usize - from);
            match map.advise_range(Advice::PopulateWrite, from, window) {
                // Before Linux 5.14: the pages come when they are touched.
                Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => break,
                // The space is not really there (a copy-on-write file system): what a store would die of.
                Err(e) if e.raw_os_error() == Some(Errno::FAULT.raw_os_error()) => {
                    return Err(Error::Full {
                        path: self.dir.clone(),
                        needed: capacity,
                    });
                }
                other => other.at("populate", tmp)?,
            }
        }
        go_on(stop)?;
        std::fs::rename(tmp, path).at("rename", tmp)?;
        directory::sync(&self.dir)?;
        Ok(map)
    }
}

/// Pages are populated in steps of this many bytes: how long preparing takes to notice that it is not needed.
const WINDOW: usize = 2 << 20;

/// An error once preparing is to stop. Nobody sees it: who stops does not ask for the segment.
fn go_on(stop: &AtomicBool) -> Result<(), Error> {
    if stop.load(Ordering::Relaxed) {
        Err(stopped())
    } else {
        Ok(())
    }
}

fn stopped() -> Error {
    Error::Thread {
        thread: "preparing",
        reason: "it has stopped".into(),
    }
}

/// Writes zeroes past the page cache where that works, else through it.
fn write_zeroes(stop: &AtomicBool, file: &File, path: &Path, capacity: u64) -> Result<(), Error> {
    const BLOCK: u64 = 1 << 20;
    // An anonymous mapping is zero and page-aligned, which direct writes ask for.
    let zeroes = MmapMut::map_anon(BLOCK.min(capacity) as usize).at("allocate memory for", path)?;
    let direct = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::DIRECT.bits() as i32)
        .open(path)
        .ok();
    let mut at = 0;
    while at < capacity {
        go_on(stop)?;
        let block = &zeroes[..(capacity - at).min(BLOCK) as usize];
        let past_cache = direct
            .as_ref()
            .is_some_and(|d| d.write_all_at(block, at).is_ok());
        if !past_cache {
            file.write_all_at(block, at).at("write", path)?;
        }
        at += block.len() as u64;
    }
    Ok(())
}

enum Request {
    Prepare {
        id: u64,
        capacity: u64,
    },
    /// Unmapping a big segment takes milliseconds, so the writer leaves it to the helper.
    Release(Arc<Active>),
}

/// The thread that prepares segments.
#[derive(Debug)]
pub(crate) struct Helper {
    requests: Option<Sender<Request>>,
    results: Receiver<Result<Prepared, Error>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    waiting: bool,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("path", &self.path)
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl Helper {
    pub(crate) fn start(plan: Plan) -> Result<Helper, Error> {
        let (requests, inbox) = channel();
        let (outbox, results) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::Builder::new()
            .name("journal-prepare".into())
            .spawn(move || {
                for request in inbox {
                    match request {
                        Request::Prepare { id, capacity } => {
                            if outbox
                                .send(plan.make_unless(&told, id, capacity, None))
                                .is_err()
                            {
                                break;
                            }
                        }
                        Request::Release(active) => drop(active),
                    }
                }
            })
            .map_err(|e| Error::Thread {
                thread: "preparing",
                reason: e.to_string(),
            })?;
        Ok(Helper {
            requests: Some(requests),
            results,
            thread: Some(thread),
            stop,
            waiting: false,
        })
    }

    /// Whether a segment was asked for that [`Helper::take`] has not given yet.
    pub(crate) fn is_asked(&self) -> bool {
        self.waiting
    }

    /// Asks for a segment.
    pub(crate) fn ask(&mut self, id: u64, capacity: u64) {
        if let Some(requests) = &self.requests {
            self.waiting = requests.send(Request::Prepare { id, capacity }).is_ok();
        }
    }

    /// Hands over a segment to unmap.
    pub(crate) fn release(&self, active: Arc<Active>) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(Request::Release(active));
        }
    }

    /// Waits for the segment that was asked for.
    pub(crate) fn take(&mut self) -> Result<Prepared, Error> {
        self.waiting = false;
        self.results.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Ends the thread and removes a segment that was prepared in vain.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        while let Ok(result) = self.results.try_recv() {
            if let Ok(prepared) = result {
                // Left over, it is removed by the next open: its header is still zero.
                let _ = std::fs::remove_file(&prepared.path);
            }
        }
    }
}
