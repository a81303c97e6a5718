//! The commit protocol as it ships, under the model checker: every interleaving, every allowed reordering.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p onetape-journal --release --test loom_commit`
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use onetape_journal::commit::{self, CommitCell, CommitWord};
use std::sync::atomic::Ordering;

/// The checker's atomic in the place of the mapped one.
struct Cell(AtomicU64);
impl CommitCell for Cell {
    fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering)
    }
    fn store(&self, value: u64, ordering: Ordering) {
        self.0.store(value, ordering);
    }
}

/// The same, but every store is relaxed: what the protocol would be without its ordering.
struct Relaxed(AtomicU64);
impl CommitCell for Relaxed {
    fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering)
    }
    fn store(&self, value: u64, _: Ordering) {
        self.0.store(value, Ordering::Relaxed);
    }
}

struct Slot<C> {
    word: C,
    body: UnsafeCell<u64>,
}

// SAFETY: that the body is never accessed by two threads at once is what the model checks.
unsafe impl<C: Sync> Sync for Slot<C> {}
// SAFETY: as above.
unsafe impl<C: Send> Send for Slot<C> {}

impl<C> Slot<C> {
    fn new(word: C) -> Slot<C> {
        Slot {
            word,
            body: UnsafeCell::new(0),
        }
    }
    fn fill(&self, value: u64) {
        // SAFETY: only the writer fills, before it publishes.
        self.body.with_mut(|body| unsafe { *body = value });
    }
    fn read(&self) -> u64 {
        // SAFETY: only after the word was observed.
        self.body.with(|body| unsafe { *body })
    }
}

fn word(length: usize) -> CommitWord {
    CommitWord::new(CommitWord::low(length, 1), 0).unwrap()
}

fn frames<C: CommitCell + Send + Sync + 'static>(cell: fn(AtomicU64) -> C) {
    loom::model(move || {
        let log: Arc<Vec<Slot<C>>> =
            Arc::new((0..2).map(|_| Slot::new(cell(AtomicU64::new(0)))).collect());
        let writers = log.clone();
        let writer = loom::thread::spawn(move || {
            for (i, slot) in writers.iter().enumerate() {
                slot.fill(i as u64 + 1);
                commit::publish(&slot.word, word(8));
            }
        });
        for (i, slot) in log.iter().enumerate() {
            let Some(seen) = commit::observe(&slot.word) else {
                break;
            };
            assert_eq!((seen.length(), slot.read()), (8, i as u64 + 1));
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_that_sees_the_word_sees_the_frame() {
    frames(Cell);
}

#[test]
#[should_panic]
fn without_release_the_model_finds_the_race() {
    frames(Relaxed);
}

fn seal<C: CommitCell + Send + Sync + 'static>(cell: fn(AtomicU64) -> C) {
    loom::model(move || {
        // `old` is the seal's place, its body the next segment's header; `new` is the next segment's frame.
        let old = Arc::new(Slot::new(cell(AtomicU64::new(0))));
        let new = Arc::new(Slot::new(cell(AtomicU64::new(0))));
        let (old_writer, new_writer) = (old.clone(), new.clone());
        let writer = loom::thread::spawn(move || {
            commit::hand_over(|| old_writer.fill(77), &old_writer.word, word(8));
            new_writer.fill(5);
            commit::publish(&new_writer.word, word(16));
        });
        if commit::observe(&old.word).is_some() {
            assert_eq!(old.read(), 77);
            if commit::observe(&new.word).is_some() {
                assert_eq!(new.read(), 5);
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_that_sees_the_seal_finds_the_next_segment_begun() {
    seal(Cell);
}

#[test]
#[should_panic]
fn a_relaxed_seal_is_caught() {
    seal(Relaxed);
}

fn tail<C: CommitCell + Send + Sync + 'static>(cell: fn(AtomicU64) -> C) {
    loom::model(move || {
        let shared = Arc::new((cell(AtomicU64::new(0)), cell(AtomicU64::new(0))));
        let theirs = shared.clone();
        let writer = loom::thread::spawn(move || {
            for sequence in 1..=2 {
                commit::advance_tail(&theirs.0, &theirs.1, sequence * 32, sequence);
            }
        });
        let (end, sequence) = commit::observe_tail(&shared.0, &shared.1);
        assert!(
            end >= sequence * 32,
            "sequence {sequence} would be called durable with {end} bytes synced"
        );
        writer.join().unwrap();
    });
}

#[test]
fn the_flusher_never_calls_more_durable_than_it_syncs() {
    tail(Cell);
}

#[test]
#[should_panic]
fn a_relaxed_tail_is_caught() {
    tail(Relaxed);
}
