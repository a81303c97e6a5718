//! Appending and reading allocate when they come to another segment, and at no other time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test says so by failing

mod common;
use common::scratch;
use onetape_journal::{Durability, Options, Reader, Tag, Writer, describe};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts this thread's allocations; the helper threads are free to make theirs.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() -> u64 {
    COUNT.with(Cell::get)
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = COUNT.try_with(|c| c.set(c.get() + 1));
        // SAFETY: the caller's contract.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FRAMES: u64 = 400_000;

#[test]
fn frames_are_written_and_read_without_an_allocation() {
    for durability in [Durability::Process, Durability::Group] {
        let dir = scratch();
        let options = Options {
            segment_bytes: 8 << 20,
            durability,
            ..Options::default()
        };
        let mut writer = Writer::create(dir.path(), options).unwrap();
        let durable = writer.durable();
        let payload = [7; 56];
        let mut allocating = 0;
        for i in 0..FRAMES {
            let before = count();
            if i % 2 == 0 {
                writer.append(Tag::input(1), i, &payload).unwrap();
            } else {
                writer.stage(Tag::derived(2), i, &payload).unwrap();
                writer.publish(true);
            }
            let _ = durable.get();
            allocating += u64::from(count() != before);
        }
        writer.close().unwrap();
        let segments = describe(dir.path()).unwrap().segments.len() as u64;
        assert!((4..10).contains(&segments), "{segments}");
        // Two at most for each segment: the request to prepare it, and the change to it.
        assert!(allocating <= 2 * segments, "{allocating}, {segments}");

        let mut reader = Reader::open(dir.path()).unwrap();
        let (mut allocating, mut frames) = (0, 0);
        loop {
            let before = count();
            let more = reader.next().unwrap().is_some();
            allocating += u64::from(count() != before);
            if !more {
                break;
            }
            frames += 1;
        }
        assert_eq!(frames, FRAMES);
        assert!(allocating <= segments, "{allocating}, {segments}");
        // Nor does waiting at a live end.
        let mut live = Writer::open(dir.path(), options).unwrap().0;
        live.append(Tag::input(1), 0, b"goes on").unwrap();
        assert!(reader.next().unwrap().is_some());
        let before = count();
        for _ in 0..1000 {
            assert!(reader.next().unwrap().is_none());
        }
        assert_eq!(count(), before);
    }
}
