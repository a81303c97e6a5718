//! Which processor the core runs on, and that nothing else of the daemon does.
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// The core can't have the processor that the configuration gives it.
#[derive(Debug, thiserror::Error)]
#[error(
    "pin_core_to_cpu = {cpu} in [live]: {source}; 'nproc' says how many there are, counted from 0"
)]
pub struct PinError {
    /// Which.
    cpu: usize,
    /// Why not.
    source: io::Error,
}

/// Keeps this thread, and those that it starts from here on, on the other processors that it may use. Where there is no
/// other one they stay: the core then shares it.
///
/// # Errors
/// [`PinError`] when this process can't use the processor.
pub(crate) fn leave_to_core(cpu: usize) -> Result<(), PinError> {
    let failed = |errno: rustix::io::Errno| PinError {
        cpu,
        source: errno.into(),
    };
    let mut others = sched_getaffinity(None).map_err(failed)?;
    // Tried here, where nothing has begun yet.
    pin(cpu)?;
    others.unset(cpu);
    if others.count() == 0 {
        others.set(cpu);
    }
    sched_setaffinity(None, &others).map_err(failed)
}

/// Keeps this thread on one processor.
///
/// # Errors
/// [`PinError`] when this process can't use it.
pub(crate) fn pin(cpu: usize) -> Result<(), PinError> {
    let failed = |source| PinError { cpu, source };
    if cpu >= CpuSet::MAX_CPU {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(|errno| failed(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_has_its_processor_to_itself_where_there_is_another() {
        let usable = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU)
            .find(|cpu| usable.is_set(*cpu))
            .unwrap();
        // In a thread of its own: the test's keeps its processors.
        let seen = std::thread::spawn(move || {
            leave_to_core(core).unwrap();
            let others = sched_getaffinity(None).unwrap();
            let pinned = std::thread::spawn(move || {
                pin(core).unwrap();
                sched_getaffinity(None).unwrap()
            });
            (others, pinned.join().unwrap())
        });
        let (others, pinned) = seen.join().unwrap();
        assert_eq!(others.is_set(core), usable.count() == 1);
        assert_eq!((pinned.count(), pinned.is_set(core)), (1, true));
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        for cpu in [CpuSet::MAX_CPU - 1, usize::MAX] {
            let error = leave_to_core(cpu).unwrap_err();
            assert!(error.to_string().contains("pin_core_to_cpu"), "{error}");
            assert!(pin(cpu).is_err());
        }
    }
}
