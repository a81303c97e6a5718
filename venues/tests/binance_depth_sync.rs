//! The depth rules: the venue's documented example, and random streams with holes against a naive model.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do
use onetape_engine::event::{BookUpdate, Event, FeedCondition, Level, StaleReason};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Price, Qty};
use onetape_venues::binance::{
    BUFFERED_DIFFS_MAX, DepthDiff, DepthSync, DiffVerdict, Message, Product, SnapshotVerdict,
    decode,
};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// A book in the simplest form, which insists on the chain of ids as the engine does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    live_id: Option<u64>,
    gaps: Vec<(u64, u64)>,
    snapshotting: usize,
}

impl Model {
    fn set(&mut self, update: &BookUpdate<'_>) {
        for (side, levels) in [(&mut self.bids, update.bids), (&mut self.asks, update.asks)] {
            for level in levels {
                if level.qty.0 == 0 {
                    side.remove(&level.price.0);
                } else {
                    side.insert(level.price.0, level.qty.0);
                }
            }
        }
        self.live_id = Some(update.header.last_id);
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), Infallible> {
        match event {
            Event::BookSnapshot(update) => {
                self.bids.clear();
                self.asks.clear();
                self.set(update);
            }
            Event::BookDelta(update) => {
                assert_eq!(
                    Some(update.header.previous_id),
                    self.live_id,
                    "a delta builds on the book that is there"
                );
                self.set(update);
            }
            Event::FeedState(state) => {
                match &state.condition {
                    FeedCondition::Snapshotting => self.snapshotting += 1,
                    FeedCondition::Stale(StaleReason::Gap { expected, found }) => {
                        self.gaps.push((*expected, *found))
                    }
                    FeedCondition::Stale(_) => {}
                }
                self.live_id = None;
            }
            other => panic!("unexpected {other:?}"),
        }
        Ok(())
    }
}

fn level(price: i64, qty: i64) -> Level {
    Level {
        price: Price(price),
        qty: Qty(qty),
    }
}

fn diff<'a>(first_id: u64, last_id: u64, previous_id: u64, bids: &'a [Level]) -> DepthDiff<'a> {
    DepthDiff {
        venue_time_ns: 0,
        first_id,
        last_id,
        previous_id,
        bids,
        asks: &[],
    }
}

fn step(sync: &mut DepthSync, model: &mut Model, d: &DepthDiff<'_>) -> DiffVerdict {
    sync.on_diff(d, &mut |event| model.take(event))
        .unwrap_or_else(|never| match never {})
}

fn snapshot(sync: &mut DepthSync, model: &mut Model, id: u64, bids: &[Level]) -> SnapshotVerdict {
    sync.on_snapshot(id, 0, bids, &[], &mut |event| model.take(event))
        .unwrap_or_else(|never| match never {})
}

/// The vector of the documented rules: what happens to each diff, and the best prices after it. Once with the snapshot
/// before the diffs, once with it after all of them.
#[test]
fn the_documented_example_is_followed() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/venues/binance/vec_depth_sync.json"
    );
    if !std::path::Path::new(path).exists() {
        println!("skipped: no {path}");
        return;
    }
    let vector: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let d = Decimals::new(4, 0).unwrap();
    let events: Vec<String> = vector["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    let expected = vector["expected"].as_array().unwrap();
    assert!(
        events.len() == expected.len() && !events.is_empty(),
        "the vector is not understood"
    );
    let snapshot_text = vector["snapshot"].to_string();
    let Message::Snapshot(whole) = decode(&snapshot_text).unwrap() else {
        panic!("the vector has no snapshot")
    };

    for snapshot_first in [true, false] {
        let (mut sync, mut model) = (
            DepthSync::new(Product::Spot, InstrumentId(0)),
            Model::default(),
        );
        let mut applied = Vec::new();
        let mut levels = Vec::new();
        let mut take_snapshot =
            |sync: &mut DepthSync, model: &mut Model, applied: &mut Vec<Model>| {
                let (bids, asks) = whole.sides(d, &mut levels).unwrap();
                let verdict = sync.on_snapshot(whole.last_id, 0, bids, asks, &mut |event| {
                    model.take(event)?;
                    if matches!(event, Event::BookDelta(_)) {
                        applied.push(model.clone());
                    }
                    Ok::<(), Infallible>(())
                });
                assert_eq!(verdict, Ok(SnapshotVerdict::Taken));
            };
        if snapshot_first {
            take_snapshot(&mut sync, &mut model, &mut applied);
        }
        for (text, expected) in events.iter().zip(expected) {
            let Message::Depth(update) = decode(text).unwrap() else {
                panic!("the vector has no depth update")
            };
            let mut scratch = Vec::new();
            let verdict = step(
                &mut sync,
                &mut model,
                &update.diff(Product::Spot, d, &mut scratch).unwrap(),
            );
            if !snapshot_first {
                assert_eq!(verdict, DiffVerdict::Buffered);
                continue;
            }
            match expected["action"].as_str().unwrap() {
                "drop" => assert_eq!(verdict, DiffVerdict::Dropped),
                "apply" => {
                    assert_eq!(verdict, DiffVerdict::Applied);
                    applied.push(model.clone());
                }
                gap if gap.starts_with("gap") => assert_eq!(
                    verdict,
                    DiffVerdict::Gap {
                        expected: 170,
                        found: 172
                    }
                ),
                other => panic!("the vector's action '{other}' is not understood"),
            }
        }
        if !snapshot_first {
            take_snapshot(&mut sync, &mut model, &mut applied);
        }
        let tops: Vec<&Value> = expected.iter().filter(|e| e["action"] == "apply").collect();
        assert_eq!(applied.len(), tops.len());
        for (book, top) in applied.iter().zip(tops) {
            let read = |side: &str| {
                let text = |i: usize| top[side][i].as_str().unwrap();
                (
                    d.parse_price(text(0)).unwrap().0,
                    d.parse_qty(text(1)).unwrap().0,
                )
            };
            assert_eq!(
                book.bids.last_key_value().map(|(p, q)| (*p, *q)),
                Some(read("best_bid"))
            );
            assert_eq!(
                book.asks.first_key_value().map(|(p, q)| (*p, *q)),
                Some(read("best_ask"))
            );
        }
        assert_eq!(
            (model.gaps.as_slice(), model.live_id),
            ([(170, 172)].as_slice(), None)
        );
    }
}

#[test]
fn futures_follow_each_other_by_their_predecessor() {
    let (mut sync, mut model) = (
        DepthSync::new(Product::UsdMargined, InstrumentId(0)),
        Model::default(),
    );
    let one = [level(10, 1)];
    assert_eq!(
        step(&mut sync, &mut model, &diff(100, 110, 90, &one)),
        DiffVerdict::Buffered
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(115, 120, 110, &one)),
        DiffVerdict::Buffered
    );
    assert_eq!(
        snapshot(&mut sync, &mut model, 117, &[level(9, 9)]),
        SnapshotVerdict::Taken
    );
    assert_eq!(
        (sync.live_id(), model.live_id),
        (Some(120), Some(120)),
        "110 is older, 115 to 120 holds 117"
    );
    // The ids of other instruments lie between: only pu counts.
    assert_eq!(
        step(&mut sync, &mut model, &diff(500, 510, 120, &one)),
        DiffVerdict::Applied
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(500, 510, 120, &one)),
        DiffVerdict::Dropped
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(511, 520, 509, &one)),
        DiffVerdict::Gap {
            expected: 510,
            found: 509
        }
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(521, 530, 520, &one)),
        DiffVerdict::Buffered
    );
    assert_eq!(
        snapshot(&mut sync, &mut model, 500, &[]),
        SnapshotVerdict::DoesNotBridge {
            first_waiting_id: 511
        }
    );
    assert_eq!(
        snapshot(&mut sync, &mut model, 515, &[]),
        SnapshotVerdict::Taken
    );
    assert_eq!(sync.live_id(), Some(530));
    assert_eq!(
        snapshot(&mut sync, &mut model, 529, &[]),
        SnapshotVerdict::Older { live_id: 530 }
    );
    assert_eq!(model.snapshotting, 1);
}

#[test]
fn a_book_from_a_journal_goes_on_without_a_snapshot() {
    let (mut sync, mut model) = (
        DepthSync::live(Product::Spot, InstrumentId(0), 41),
        Model {
            live_id: Some(41),
            ..Model::default()
        },
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(42, 44, 0, &[level(1, 1)])),
        DiffVerdict::Applied
    );
    assert_eq!(sync.live_id(), Some(44));
}

#[test]
fn when_the_buffer_is_full_the_oldest_diff_goes_and_is_counted() {
    let (mut sync, mut model) = (
        DepthSync::new(Product::Spot, InstrumentId(0)),
        Model::default(),
    );
    for id in 1..=BUFFERED_DIFFS_MAX as u64 + 2 {
        step(&mut sync, &mut model, &diff(id, id, 0, &[]));
    }
    assert_eq!((sync.waiting(), sync.overflowed()), (BUFFERED_DIFFS_MAX, 2));
    assert_eq!(
        snapshot(&mut sync, &mut model, 1, &[]),
        SnapshotVerdict::DoesNotBridge {
            first_waiting_id: 3
        }
    );
    assert_eq!(
        snapshot(&mut sync, &mut model, 2, &[]),
        SnapshotVerdict::Taken
    );
    assert_eq!(sync.live_id(), Some(BUFFERED_DIFFS_MAX as u64 + 2));
}

#[test]
fn a_lost_connection_throws_the_book_and_the_buffer_away() {
    let (mut sync, mut model) = (
        DepthSync::live(Product::Spot, InstrumentId(0), 5),
        Model::default(),
    );
    sync.lose(StaleReason::Disconnected, &mut |event| model.take(event))
        .unwrap_or_else(|never| match never {});
    assert_eq!(
        (sync.live_id(), model.live_id, sync.waiting()),
        (None, None, 0)
    );
    assert_eq!(
        step(&mut sync, &mut model, &diff(6, 6, 5, &[])),
        DiffVerdict::Buffered
    );
}

#[derive(Clone, Debug)]
struct Item {
    /// How many ids the diff has.
    ids: u64,
    /// Ids of other instruments before it, futures only.
    skip: u64,
    price: i64,
    qty: i64,
    lost: bool,
    /// A snapshot comes after this diff, of the book so many diffs ago.
    snapshot_age: Option<usize>,
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let item = (
        1u64..4,
        0u64..3,
        1i64..6,
        0i64..4,
        prop::bool::weighted(0.1),
        prop::option::weighted(0.15, 0usize..5),
    )
        .prop_map(|(ids, skip, price, qty, lost, snapshot_age)| Item {
            ids,
            skip,
            price,
            qty,
            lost,
            snapshot_age,
        });
    prop::collection::vec(item, 1..80)
}

proptest! {
    /// Whatever is lost: a book that says it is live equals the venue's own at that id, and a delta always builds on
    /// the book that is there (the model insists). Without a loss after a snapshot taken, the book ends at the last id.
    #[test]
    fn a_live_book_is_the_venues_book(items in items(), futures: bool) {
        let product = if futures { Product::UsdMargined } else { Product::Spot };
        let (mut sync, mut model) = (DepthSync::new(product, InstrumentId(0)), Model::default());
        let mut venue: BTreeMap<i64, i64> = BTreeMap::new();
        let mut history = vec![(0u64, venue.clone())];
        let (mut last_id, mut expected_live) = (0u64, None::<u64>);
        let mut unbroken_since = 0u64;
        for item in items {
            let previous = last_id;
            let first = last_id + 1 + if futures { item.skip } else { 0 };
            last_id = first + item.ids - 1;
            if item.qty == 0 { venue.remove(&item.price); } else { venue.insert(item.price, item.qty); }
            history.push((last_id, venue.clone()));
            if item.lost {
                unbroken_since = last_id;
            } else {
                let bids = [level(item.price, item.qty)];
                step(&mut sync, &mut model, &diff(first, last_id, previous, &bids));
                expected_live = match expected_live {
                    Some(live) if live == previous => Some(last_id),
                    _ => None,
                };
            }
            if let Some(age) = item.snapshot_age {
                let (id, book) = history[history.len().saturating_sub(age + 1)].clone();
                let bids: Vec<Level> = book.iter().map(|(p, q)| level(*p, *q)).collect();
                let verdict = snapshot(&mut sync, &mut model, id, &bids);
                // Nothing between the snapshot and now was lost, so it must lead to a live book.
                if id >= unbroken_since && !matches!(verdict, SnapshotVerdict::Older { .. }) {
                    prop_assert_eq!(verdict, SnapshotVerdict::Taken);
                }
                if id >= unbroken_since { expected_live = Some(last_id.max(id)); } else { expected_live = sync.live_id(); }
            }
            prop_assert_eq!(sync.live_id(), model.live_id);
            if let Some(id) = sync.live_id() {
                let truth = history.iter().find(|(known, _)| *known == id);
                prop_assert_eq!(Some(&model.bids), truth.map(|(_, book)| book), "the book at {}", id);
            }
            if let Some(live) = expected_live
                && live == last_id
            {
                prop_assert_eq!(sync.live_id(), Some(last_id));
            }
        }
    }
}
