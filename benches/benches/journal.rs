//! Append and scan of the journal, each beside the loop that does the least it must.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros; a benchmark that can't run has no figure"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use onetape_journal::{Options, Reader, Tag, Writer};
use std::hint::black_box;

const FRAMES: u64 = 100_000;
const PAYLOAD: [u8; 64] = [7; 64];

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append 64 B");
    group
        .throughput(Throughput::Elements(FRAMES))
        .sample_size(20);
    let mut memory = vec![0u8; FRAMES as usize * 88];
    group.bench_function("copy and checksum", |b| {
        b.iter(|| {
            for frame in memory.chunks_exact_mut(88) {
                let sum = crc32c::crc32c(black_box(&PAYLOAD));
                frame[24..].copy_from_slice(&PAYLOAD);
                frame[..4].copy_from_slice(&sum.to_le_bytes());
            }
        });
    });
    group.bench_function("journal", |b| {
        b.iter_batched(
            || {
                let dir = tempfile::tempdir().expect("a directory");
                let writer =
                    Writer::create(&dir.path().join("j"), Options::default()).expect("a journal");
                (dir, writer)
            },
            |(dir, mut writer)| {
                for at in 0..FRAMES {
                    writer
                        .append(Tag::input(7).with_step_end(true), at, black_box(&PAYLOAD))
                        .expect("an append");
                }
                (dir, writer)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn scan(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("j");
    let mut writer = Writer::create(&path, Options::default()).expect("a journal");
    for at in 0..FRAMES {
        writer
            .append(Tag::input(7).with_step_end(true), at, &PAYLOAD)
            .expect("an append");
    }
    writer.close().expect("the journal closes");
    let memory = vec![7u8; FRAMES as usize * 88];
    let mut group = c.benchmark_group("scan 64 B");
    group
        .throughput(Throughput::Elements(FRAMES))
        .sample_size(20);
    group.bench_function("checksum", |b| {
        b.iter(|| {
            memory
                .chunks_exact(88)
                .map(|frame| crc32c::crc32c(&frame[8..]))
                .fold(0u32, u32::wrapping_add)
        });
    });
    group.bench_function("journal", |b| {
        b.iter(|| {
            let mut reader = Reader::open(&path).expect("the journal opens");
            let mut frames = 0;
            while let Some(frame) = reader.next().expect("every frame verifies") {
                frames += u64::from(frame.payload.len() == 64);
            }
            assert_eq!(frames, FRAMES);
        });
    });
    group.finish();
}

criterion_group!(benches, append, scan);
criterion_main!(benches);
