//! What venues do to their markets in mid-session: another grid, an early close, a settlement.
use super::outcomes::frames;
use super::*;
use onetape_backtest::generate::{Scenario, stream};
use onetape_engine::event::{
    CancelDecided, ExecutionReport, MarketStatus, Resolution, TradingRules, TradingStatus,
};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Market;
use onetape_engine::number::Price;
use onetape_engine::order::OrderState;
use onetape_engine::time::Nanos;
use onetape_journal::{Options, Tag, Writer};
use std::collections::BTreeMap;

pub(super) const KALSHI: &str = "KXHIGHNY-26JAN05-B38.5";
const POLYMARKET: &str = "btc-above-90k-jan-5-yes";
pub(super) const MINUTE_NS: u64 = 60_000_000_000;

/// What is asked about each event of a day.
type Edit<'a> = dyn FnMut(u64, &Event<'_>, &Market, &mut dyn FnMut(&Event<'_>)) + 'a;

/// The day as it is written: events pass through `edit`, which is told how far the day is and the market so far, and puts
/// what the day shall have into the last argument.
pub(super) fn edited_day(seed: u64, edit: &mut Edit<'_>) -> tempfile::TempDir {
    let keep = std::env::var_os("ONETAPE_KEEP").is_some();
    let dir = tempfile::Builder::new()
        .disable_cleanup(keep)
        .tempdir()
        .unwrap();
    let mut writer = Writer::create(&dir.path().join("day"), Options::default()).unwrap();
    let (mut market, mut start) = (Market::default(), None);
    stream(seed, 400_000, Scenario::Systems, &mut |at_ns, event| {
        let passed_ns = at_ns - *start.get_or_insert(at_ns);
        let sequence = onetape_engine::id::Sequence(1);
        market.evolve(sequence, Nanos(at_ns), event).unwrap();
        let mut payload = Vec::new();
        edit(passed_ns, event, &market, &mut |event| {
            payload.clear();
            event.encode(&mut payload);
            let tag = Tag::input(event.kind().number()).with_step_end(true);
            writer.append(tag, at_ns, &payload).unwrap();
        });
        Ok::<(), ()>(())
    })
    .unwrap();
    writer.close().unwrap();
    dir
}

pub(super) fn symbol(market: &Market, id: InstrumentId) -> &str {
    let instrument = market.instrument(id).unwrap();
    &instrument.definition.symbol
}

/// A market maker at each of the two venues whose contracts end.
fn two_makers(qty: &str) -> String {
    let token = token_id(POLYMARKET);
    let mut session = String::from("[modes]\nkalshi = \"demo\"\npolymarket = \"demo\"\n");
    for instrument in [format!("kalshi:{KALSHI}"), format!("polymarket:{token}")] {
        session += &format!(
            "[[strategy]]\nname = \"market_maker\"\nid = \"{instrument}\"\n[strategy.params]\ninstrument = \"{instrument}\"\nqty = \"{qty}\"\n"
        );
    }
    session
}

/// The two instruments on the daemon's tape.
fn ids(journal: &Path) -> (InstrumentId, InstrumentId) {
    let (recovered, token) = (recover(journal), token_id(POLYMARKET));
    let id = |name: &str| recovered.market().find(name).unwrap().id();
    (
        id(&format!("kalshi:{KALSHI}")),
        id(&format!("polymarket:{token}")),
    )
}

#[test]
fn another_grid_in_mid_session_is_on_the_tape_and_orders_keep_to_it() {
    // After ten minutes of the day Kalshi allows tenths of cents, and Polymarket, which did, whole cents only.
    let mut changed = false;
    let dir = edited_day(5, &mut |passed_ns, event, market, put| {
        put(event);
        if passed_ns < 10 * MINUTE_NS || std::mem::replace(&mut changed, true) {
            return;
        }
        for instrument in market.instruments() {
            let tick = match instrument.definition.symbol.as_str() {
                KALSHI => Price(10),
                POLYMARKET => Price(100),
                _ => continue,
            };
            put(&Event::TradingRules(TradingRules {
                tick_size: tick,
                min_price: tick,
                max_price: Price(10_000 - tick.0),
                ..instrument.rules_at(Nanos(u64::MAX)).unwrap().clone()
            }));
        }
    });
    let rig = Rig::of_day(dir, "30", "");
    rig.configure(&two_makers("10"));
    let mut daemon = rig.daemon();
    rig.until("it trades at both", |status| {
        status["open_orders"].as_u64() >= Some(2)
    });
    // The change, and ten more minutes.
    std::thread::sleep(Duration::from_secs(40));
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);

    let (kalshi, polymarket) = ids(&journal);
    let mut ticks = BTreeMap::<InstrumentId, Vec<i64>>::new();
    // Orders off whole cents: by venue, before and after the change, and those of them that the venue took.
    let mut odd = BTreeMap::<(InstrumentId, bool), u64>::new();
    let (mut odd_orders, mut taken) = (BTreeSet::new(), 0);
    let mut orders_after = BTreeMap::<InstrumentId, u64>::new();
    frames(&journal, |sequence, _, event| match event {
        Event::TradingRules(rules) => {
            let known = ticks.entry(rules.instrument).or_default();
            if known.last() != Some(&rules.tick_size.0) {
                known.push(rules.tick_size.0);
            }
        }
        Event::OrderDecided(order) => {
            let after = ticks[&order.instrument].len() > 1;
            *orders_after.entry(order.instrument).or_default() += u64::from(after);
            if order.price.0 % 100 != 0 {
                *odd.entry((order.instrument, after)).or_default() += 1;
                odd_orders.insert(sequence);
            }
        }
        Event::ExecutionReport(ExecutionReport {
            order,
            instrument,
            state: OrderState::Acked,
            ..
        }) if instrument == kalshi && odd_orders.contains(&order.0) => taken += 1,
        _ => {}
    });
    assert_eq!(ticks[&kalshi], [100, 10]);
    assert_eq!(ticks[&polymarket], [10, 100]);
    assert!(orders_after.values().all(|n| *n > 0), "{orders_after:?}");
    let odd = |id, after| odd.get(&(id, after)).copied().unwrap_or(0);
    assert_eq!(odd(kalshi, false), 0);
    assert!(odd(kalshi, true) > 0 && taken > 0, "{taken} taken");
    assert!(odd(polymarket, false) > 0);
    assert_eq!(odd(polymarket, true), 0);
}

#[test]
fn a_market_that_closes_early_is_quoted_no_more_and_pays() {
    // After twenty minutes of the day one contract closes and is settled three minutes later, and the other is resolved.
    let ends = [20 * MINUTE_NS, 23 * MINUTE_NS];
    let mut done = [false; 2];
    let dir = edited_day(5, &mut |passed_ns, event, market, put| {
        let id = event.instrument().filter(|_| passed_ns >= ends[0]);
        if !id.is_some_and(|id| [KALSHI, POLYMARKET].contains(&symbol(market, id))) {
            put(event);
        }
        for (done, at) in done.iter_mut().zip(ends) {
            if passed_ns < at || std::mem::replace(done, true) {
                continue;
            }
            let id = |symbol: &str| {
                let mut all = market.instruments().iter();
                all.find(|i| i.definition.symbol == symbol).unwrap().id()
            };
            let pays = |instrument, settlement_price| {
                Event::Resolution(Resolution {
                    instrument,
                    settlement_price,
                })
            };
            if at == ends[0] {
                put(&Event::MarketStatus(MarketStatus {
                    instrument: id(KALSHI),
                    status: TradingStatus::Closed,
                }));
                put(&pays(id(POLYMARKET), Price(0)));
            } else {
                put(&pays(id(KALSHI), Price(10_000)));
            }
        }
    });
    let rig = Rig::of_day(dir, "40", "");
    rig.configure(&two_makers("10"));
    let mut daemon = rig.daemon();
    rig.until("it holds both", |status| {
        status["positions"]
            .as_object()
            .is_some_and(|held| held.len() == 2)
    });
    rig.until("both are paid out", |status| {
        status["positions"]
            .as_object()
            .is_some_and(|held| held.is_empty())
            && status["open_orders"] == 0
    });
    // Nobody quotes them again.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);

    let (kalshi, polymarket) = ids(&journal);
    let mut ended = BTreeSet::new();
    let (mut paid, mut cancels) = (BTreeMap::new(), 0);
    frames(&journal, |sequence, _, event| match event {
        Event::MarketStatus(status) if status.status == TradingStatus::Closed => {
            ended.insert(status.instrument);
        }
        Event::Resolution(resolution) => {
            ended.insert(resolution.instrument);
            let before = paid.insert(resolution.instrument, resolution.settlement_price);
            assert_eq!(before, None, "paid once");
        }
        Event::OrderDecided(order) => {
            assert!(!ended.contains(&order.instrument), "sequence {sequence}");
        }
        Event::CancelDecided(CancelDecided { .. }) => cancels += 1,
        _ => {}
    });
    assert!(cancels > 0);
    assert_eq!(paid[&kalshi], Price(10_000));
    assert_eq!(paid[&polymarket], Price(0));
}

#[test]
fn orders_that_are_filled_in_parts_and_cancelled_leave_the_venues_own_figures() {
    // Larger than any level of the day: what reaches them fills a part.
    let rig = Rig::new("5", "40", "");
    rig.configure(&two_makers("200"));
    let mut daemon = rig.daemon();
    rig.until("it holds both", |status| {
        status["positions"]
            .as_object()
            .is_some_and(|held| held.len() == 2)
    });
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);

    let (kalshi, polymarket) = ids(&journal);
    let (mut parts, mut cancelled) = (BTreeMap::new(), BTreeMap::<InstrumentId, u64>::new());
    frames(&journal, |_, _, event| {
        if let Event::ExecutionReport(report) = event {
            match report.state {
                OrderState::PartiallyFilled => *parts.entry(report.order).or_insert(0) += 1,
                OrderState::Cancelled if parts.contains_key(&report.order) => {
                    *cancelled.entry(report.instrument).or_default() += 1;
                }
                _ => {}
            }
        }
    });
    println!("parts of orders: {parts:?}; cancelled: {cancelled:?}");
    assert!(cancelled.contains_key(&kalshi), "{parts:?}");
    assert!(cancelled.contains_key(&polymarket), "{parts:?}");
    assert!(parts.values().any(|parts| *parts > 1), "{parts:?}");
}
