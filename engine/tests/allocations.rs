//! A tick allocates nothing: the allocator counts while the core takes steps.
#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait")]
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;
use common::{NOON, ema, encoded, fees, instrument, level, market_maker, rules};
use onetape_engine::event::{BookHeader, BookUpdate, Event, Kind, Level, Quote, SessionStart};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Price, Qty};
use onetape_engine::sequencer::{NullSink, Sequencer};
use onetape_engine::session::{SessionConfig, StrategyConfig};
use onetape_engine::time::Nanos;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Tests run on threads of their own, so each counts its own.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator as it came; counting touches a thread-local integer without a
// destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: u64 = 20_000;
const TICKS: u64 = 200_000;

struct Counted {
    /// Allocations in steps without an order.
    by_ticks: u64,
    /// Allocations in steps that placed or ended orders, and how many such steps there were.
    by_orders: (u64, u64),
    orders: u64,
}

/// Steps of 0.1 ms; `tick` writes the n-th payload into the buffer.
fn count(
    strategy: Option<StrategyConfig>,
    mut tick: impl FnMut(u64, &mut Vec<u8>) -> Kind,
) -> Counted {
    let mut sequencer = Sequencer::new(NullSink);
    let start = SessionStart {
        engine_version: "test".into(),
        logic_hash: "test".into(),
        config: SessionConfig {
            strategies: strategy.into_iter().collect(),
            state_hash_every: 0,
            ..SessionConfig::default()
        },
    };
    for event in [
        Event::SessionStart(Box::new(start)),
        instrument(0, "paper", "X"),
        Event::TradingRules(rules(0)),
        Event::FeeSchedule(Box::new(fees(0, 500, 1_000))),
    ] {
        sequencer
            .step(Nanos(NOON), event.kind().number(), &encoded(&event))
            .unwrap();
    }
    let mut payload = Vec::with_capacity(65_536);
    let mut counted = Counted {
        by_ticks: 0,
        by_orders: (0, 0),
        orders: 0,
    };
    for n in 0..WARM_UP + TICKS {
        payload.clear();
        let kind = tick(n, &mut payload);
        let (frames, before) = (sequencer.next_sequence().0, COUNT.get());
        sequencer
            .step(Nanos(NOON + n * 100_000), kind.number(), &payload)
            .unwrap();
        let allocated = COUNT.get() - before;
        if n < WARM_UP {
            continue;
        }
        if sequencer.next_sequence().0 == frames + 1 {
            counted.by_ticks += allocated;
        } else {
            counted.by_orders.0 += allocated;
            counted.by_orders.1 += 1;
        }
    }
    counted.orders = sequencer.desk().stats().orders;
    counted
}

/// A number that wanders, without a generator's state.
fn noise(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32
}

fn quote(n: u64, payload: &mut Vec<u8>) -> Kind {
    let bid = 100_000 + (noise(n / 50) % 200) as i64;
    let quote = Quote {
        instrument: InstrumentId(0),
        bid_price: Price(bid),
        bid_qty: Qty(1_000_000),
        ask_price: Price(bid + 1),
        ask_qty: Qty(1_000_000),
        ..Quote::default()
    };
    Event::Quote(&quote).encode(payload);
    Kind::Quote
}

/// A snapshot of 200 levels a side, then changes at random depths around a mid that wanders.
fn book(n: u64, payload: &mut Vec<u8>) -> Kind {
    let mid = 100_000 + (noise(n / 5_000) % 20) as i64;
    if n.is_multiple_of(5_000) {
        let side = |sign: i64| -> Vec<Level> {
            (1..=200)
                .map(|depth| level(mid + sign * depth, 1_000 + depth))
                .collect()
        };
        let (bids, asks) = (side(-1), side(1));
        let header = BookHeader {
            instrument: InstrumentId(0),
            bids: 200,
            asks: 200,
            ..BookHeader::default()
        };
        let update = BookUpdate {
            header: &header,
            bids: &bids,
            asks: &asks,
        };
        Event::BookSnapshot(update).encode(payload);
        return Kind::BookSnapshot;
    }
    let (x, buy) = (noise(n), noise(n).is_multiple_of(2));
    let depth = 2 + (x / 2 % 190) as i64;
    let change = [level(
        if buy { mid - depth } else { mid + depth },
        (x / 512 % 3_000) as i64,
    )];
    let header = BookHeader {
        instrument: InstrumentId(0),
        bids: u32::from(buy),
        asks: u32::from(!buy),
        ..BookHeader::default()
    };
    let (bids, asks): (&[Level], &[Level]) = if buy { (&change, &[]) } else { (&[], &change) };
    Event::BookDelta(BookUpdate {
        header: &header,
        bids,
        asks,
    })
    .encode(payload);
    Kind::BookDelta
}

/// Steps with orders write frames and keep orders; what they allocate is bounded.
const PER_STEP_WITH_ORDERS: u64 = 8;

fn assert_few(counted: &Counted) {
    let (allocated, steps) = counted.by_orders;
    println!(
        "{} orders, {allocated} allocations in {steps} steps with orders",
        counted.orders
    );
    assert_eq!(counted.by_ticks, 0);
    assert!(
        allocated <= steps * PER_STEP_WITH_ORDERS,
        "{allocated} in {steps} steps"
    );
}

#[test]
fn a_quote_allocates_nothing() {
    let counted = count(None, quote);
    assert_eq!((counted.by_ticks, counted.orders), (0, 0));
}

#[test]
fn a_quote_between_the_orders_of_ema_cross_allocates_nothing() {
    let counted = count(Some(ema("e", r#"{"qty": "1"}"#)), quote);
    assert!(counted.orders > 1_000);
    assert_few(&counted);
}

#[test]
fn a_book_delta_allocates_nothing() {
    let counted = count(None, book);
    assert_eq!((counted.by_ticks, counted.orders), (0, 0));
}

#[test]
fn a_book_delta_between_the_orders_of_the_market_maker_allocates_nothing() {
    let params = r#"{"half_spread_cbps": 500, "requote_cbps": 100}"#;
    let counted = count(Some(market_maker("m", params)), book);
    assert!(counted.orders > 10);
    assert_few(&counted);
}
