//! Replay of generated days through books, strategies and the paper venue; each run checks its own order count.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros; a benchmark that can't run has no figure"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use onetape_backtest::generate::Scenario;
use onetape_benches::{day, replay, session};
use onetape_engine::strategy::StrategyParams;

const EVENTS: u64 = 200_000;

fn replays(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut group = c.benchmark_group("replay");
    group
        .throughput(Throughput::Elements(EVENTS))
        .sample_size(20);
    for (name, scenario, strategy) in [
        ("quotes, do-nothing", Scenario::Quotes, None),
        ("quotes, ema_cross", Scenario::Quotes, Some("ema_cross")),
        ("depth, do-nothing", Scenario::Depth, None),
        ("depth, market_maker", Scenario::Depth, Some("market_maker")),
        ("mixed, market_maker", Scenario::Mixed, Some("market_maker")),
    ] {
        let journal = day(dir.path(), scenario, EVENTS);
        let config = session(strategy.and_then(StrategyParams::named));
        let orders = replay(&journal, &config, u64::MAX).orders;
        assert_eq!(orders > 0, strategy.is_some(), "{name}: {orders} orders");
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(replay(&journal, &config, u64::MAX).orders, orders));
        });
    }
    group.finish();
}

criterion_group!(benches, replays);
criterion_main!(benches);
