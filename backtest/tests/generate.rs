//! Generated days: the same seed gives the same bytes, and the engine's market takes them as they are meant.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use onetape_backtest::generate::{Scenario, stream};
use onetape_engine::event::{Event, Kind, TradingStatus};
use onetape_engine::id::Sequence;
use onetape_engine::market::{Market, Trust};
use onetape_engine::time::Nanos;
use std::collections::BTreeMap;
use std::convert::Infallible;

fn digest(seed: u64, scenario: Scenario) -> blake3::Hash {
    let (mut hasher, mut payload) = (blake3::Hasher::new(), Vec::new());
    stream(seed, 20_000, scenario, &mut |at_ns, event| {
        payload.clear();
        event.encode(&mut payload);
        hasher.update(&at_ns.to_le_bytes());
        hasher.update(&payload);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    hasher.finalize()
}

#[test]
fn a_seed_is_a_day() {
    for scenario in Scenario::ALL {
        assert_eq!(
            digest(3, scenario),
            digest(3, scenario),
            "{}",
            scenario.name()
        );
        assert_ne!(
            digest(3, scenario),
            digest(4, scenario),
            "{}",
            scenario.name()
        );
    }
}

/// Books are live and uncrossed but for the breaks that are on the tape, ids chain, stamps never go back, and every trade
/// happens at a price that was the best.
#[test]
fn the_market_takes_every_day() {
    for scenario in Scenario::ALL {
        for seed in 0..4 {
            let mut market = Market::default();
            let (mut sequence, mut last_ns, mut broken) = (0, 0, BTreeMap::new());
            let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
            stream(seed, 40_000, scenario, &mut |at_ns, event| {
                sequence += 1;
                assert!(at_ns >= last_ns, "stamps go back at {sequence}");
                last_ns = at_ns;
                *kinds.entry(event.kind()).or_default() += 1;
                if let Event::Trade(trade) = event {
                    let top = market.instrument(trade.instrument).unwrap().top().unwrap();
                    let met = [top.bid, top.ask]
                        .into_iter()
                        .find(|level| level.price == trade.price);
                    assert!(
                        met.is_some_and(|level| trade.qty <= level.qty),
                        "{} seed {seed}: {trade:?} {top:?}",
                        scenario.name()
                    );
                }
                market
                    .evolve(Sequence(sequence), Nanos(at_ns), event)
                    .unwrap();
                match event {
                    Event::FeedState(state) => *broken.entry(state.instrument).or_insert(0) += 1,
                    Event::BookSnapshot(update) => {
                        broken.remove(&update.header.instrument);
                    }
                    _ => {}
                }
                if let Event::BookDelta(update) = event {
                    let instrument = market.instrument(update.header.instrument).unwrap();
                    assert!(
                        broken.contains_key(&instrument.id())
                            || *instrument.book_trust() == Trust::Live,
                        "{} seed {seed} {}: {:?} at {sequence}",
                        scenario.name(),
                        instrument.name,
                        instrument.book_trust()
                    );
                }
                Ok::<(), Infallible>(())
            })
            .unwrap();
            if scenario == Scenario::Mixed {
                for kind in [
                    Kind::FeedState,
                    Kind::MarketStatus,
                    Kind::Resolution,
                    Kind::Trade,
                    Kind::Quote,
                ] {
                    assert!(
                        kinds.contains_key(&kind),
                        "seed {seed} has no {}",
                        kind.name()
                    );
                }
                let closed = market
                    .instruments()
                    .iter()
                    .filter(|i| i.status == TradingStatus::Closed && i.settled_at.is_some());
                assert_eq!(closed.count(), 2);
            }
        }
    }
}

/// Kalshi and Polymarket cross after fees at some moments: that is what an arbitrage is tested on.
#[test]
fn the_prediction_markets_cross_after_fees() {
    let (mut market, mut sequence, mut crossed, mut seen) = (Market::default(), 0, 0u64, 0u64);
    stream(1, 100_000, Scenario::Arbitrage, &mut |at_ns, event| {
        sequence += 1;
        market
            .evolve(Sequence(sequence), Nanos(at_ns), event)
            .unwrap();
        let find = |venue: &str| {
            market
                .instruments()
                .iter()
                .find(|i| i.definition.venue == venue)
                .and_then(|i| i.top())
        };
        if let (Some(kalshi), Some(polymarket)) = (find("kalshi"), find("polymarket")) {
            // Both fees together stay below 3 cents: 0.07 x 0.25 + 0.04 x 0.25.
            let edge = (polymarket.bid.price.0 - kalshi.ask.price.0)
                .max(kalshi.bid.price.0 - polymarket.ask.price.0);
            seen += 1;
            crossed += u64::from(edge > 300);
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert!(
        crossed > 0 && crossed < seen / 2,
        "{crossed} of {seen} moments crossed"
    );
}
