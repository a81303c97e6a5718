use super::*;
use onetape_engine::id::OrderId;
use onetape_engine::number::{Decimals, Price, Qty};

fn contracts() -> Contracts {
    Contracts::new([Contract {
        listed: Listed {
            instrument: InstrumentId(3),
            symbol: "AAPL".into(),
            decimals: Decimals::new(4, 2).unwrap(),
        },
        symbol: "AAPL".into(),
        currency: "USD".into(),
        exchange: "SMART".into(),
        primary_exchange: "NASDAQ".into(),
    }])
}

fn order(side: Side, order_type: OrderType, price: i64, client_id: &str) -> NewOrder<'_> {
    NewOrder {
        order: OrderId(1),
        client_id,
        instrument: InstrumentId(3),
        side,
        order_type,
        time_in_force: TimeInForce::GoodTillCancel,
        price: Price(price),
        worst_price: Price(0),
        qty: Qty(1_000),
        decided_at: Nanos(0),
    }
}

#[test]
fn a_bracket_is_transmitted_with_its_last_order() {
    let group = [
        order(Side::Buy, OrderType::Limit, 2_273_100, "s-1"),
        order(Side::Sell, OrderType::Limit, 2_400_000, "s-2"),
        order(Side::Sell, OrderType::Stop, 2_200_500, "s-3"),
    ];
    let oca = Oca {
        own: Some("s-1-g"),
        children: Some("s-1-x"),
    };
    let requests = orders(&group, oca, &contracts(), "DU1", 90).unwrap();
    let seen: Vec<_> = requests
        .iter()
        .map(|request| {
            let order = request.order.as_ref().unwrap();
            (
                request.order_id,
                order.parent_id,
                order.transmit,
                order.lmt_price,
                order.aux_price,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some(90), None, Some(false), Some(227.31), None),
            (Some(91), Some(90), Some(false), Some(240.0), None),
            (Some(92), Some(90), Some(true), None, Some(220.05)),
        ]
    );
    let parent = requests[0].order.as_ref().unwrap();
    assert_eq!(parent.total_quantity.as_deref(), Some("10"));
    assert_eq!(parent.order_ref.as_deref(), Some("s-1"));
    assert_eq!(parent.tif.as_deref(), Some("GTC"));
    // Each of a group without a parent goes by itself; what fills of one is taken from the others, one being routed at a time.
    let groups = requests.iter().map(|request| {
        let order = request.order.as_ref().unwrap();
        (order.oca_group.as_deref(), order.oca_type)
    });
    assert_eq!(
        groups.collect::<Vec<_>>(),
        [
            (Some("s-1-g"), Some(2)),
            (Some("s-1-x"), Some(2)),
            (Some("s-1-x"), Some(2))
        ]
    );
    let alone = orders(&group[..1], oca, &contracts(), "DU1", 90).unwrap();
    assert_eq!(alone[0].order.as_ref().unwrap().transmit, Some(true));
}

#[test]
fn what_the_broker_does_not_have_is_refused_before_anything_is_sent() {
    let contracts = contracts();
    let good = order(Side::Buy, OrderType::Limit, 1, "s-1");
    let refused =
        |group: &[NewOrder<'_>]| orders(group, Oca::default(), &contracts, "DU1", 1).is_err();
    assert!(!refused(core::slice::from_ref(&good)));
    assert!(refused(&[]));
    let same_side = order(Side::Buy, OrderType::Stop, 1, "s-2");
    assert!(refused(&[good.clone(), same_side]));
    for bad in [
        NewOrder {
            time_in_force: TimeInForce::PostOnly,
            ..good.clone()
        },
        NewOrder {
            instrument: InstrumentId(9),
            ..good.clone()
        },
        NewOrder {
            price: Price(0),
            ..good.clone()
        },
        NewOrder {
            qty: Qty(0),
            ..good.clone()
        },
        NewOrder {
            order_type: OrderType::Stop,
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..good.clone()
        },
    ] {
        assert!(refused(&[bad]));
    }
    assert!(
        orders(
            &[good.clone(), order(Side::Sell, OrderType::Stop, 1, "x")],
            Oca::default(),
            &contracts,
            "DU1",
            i32::MAX
        )
        .is_err()
    );
}

#[test]
fn paper_never_reaches_a_real_account() {
    let paper = Config::paper("DU1", 7);
    let at = |mode, host: &str, port| Config {
        mode,
        host: host.into(),
        port,
        ..paper.clone()
    };
    for (mode, host, port, is_taken) in [
        (Mode::Paper, "127.0.0.1", 4002, true),
        (Mode::Paper, "127.0.0.1", 7497, true),
        (Mode::Paper, "127.0.0.1", 4001, false),
        (Mode::Paper, "127.0.0.1", 7496, false),
        (Mode::Paper, "127.0.0.1", 50_000, false),
        (Mode::Live, "127.0.0.1", 4001, true),
        (Mode::Live, "127.0.0.1", 4002, false),
        (Mode::StandIn, "127.0.0.1", 50_000, true),
        (Mode::StandIn, "localhost", 50_000, true),
        (Mode::StandIn, "127.0.0.1", 4001, false),
        (Mode::StandIn, "192.0.2.1", 50_000, false),
        (Mode::StandIn, "example.org", 50_000, false),
    ] {
        assert_eq!(
            at(mode, host, port).check().is_ok(),
            is_taken,
            "{mode:?} {host}:{port}"
        );
    }
    let own = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert!(paper.check_accounts(&own(&["DU1"])).is_ok());
    assert!(paper.check_accounts(&own(&["DU2"])).is_err());
    assert!(paper.check_accounts(&own(&["DU1", "U2"])).is_err());
    assert!(
        at(Mode::Live, "127.0.0.1", 4001)
            .check_accounts(&own(&["DU1", "U2"]))
            .is_ok()
    );
}

#[test]
fn attempts_are_ever_further_apart_up_to_a_limit() {
    let config = Config::paper("DU1", 7);
    let waits: Vec<u64> = (0..7).map(|attempt| config.wait_ms(attempt)).collect();
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert_eq!(config.wait_ms(u32::MAX), 30_000);
}
