//! Orders of two legs whose second leg goes wrong at its venue: they end hedged, undone, or with somebody called.
use super::outcomes::frames;
use super::relisting::{add, day_with_later};
use super::*;
use onetape_engine::event::Alarm;
use onetape_engine::parent::ParentState;

const LATER: &str = "KXBTCD-26JAN0517-T91000";

/// What happened to the one order of two legs.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) states: Vec<ParentState>,
    pub(super) alarms: Vec<Alarm>,
    filled: [i64; 2],
}

/// Ten shares of a Polymarket token, and of a Kalshi contract against them; the exchange does `fault` to the second leg.
///
/// The contract opens after a minute and a half, when the daemon has long been reconciled: legs are sent at once then.
pub(super) fn rig(fault: &str, rule: &str) -> Rig {
    let copies = [("KXBTCD-26JAN0517-T90000", LATER)];
    let day = day_with_later(5, 90_000_000_000, &copies);
    let rig = Rig::of_day(day, "10", "");
    let token = token_id("btc-above-90k-jan-5-no");
    rig.configure(&format!(
        r#"
[modes]
kalshi = "demo"
polymarket = "demo"
[risk]
price_collar_bps = 10000
max_data_age_ms = 600000
[[strategy]]
name = "two_legs"
[strategy.params]
qty = "10"
deadline_ms = 120000
first = {{ instrument = "polymarket:{token}", side = "buy", limit = "0.99" }}
second = {{ instrument = "kalshi:{LATER}", side = "buy", limit = "0.99" }}
{rule}
"#
    ));
    add(
        &rig,
        &[
            ("live", "relist_every_s = 10"),
            ("venues.kalshi", &format!("awaited = [{LATER:?}]")),
        ],
    );
    rig.fault(fault);
    rig
}

/// Until the order stands as it ends; then holdings and cash are the exchange's.
fn run(fault: &str, rule: &str, ends: ParentState) -> Story {
    let rig = rig(fault, rule);
    let mut daemon = rig.daemon();
    let journal = rig.at("journal");
    rig.until("it has begun", |status| {
        status["sequence"].as_u64() > Some(0)
    });
    let began = Instant::now();
    let told = loop {
        let told = story(&journal);
        if told.states.last() == Some(&ends)
            && (ends != ParentState::SingleLeg || !told.alarms.is_empty())
        {
            break told;
        }
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{fault}: {told:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    rig.until_reconciled();
    assert_eq!(daemon.terminate(), Some(0));
    let (_dir, truth) = rig.truth();
    assert_eq!(truth["open_orders"], 0, "{truth}");
    holds_the_truth(&journal, &truth);
    let held = nonzero(&truth["holdings"]);
    match ends {
        ParentState::Hedged => {
            assert!(
                held.len() == 2 && held.values().all(|qty| qty == "10"),
                "{held:?}"
            );
        }
        ParentState::Closed => assert!(held.is_empty(), "{held:?}"),
        _ => assert_eq!(held.len(), 1, "{held:?}"),
    }
    println!("{fault}: {told:?}");
    told
}

pub(super) fn story(journal: &Path) -> Story {
    let mut story = Story::default();
    frames(journal, |_, _, event| match event {
        Event::ParentChanged(parent) => {
            if story.states.last() != Some(&parent.state) {
                story.states.push(parent.state);
            }
            story.filled = [parent.first_filled.0, parent.second_filled.0];
        }
        Event::AlarmRaised(raised) => story.alarms.push(raised.alarm),
        _ => {}
    });
    story
}

pub(super) const REJECTED: &str =
    r#"{"what": "order", "fault": {"venue": "kalshi", "kind": "rejected"}}"#;

#[test]
fn a_second_leg_that_is_refused_is_sent_again_within_its_limit() {
    let story = run(REJECTED, "retries = 3", ParentState::Hedged);
    assert!(story.states.contains(&ParentState::SingleLeg), "{story:?}");
    assert!(story.alarms.contains(&Alarm::SingleLeg), "{story:?}");
}

#[test]
fn a_second_leg_that_is_filled_in_part_is_completed() {
    let fault =
        r#"{"what": "order", "fault": {"venue": "kalshi", "kind": {"takes_at_most": "4"}}}"#;
    let story = run(fault, "retries = 3", ParentState::Hedged);
    assert!(story.states.contains(&ParentState::SingleLeg), "{story:?}");
    // Ten shares of each, in their own units.
    assert_eq!(story.filled, [10_000_000, 1_000]);
}

#[test]
fn a_leg_without_a_counterpart_is_traded_back_where_that_is_asked_for() {
    let rule = "unwind = true\nunwind_loss_cap = \"10\"\nunwind_after_ms = 100";
    let story = run(REJECTED, rule, ParentState::Closed);
    assert!(story.states.contains(&ParentState::Unwinding), "{story:?}");
}

#[test]
fn a_leg_without_a_counterpart_calls_somebody_and_stays() {
    let story = run(REJECTED, "", ParentState::SingleLeg);
    assert!(story.alarms.contains(&Alarm::SingleLeg), "{story:?}");
}

#[test]
fn a_second_leg_whose_answer_never_comes_ends_as_the_venue_has_it() {
    for (kind, is_taken) in [("accepted_unanswered", true), ("lost_unanswered", false)] {
        let fault =
            format!(r#"{{"what": "request", "fault": {{"venue": "kalshi", "kind": "{kind}"}}}}"#);
        let story = run(&fault, "retries = 3", ParentState::Hedged);
        // What the venue has is not sent again; what it never had is.
        let again = story.states.contains(&ParentState::SingleLeg);
        assert_eq!(again, !is_taken, "{story:?}");
    }
}
