//! Market data that breaks an instrument's own rules marks what it belongs to stale with the reason; no strategy sees it,
//! and nothing panics. Prices off the grid and out of bounds: `fees::a_quote_that_breaks_the_contracts_own_rules_reaches_nobody`.
use crate::common::{MS, NOON, Rig, X, decoded, ema, market_maker};
use onetape_engine::event::{Event, StaleReason};
use onetape_engine::market::Trust;
use onetape_engine::session::SessionConfig;
use proptest::prelude::*;

/// Two strategies that act on nearly every change of a price.
fn busy() -> Rig {
    Rig::new(SessionConfig {
        strategies: vec![
            ema("e", r#"{"fast": 1, "slow": 2, "qty": "1", "retry_ms": 0}"#),
            market_maker("m", r#"{"qty": "1", "half_spread_cbps": 10000}"#),
        ],
        ..SessionConfig::default()
    })
}

fn book_trust(rig: &Rig) -> (&Trust, bool) {
    let x = rig.sequencer.market().instrument(X).unwrap();
    (x.book_trust(), x.top().is_some())
}

fn orders(rig: &Rig) -> usize {
    let frames = rig.frames().iter();
    let orders = frames.filter(|kept| matches!(decoded(kept), Event::OrderDecided(_)));
    orders.count()
}

#[test]
fn a_negative_size_a_price_of_nothing_and_a_crossed_book_are_stale_until_the_next_snapshot() {
    let (bad, crossed) = (StaleReason::BadLevel, StaleReason::Crossed);
    for (bid, reason) in [
        ((9_990, -1), &bad),
        ((0, 5), &bad),
        ((-5, 5), &bad),
        ((10_010, 5), &crossed),
        ((1_000_000, 5), &crossed),
    ] {
        let mut rig = busy();
        rig.book(NOON, &[(9_990, 100)], &[(10_010, 100)]);
        assert_eq!(book_trust(&rig), (&Trust::Live, true));
        rig.heartbeat(NOON + 10 * MS);
        let before = orders(&rig);
        let stale = Trust::Stale(reason.clone());
        rig.delta(NOON + 20 * MS, &[bid], &[]);
        assert_eq!(book_trust(&rig), (&stale, false), "{bid:?}");
        // What comes on top of it is as little to be relied on.
        rig.delta(NOON + 30 * MS, &[(9_000, 100)], &[(9_100, 100)]);
        assert_eq!(book_trust(&rig), (&stale, false), "{bid:?}");
        assert_eq!(orders(&rig), before, "{bid:?}: nobody trades on it");
        rig.book(NOON + 40 * MS, &[(9_990, 100)], &[(10_010, 100)]);
        assert_eq!(book_trust(&rig), (&Trust::Live, true));
        let mut rig = busy();
        rig.book(NOON, &[bid], &[(10_010, 100)]);
        assert_eq!(book_trust(&rig), (&stale, false), "{bid:?} in a snapshot");
        assert_eq!(orders(&rig), 0);
    }
}

/// Any number that a field can hold, and many that nearly make sense.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 9_900i64..10_100,
        2 => -10i64..200,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX, i64::MIN + 1, 0]),
    ]
}

type Levels = Vec<(i64, i64)>;

#[derive(Clone, Debug)]
enum Data {
    Quote([i64; 4]),
    Trade(i64, i64),
    Book(bool, Levels, Levels),
}

fn data() -> impl Strategy<Value = Data> {
    let levels = || prop::collection::vec((number(), number()), 0..3);
    prop_oneof![
        [number(), number(), number(), number()].prop_map(Data::Quote),
        (number(), number()).prop_map(|(price, qty)| Data::Trade(price, qty)),
        (any::<bool>(), levels(), levels())
            .prop_map(|(whole, bids, asks)| Data::Book(whole, bids, asks)),
    ]
}

proptest! {
    /// Whatever comes in: nothing panics, every input is taken, and no order follows from one that left the market stale.
    #[test]
    fn no_market_data_panics_or_reaches_a_strategy_while_stale(stream in prop::collection::vec(data(), 1..40)) {
        let mut rig = busy();
        for (step, data) in (0u64..).zip(stream) {
            let at = NOON + step * 10 * MS;
            rig.heartbeat(at);
            let before = orders(&rig);
            let taken = match data {
                Data::Quote([bid, bid_qty, ask, ask_qty]) => rig.try_quote(at, (bid, bid_qty), (ask, ask_qty)),
                Data::Trade(price, qty) => rig.try_trade(at, price, qty),
                Data::Book(whole, bids, asks) => rig.try_update(at, whole, &bids, &asks),
            };
            prop_assert!(taken.is_ok(), "{:?}", taken.err().map(|e| e.to_string()));
            let market = rig.sequencer.market();
            let x = market.instrument(X).unwrap();
            if x.top().is_none() {
                prop_assert_eq!(orders(&rig), before);
            }
            if let Some(top) = x.top() {
                let (bid, ask) = (top.bid, top.ask);
                prop_assert!(bid.qty.0 >= 0 && ask.qty.0 >= 0);
                prop_assert!(bid.qty.0 == 0 || ask.qty.0 == 0 || bid.price < ask.price);
                prop_assert!([bid, ask].iter().all(|l| l.qty.0 == 0 || l.price.0 > 0));
            }
        }
    }
}
