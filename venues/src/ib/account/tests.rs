use super::*;
use crate::gateway::Listed;
use crate::ib::Contract;
use onetape_engine::id::OrderId;
use onetape_engine::number::{Decimals, Price};
use onetape_engine::order::{OrderType, TimeInForce};

const S: u64 = 1_000_000_000;

fn account() -> Account {
    Account::new(Contracts::new([Contract {
        listed: Listed {
            instrument: InstrumentId(3),
            symbol: "AAPL".into(),
            decimals: Decimals::new(4, 2).unwrap(),
        },
        symbol: "AAPL".into(),
        currency: "USD".into(),
        exchange: "SMART".into(),
        primary_exchange: "NASDAQ".into(),
    }]))
}

fn with_order() -> Account {
    let mut account = account();
    let order = NewOrder {
        order: OrderId(1),
        client_id: "s-1",
        instrument: InstrumentId(3),
        side: Side::Buy,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(2_273_100),
        worst_price: Price(0),
        qty: Qty(1_000),
        decided_at: Nanos(0),
    };
    account.placing(91, &order);
    account
}

fn short(fact: &AccountFact) -> String {
    match fact {
        AccountFact::Order(it) => {
            let filled = it.filled.map_or(-1, |qty| qty.0);
            format!(
                "{} {} {filled} {}",
                it.key.client_id.as_deref().unwrap_or("?"),
                it.state.name(),
                it.why
            )
            .trim()
            .to_owned()
        }
        AccountFact::Fill(it) => {
            let fee = it.fee.map_or("?".to_owned(), |fee| fee.to_string());
            format!("fill {} {}@{} fee {fee}", it.fill_id, it.qty.0, it.price.0)
        }
        AccountFact::FillReversed { fill_id, .. } => format!("reversed {fill_id}"),
        other => format!("{other:?}"),
    }
}

fn told(
    account: &mut Account,
    tell: impl FnOnce(&mut Account, &mut Vec<AccountFact>),
) -> Vec<String> {
    let mut facts = Vec::new();
    tell(account, &mut facts);
    facts.iter().map(short).collect()
}

fn status(account: &mut Account, status: &str, filled: i64) -> Vec<String> {
    let status = Status {
        order_id: 91,
        status: status.into(),
        filled: filled.into(),
    };
    told(account, |account, out| account.status(&status, out))
}

fn execution(exec_id: &str, qty: i64, cumulative: i64) -> Execution {
    Execution {
        order_id: 91,
        order_ref: "s-1".into(),
        exec_id: exec_id.into(),
        symbol: "AAPL".into(),
        currency: "USD".into(),
        side: Side::Buy,
        price: Decimal::new(22_730, 2),
        qty: qty.into(),
        cumulative: cumulative.into(),
        liquidity: 2,
        time: "20261121 09:30:00 US/Eastern".into(),
    }
}

fn execute(
    account: &mut Account,
    exec_id: &str,
    qty: i64,
    cumulative: i64,
    now: Nanos,
) -> Vec<String> {
    let execution = execution(exec_id, qty, cumulative);
    told(account, |account, out| {
        account.execution(&execution, now, out).unwrap()
    })
}

fn fee(account: &mut Account, exec_id: &str, fee: &str, currency: &str) -> Vec<String> {
    let commission = Commission {
        exec_id: exec_id.into(),
        fee: fee.parse().ok(),
        currency: currency.into(),
    };
    told(account, |account, out| account.commission(&commission, out))
}

fn notices(account: &mut Account, order_id: Option<i32>, code: i32) -> Vec<String> {
    let mut events = Vec::new();
    account.notice(order_id, code, "words", &mut events);
    let short = |event: &BrokerEvent| match event {
        BrokerEvent::Fact(fact) => short(fact),
        other => format!("{other:?}"),
    };
    events.iter().map(short).collect()
}

#[test]
fn a_repeated_status_says_nothing_and_a_skipped_one_is_not_missed() {
    let mut account = with_order();
    assert!(status(&mut account, "PendingSubmit", 0).is_empty());
    assert_eq!(status(&mut account, "PreSubmitted", 0), ["s-1 acked 0"]);
    assert!(status(&mut account, "Submitted", 0).is_empty());
    assert_eq!(
        status(&mut account, "Submitted", 4),
        ["s-1 partially_filled 400"]
    );
    assert!(status(&mut account, "Submitted", 4).is_empty());
    assert!(status(&mut account, "PendingCancel", 4).is_empty());
    // No status says "Filled": the executions do.
    let mut account = with_order();
    assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
    assert_eq!(
        execute(&mut account, "e2.01", 6, 10, Nanos(0)),
        ["s-1 filled 1000"]
    );
    assert!(status(&mut account, "Filled", 10).is_empty());
    assert!(status(&mut account, "Submitted", 4).is_empty());
}

#[test]
fn a_fill_is_told_with_its_fee_once_however_often_it_is_repeated() {
    let mut account = with_order();
    assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
    assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
    assert_eq!(
        fee(&mut account, "e1.01", "1.05", "USD"),
        ["fill e1.01 400@2273000 fee 1.05"]
    );
    assert!(execute(&mut account, "e1.01", 4, 4, Nanos(0)).is_empty());
    assert!(fee(&mut account, "e1.01", "1.05", "USD").is_empty());
    assert!(told(&mut account, |account, out| account.tick(Nanos(9 * S), out)).is_empty());
    // The fee first; a fee in another currency.
    assert!(fee(&mut account, "e2.01", "2", "USD").is_empty());
    assert_eq!(
        execute(&mut account, "e2.01", 1, 5, Nanos(0)),
        ["fill e2.01 100@2273000 fee 2"]
    );
    execute(&mut account, "e3.01", 1, 6, Nanos(0));
    assert_eq!(
        fee(&mut account, "e3.01", "2", "EUR"),
        ["fill e3.01 100@2273000 fee ?"]
    );
}

#[test]
fn a_fee_that_does_not_come_holds_nothing_up_and_repeats_the_fill_when_it_does() {
    let mut account = with_order();
    execute(&mut account, "e1.01", 4, 4, Nanos(S));
    assert_eq!(account.due(), Some(Nanos(3 * S)));
    assert!(
        told(&mut account, |account, out| account
            .tick(Nanos(3 * S - 1), out))
        .is_empty()
    );
    let late = told(&mut account, |account, out| account.tick(Nanos(3 * S), out));
    assert_eq!(late, ["fill e1.01 400@2273000 fee ?"]);
    assert_eq!(account.due(), None);
    assert_eq!(
        fee(&mut account, "e1.01", "1", "USD"),
        ["fill e1.01 400@2273000 fee 1"]
    );
}

#[test]
fn a_fill_that_the_decimals_can_not_hold_is_never_passed_over() {
    let mut account = with_order();
    let odd = Execution {
        price: Decimal::new(22_730_005, 5),
        ..execution("e1.01", 4, 4)
    };
    let mut out = Vec::new();
    let error = account.execution(&odd, Nanos(0), &mut out).unwrap_err();
    assert!(
        error.to_string().contains("'price' of AAPL is 227.30005"),
        "{error}"
    );
    assert!(
        account
            .fills(core::slice::from_ref(&odd), &[], Nanos(0), &mut out)
            .is_err()
    );
    assert!(out.is_empty());
    let foreign = Execution {
        symbol: "TSLA".into(),
        ..odd
    };
    assert_eq!(account.execution(&foreign, Nanos(0), &mut out), Ok(()));
}

#[test]
fn a_correction_reverses_what_it_corrects() {
    let mut account = with_order();
    execute(&mut account, "0001f4e8.6.01", 4, 4, Nanos(0));
    fee(&mut account, "0001f4e8.6.01", "1", "USD");
    assert_eq!(
        execute(&mut account, "0001f4e8.6.02", 3, 3, Nanos(0)),
        ["reversed 0001f4e8.6.01"]
    );
    assert_eq!(
        fee(&mut account, "0001f4e8.6.02", "1", "USD"),
        ["fill 0001f4e8.6.02 300@2273000 fee 1"]
    );
}

#[test]
fn only_what_can_be_nothing_else_is_a_rejection() {
    let mut account = with_order();
    assert_eq!(
        notices(&mut account, Some(91), 201),
        ["s-1 rejected -1 201 words"]
    );
    assert!(status(&mut account, "Inactive", 0).is_empty());
    // What was taken once can only be ended.
    let mut account = with_order();
    status(&mut account, "PreSubmitted", 0);
    assert_eq!(
        notices(&mut account, Some(91), 201),
        ["s-1 cancelled 0 201 words"]
    );
    let mut account = with_order();
    assert_eq!(status(&mut account, "Inactive", 0), ["s-1 rejected 0"]);
    let mut account = with_order();
    status(&mut account, "Submitted", 4);
    assert_eq!(
        notices(&mut account, Some(91), 202),
        ["s-1 cancelled 400 202 words"]
    );
    assert!(status(&mut account, "Cancelled", 4).is_empty());
    // A fill that was on its way is a fact all the same.
    execute(&mut account, "e1.01", 1, 5, Nanos(0));
    assert_eq!(fee(&mut account, "e1.01", "1", "USD").len(), 1);
    let mut account = with_order();
    for code in [103, 404] {
        let seen = notices(&mut account, Some(91), code);
        assert_eq!((seen.len(), seen[1].as_str()), (2, "Resync"), "{code}");
    }
    // A cancel that lost the race: the order's own look-up follows every cancel.
    for code in [161, 10_147, 10_148] {
        assert_eq!(notices(&mut account, Some(91), code).len(), 1, "{code}");
    }
}

#[test]
fn notices_end_nothing_and_a_way_back_is_looked_up() {
    let mut account = with_order();
    for code in [2_103, 2_104, 2_105, 2_158, 10_182, 399] {
        for id in [None, Some(91)] {
            let seen = notices(&mut account, id, code);
            assert_eq!(
                seen,
                [format!("Notice {{ code: {code}, message: \"words\" }}")]
            );
        }
    }
    assert_eq!(
        notices(&mut account, None, 1_100),
        ["Lost { why: \"words\" }"]
    );
    assert_eq!(
        notices(&mut account, None, 1_101),
        ["Restored { keeps_data: false }", "Resync"]
    );
    assert_eq!(
        notices(&mut account, None, 1_102),
        ["Restored { keeps_data: true }", "Resync"]
    );
}

#[test]
fn orders_of_an_earlier_run_are_known_by_our_name_for_them() {
    let mut account = account();
    let open = |status: &str, order_ref: &str| OpenOrder {
        order_id: 88,
        order_ref: order_ref.into(),
        symbol: "AAPL".into(),
        currency: "USD".into(),
        qty: 10.into(),
        status: status.into(),
        why: String::new(),
    };
    let tell = |account: &mut Account, order: OpenOrder| {
        told(account, |account, out| account.open_orders(&[order], out))
    };
    assert!(tell(&mut account, open("Submitted", "")).is_empty());
    assert_eq!(
        tell(&mut account, open("Submitted", "s-0")),
        ["s-0 acked -1"]
    );
    // An answer says it again; told on its own it would be no news.
    assert_eq!(
        tell(&mut account, open("Submitted", "s-0")),
        ["s-0 acked -1"]
    );
    assert!(
        told(&mut account, |account, out| account
            .open_order(&open("Submitted", "s-0"), out))
        .is_empty()
    );
    assert_eq!(account.order_id("s-0"), Some(88));
    let foreign = OpenOrder {
        symbol: "TSLA".into(),
        order_id: 89,
        ..open("Submitted", "x")
    };
    assert!(tell(&mut account, foreign).is_empty());
}

#[test]
fn an_answer_tells_every_fill_with_the_fee_that_came_with_it() {
    let mut account = with_order();
    execute(&mut account, "e1.01", 4, 4, Nanos(0));
    let executions = [execution("e1.01", 4, 4), execution("e2.01", 6, 10)];
    let fees = [Commission {
        exec_id: "e2.01".into(),
        fee: Some(Decimal::ONE),
        currency: "USD".into(),
    }];
    for news in [&["s-1 filled 1000"][..], &[]] {
        let mut expected = vec!["fill e1.01 400@2273000 fee ?"];
        expected.extend(news);
        expected.push("fill e2.01 600@2273000 fee 1");
        let seen = told(&mut account, |account, out| {
            account.fills(&executions, &fees, Nanos(0), out).unwrap()
        });
        assert_eq!(seen, expected);
    }
    assert!(
        told(&mut account, |account, out| account
            .tick(Nanos(99 * S), out))
        .is_empty()
    );
    assert_eq!(
        fee(&mut account, "e1.01", "3", "USD"),
        ["fill e1.01 400@2273000 fee 3"]
    );
}

#[test]
fn a_position_that_is_not_listed_is_none() {
    let mut account = account();
    let seen = told(&mut account, |account, out| {
        account.positions(&[], out).unwrap()
    });
    assert_eq!(
        seen,
        ["Holding(Holding { instrument: InstrumentId(3), qty: Qty(0) })"]
    );
    let own = ("AAPL".to_owned(), "USD".to_owned(), Decimal::from(-5));
    let foreign = ("TSLA".to_owned(), "USD".to_owned(), Decimal::from(7));
    let seen = told(&mut account, |account, out| {
        account.positions(&[own, foreign], out).unwrap()
    });
    assert_eq!(
        seen,
        ["Holding(Holding { instrument: InstrumentId(3), qty: Qty(-500) })"]
    );
}

#[test]
fn a_position_that_the_decimals_can_not_hold_is_no_answer() {
    let part = ("AAPL".to_owned(), "USD".to_owned(), Decimal::new(10_005, 3));
    assert!(account().positions(&[part], &mut Vec::new()).is_err());
}

#[test]
fn times_have_a_zone_or_are_none() {
    let at = |text: &str| execution_time(text).map(|at| at.0 / S);
    let expected = Some(1_795_271_400);
    assert_eq!(at("20261121 09:30:00 US/Eastern"), expected);
    assert_eq!(at("20261121  09:30:00 America/New_York"), expected);
    assert_eq!(at("20261121-14:30:00"), expected);
    for bad in [
        "",
        "20261121 09:30:00",
        "20261121 09:30:00 Moon/Base",
        "2026112é 09:30:00 UTC",
        "20261321-09:30:00",
    ] {
        assert_eq!(at(bad), None, "{bad}");
    }
}

#[test]
fn a_double_is_the_number_that_it_was_written_for() {
    for text in ["227.31", "0.0001", "182.345", "-1.5", "0"] {
        assert_eq!(decimal(text.parse().unwrap()), text.parse().ok(), "{text}");
    }
    for unset in [f64::MAX, f64::NAN, f64::INFINITY] {
        assert_eq!(decimal(unset), None);
    }
}
