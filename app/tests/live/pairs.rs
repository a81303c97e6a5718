//! `prediction_arb` on an approved pair of two venues, whose second leg goes wrong: what is held is the exchange's truth, and
//! no more than the strategy says.
use super::legs::{Story, story};
use super::markets::edited_day;
use super::relisting::add;
use super::*;
use onetape_engine::event::{Alarm, BookHeader, BookUpdate, Level};
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Market;
use onetape_engine::number::{Price, Qty};
use onetape_engine::parent::ParentState;
use rust_decimal::Decimal;

const SINGLE: &str = "KXBTCD-26JAN0517-T90000";
const YES: &str = "btc-above-90k-jan-5-yes";
const NO: &str = "btc-above-90k-jan-5-no";
/// What the thinner book shows at its best price, in shares.
const SHARES: i64 = 100;
const EVERY_NS: u64 = 5_000_000_000;

/// A day on which YES at 0.45 for 200 shares and NO at 0.50 for 100 stand for as long as nobody takes them. Far from the best
/// prices something moves every five seconds, as a book does.
fn day() -> tempfile::TempDir {
    let mut due = 0;
    edited_day(5, &mut |passed_ns, event, market, put| {
        let is_fixed = |id: InstrumentId| {
            let instrument = market.instrument(id).unwrap();
            [SINGLE, YES, NO].contains(&instrument.definition.symbol.as_str())
        };
        let is_of_market = matches!(
            event,
            Event::BookSnapshot(_)
                | Event::BookDelta(_)
                | Event::Quote(_)
                | Event::Trade(_)
                | Event::FeedState(_)
        );
        if !(is_of_market && event.instrument().is_some_and(is_fixed)) {
            put(event);
        }
        if passed_ns == 0 {
            return;
        }
        while due <= passed_ns {
            let step = (due / EVERY_NS) as i64;
            for (symbol, bid, ask, shares) in [
                (SINGLE, 40, 45, 2 * SHARES),
                (NO, 45, 50, SHARES),
                (YES, 48, 52, SHARES),
            ] {
                book(market, symbol, [bid, ask], shares, step, put);
            }
            due += EVERY_NS;
        }
    })
}

/// The whole book first, then only its lowest bid.
fn book(
    market: &Market,
    symbol: &str,
    [bid, ask]: [i64; 2],
    shares: i64,
    step: i64,
    put: &mut dyn FnMut(&Event<'_>),
) {
    let mut all = market.instruments().iter();
    let instrument = all.find(|i| i.definition.symbol == symbol).unwrap();
    let decimals = instrument.decimals();
    let level = |cents: i64, shares: i64| Level {
        price: Price(cents * 10i64.pow(decimals.price.into()) / 100),
        qty: Qty(shares * 10i64.pow(decimals.qty.into())),
    };
    let moving = level(5, 500 + step % 2);
    let (bids, asks) = if step == 0 {
        (
            vec![level(bid, 10 * SHARES), moving],
            vec![level(ask, shares), level(95, 500)],
        )
    } else {
        (vec![moving], Vec::new())
    };
    let header = BookHeader {
        instrument: instrument.id(),
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        ..BookHeader::default()
    };
    let update = BookUpdate {
        header: &header,
        bids: &bids,
        asks: &asks,
    };
    put(&match step {
        0 => Event::BookSnapshot(update),
        _ => Event::BookDelta(update),
    });
}

/// The daemon may trade once it is reconciled and the exchange does `faults`; until the order of two legs stands as it ends.
/// Its story, and what is held at the end, in shares: Kalshi's contract and Polymarket's token.
fn run(faults: &[&str], params: &str, ends: ParentState) -> (Story, [Decimal; 2]) {
    let rig = Rig::of_day(day(), "10", "");
    rig.configure(&format!(
        r#"
[modes]
kalshi = "demo"
polymarket = "demo"
[risk]
price_collar_bps = 10000
max_data_age_ms = 600000
[[strategy]]
name = "prediction_arb"
id = "pairs"
[strategy.params]
max_leg_usd = "60"
leg_deadline_ms = 120000
time_exit_h = 0
{params}
"#
    ));
    add(
        &rig,
        &[
            ("venues.kalshi", "silence_ms = 300000"),
            ("venues.polymarket", "silence_ms = 300000"),
        ],
    );
    let journal = rig.at("journal");
    ok(&[
        "import",
        "--journal",
        arg(&journal),
        arg(&rig.at("exchange/facts.toml")),
    ]);
    ok(&["halt", arg(&journal)]);
    let mut daemon = rig.daemon();
    rig.until("only the operator holds it", |status| {
        status["halts"] == serde_json::json!(["Operator"]) && status["unknown_orders"] == 0
    });
    let before = story(&journal);
    assert!(
        before.states.is_empty(),
        "halted before it began: {before:?}"
    );
    for fault in faults {
        rig.fault(fault);
    }
    ok(&["resume", arg(&journal)]);
    let began = Instant::now();
    let told = loop {
        let told = story(&journal);
        let is_called = ends != ParentState::SingleLeg || told.alarms.len() > 1;
        if told.states.last() == Some(&ends) && is_called {
            break told;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{faults:?}: {told:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    let (_dir, truth) = rig.truth();
    assert_eq!(truth["open_orders"], 0, "{truth}");
    holds_the_truth(&journal, &truth);
    println!("{faults:?}: {told:?}");
    let held = nonzero(&truth["holdings"]);
    let of = |name: String| {
        held.get(&name)
            .map_or(Decimal::ZERO, |qty| qty.parse().unwrap())
    };
    let shares = [
        of(format!("kalshi:{SINGLE}")),
        of(format!("polymarket:{}", token_id(NO))),
    ];
    // Nothing else, and no leg larger than its book or dearer than its limit.
    assert_eq!(
        held.len(),
        shares.iter().filter(|qty| !qty.is_zero()).count(),
        "{held:?}"
    );
    for qty in shares {
        assert!(
            Decimal::ZERO <= qty && qty <= Decimal::from(SHARES),
            "{held:?}"
        );
    }
    for (currency, change) in nonzero(&truth["cash_changes"]) {
        let change: Decimal = change.parse().unwrap();
        assert!(change >= Decimal::from(-60), "{currency}: {change}");
    }
    (told, shares)
}

fn is_hedged([single, token]: [Decimal; 2]) {
    assert!(
        single == token && token > Decimal::from(SHARES / 2),
        "{single} and {token}"
    );
}

const REJECTED: &str = r#"{"what": "order", "fault": {"venue": "kalshi", "kind": "rejected"}}"#;

#[test]
fn a_second_leg_that_is_refused_is_sent_again_and_the_pair_is_whole() {
    let (story, held) = run(&[REJECTED], "", ParentState::Hedged);
    is_hedged(held);
    assert!(story.states.contains(&ParentState::SingleLeg), "{story:?}");
    assert!(story.alarms.contains(&Alarm::SingleLeg), "{story:?}");
}

#[test]
fn a_second_leg_that_is_filled_in_part_is_completed_to_the_share() {
    let fault =
        r#"{"what": "order", "fault": {"venue": "kalshi", "kind": {"takes_at_most": "4"}}}"#;
    let (story, held) = run(&[fault], "", ParentState::Hedged);
    is_hedged(held);
    assert!(story.states.contains(&ParentState::SingleLeg), "{story:?}");
}

#[test]
fn a_second_leg_without_an_answer_counts_once_whether_the_venue_took_it_or_lost_it() {
    for (kind, is_taken) in [("accepted_unanswered", true), ("lost_unanswered", false)] {
        let fault =
            format!(r#"{{"what": "request", "fault": {{"venue": "kalshi", "kind": "{kind}"}}}}"#);
        let (story, held) = run(&[&fault], "", ParentState::Hedged);
        is_hedged(held);
        let again = story.states.contains(&ParentState::SingleLeg);
        assert_eq!(again, !is_taken, "{story:?}");
    }
}

#[test]
fn a_leg_that_is_refused_its_counterpart_stays_within_its_limit_and_calls() {
    let (story, [single, token]) = run(&[REJECTED], "leg_retries = 0", ParentState::SingleLeg);
    assert!(single.is_zero() && !token.is_zero(), "{single} and {token}");
    assert!(
        story.alarms.iter().all(|alarm| *alarm == Alarm::SingleLeg),
        "{story:?}"
    );
}

#[test]
fn a_leg_that_is_refused_its_counterpart_is_traded_back_where_that_is_asked_for() {
    let params = "leg_retries = 0\nauto_unwind = true\nunwind_loss_cap_pct = \"20\"";
    let (story, held) = run(&[REJECTED], params, ParentState::Closed);
    assert_eq!(held, [Decimal::ZERO; 2]);
    assert!(story.states.contains(&ParentState::Unwinding), "{story:?}");
}
