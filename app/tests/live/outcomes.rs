//! Outcomes that nobody told, and feeds that say nothing: exposure is held at the worst case until it is known, and
//! quotes are pulled.
use super::*;
use onetape_engine::event::{CancelDecided, ExecutionReport, FeedCondition, OrderDecided};
use onetape_engine::id::{InstrumentId, OrderId};
use onetape_engine::order::OrderState;
use std::collections::BTreeMap;

/// A market maker on Binance, trading.
fn rig(seed: &str, more: &str) -> (Rig, Process) {
    let rig = Rig::new(seed, "20", "");
    rig.configure(
        "[modes]\nbinance = \"demo\"\n[[strategy]]\nname = \"market_maker\"\n[strategy.params]\ninstrument = \"binance:BTCUSDT\"\nqty = \"0.001\"\n",
    );
    let text = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    let text = text.replace("[venues.binance]\n", &format!("[venues.binance]\n{more}\n"));
    std::fs::write(rig.at("run.toml"), text).unwrap();
    let daemon = rig.daemon();
    rig.until("it trades", |status| {
        status["open_orders"].as_u64() > Some(0)
    });
    (rig, daemon)
}

/// The frames of a journal that a test asks about.
pub(super) fn frames(journal: &Path, mut look: impl FnMut(u64, u64, Event<'_>)) {
    let mut reader = Reader::open(journal).unwrap();
    while let Some(frame) = reader.next().unwrap() {
        let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
        look(frame.sequence, frame.timestamp_ns, event);
    }
}

#[test]
fn an_order_whose_answer_never_comes_ends_as_the_venue_has_it() {
    let (rig, mut daemon) = rig("9", "");
    for kind in ["accepted_unanswered", "lost_unanswered"] {
        let fault =
            format!(r#"{{"what": "request", "fault": {{"venue": "binance", "kind": "{kind}"}}}}"#);
        for _ in 0..3 {
            rig.fault(&fault);
        }
        if kind == "lost_unanswered" {
            rig.until("an outcome is unknown", |status| {
                status["unknown_orders"] != 0
            });
        } else {
            // What the venue took its own stream tells, long before the answer is given up.
            std::thread::sleep(Duration::from_secs(7));
        }
        rig.until("it is known", |status| status["unknown_orders"] == 0);
    }
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);
    // While one was unknown its instrument took no new order.
    let mut unknown = BTreeMap::<OrderId, InstrumentId>::new();
    let (mut met, mut gone) = (0, 0);
    frames(&journal, |sequence, _, event| match event {
        Event::ExecutionReport(ExecutionReport {
            order,
            instrument,
            state,
            ..
        }) => {
            if state == OrderState::Unknown {
                met += 1;
                unknown.insert(order, instrument);
            } else if unknown.remove(&order).is_some() && state.is_final() {
                gone += 1;
            }
        }
        Event::OrderDecided(OrderDecided { instrument, .. }) => {
            assert!(
                !unknown.values().any(|of| *of == instrument),
                "sequence {sequence}"
            );
        }
        _ => {}
    });
    assert!(met >= 1 && gone >= 1, "{met} unknown, {gone} of them gone");
    assert!(unknown.is_empty());
}

#[test]
fn a_silent_feed_is_stale_within_its_limit_and_quotes_are_pulled() {
    // A minute of the day in three seconds; pings are answered all the while.
    let (rig, mut daemon) = rig("10", "silence_ms = 60000");
    rig.fault(r#"{"what": "socket", "fault": {"venue": "binance", "kind": {"freeze": 20000}}}"#);
    rig.until("the market is not trusted", |status| {
        status["feeds"]["binance:BTCUSDT"] == 0
    });
    rig.until("quotes are pulled", |status| status["open_orders"] == 0);
    rig.until("it quotes again", |status| {
        status["open_orders"].as_u64() > Some(0)
    });
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_the_truth(&journal, &truth);
    let (mut bitcoin, mut last_heard, mut stale, mut pulled) = (None, 0, None, None);
    frames(&journal, |_, at, event| match event {
        Event::InstrumentDefined(defined) if defined.symbol == "BTCUSDT" => {
            bitcoin = Some(defined.instrument);
        }
        Event::BookDelta(_) | Event::BookSnapshot(_)
            if stale.is_none() && event.instrument() == bitcoin =>
        {
            last_heard = at;
        }

        Event::FeedState(ref feed)
            if matches!(feed.condition, FeedCondition::Stale(_))
                && Some(feed.instrument) == bitcoin
                && last_heard > 0 =>
        {
            stale.get_or_insert(at);
        }
        Event::CancelDecided(CancelDecided { .. }) if stale.is_some() => {
            pulled.get_or_insert(at);
        }
        _ => {}
    });
    let (stale, pulled) = (stale.unwrap(), pulled.unwrap());
    // The limit, and how often it is looked at, which is at this speed up to 5 s of the day.
    let silent_ns = stale - last_heard;
    assert!(
        (55_000_000_000..75_000_000_000).contains(&silent_ns),
        "{silent_ns}"
    );
    // Best prices and book fall silent apart from each other, and quotes stand while one of them is trusted.
    let after_ns = pulled - stale;
    assert!(after_ns < 10_000_000_000, "{after_ns}");
}
