//! Markets that open while the daemon runs, and what venues change about those that are there.
use super::markets::{KALSHI, MINUTE_NS, edited_day, symbol};
use super::outcomes::frames;
use super::*;
use onetape_engine::event::{
    BookHeader, BookUpdate, ContractTerms, FeedState, InstrumentDefined, Kind, Level, MarketStatus,
    OperatorAction, Resolution, Trade, TradingRules, TradingStatus,
};
use onetape_engine::fees::FeeFormula;
use onetape_engine::id::InstrumentId;
use onetape_engine::market::Market;
use onetape_engine::number::{Money, Price, Qty};
use onetape_engine::order::Side;
use onetape_engine::time::Nanos;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// A day in which copies of some markets open later: named here by the market and its copy, and by when.
pub(super) fn day_with_later(seed: u64, at_ns: u64, copies: &[(&str, &str)]) -> tempfile::TempDir {
    let mut terms = BTreeMap::<InstrumentId, ContractTerms>::new();
    let mut opened = false;
    edited_day(seed, &mut |passed_ns, event, market, put| {
        put(event);
        if let Event::ContractTerms(of) = event {
            terms.insert(of.instrument, (**of).clone());
        }
        if passed_ns < at_ns {
            return;
        }
        let is_first = !std::mem::replace(&mut opened, true);
        for (place, (of, copy)) in copies.iter().enumerate() {
            let mut all = market.instruments().iter();
            let of = all.find(|i| i.definition.symbol == *of).unwrap().id();
            let id = InstrumentId((market.instruments().len() + place) as u32);
            if is_first {
                open(market, of, id, copy, terms.get(&of), put);
            } else if event.instrument() == Some(of) {
                retell(event, id, put);
            }
        }
    })
}

fn open(
    market: &Market,
    of: InstrumentId,
    id: InstrumentId,
    copy: &str,
    terms: Option<&ContractTerms>,
    put: &mut dyn FnMut(&Event<'_>),
) {
    let of = market.instrument(of).unwrap();
    put(&Event::InstrumentDefined(Box::new(InstrumentDefined {
        instrument: id,
        symbol: copy.to_owned(),
        // Another coin for the same money, or the same contract under another name.
        base: match copy.strip_suffix(&of.definition.quote) {
            Some(coin) => coin.to_owned(),
            None => of.definition.base.clone(),
        },
        ..of.definition.clone()
    })));
    let (rules, fees) = (of.rules_at(Nanos(u64::MAX)), of.fees_at(Nanos(u64::MAX)));
    put(&Event::TradingRules(TradingRules {
        instrument: id,
        ..rules.unwrap().clone()
    }));
    let mut fees = fees.unwrap().clone();
    fees.instrument = id;
    put(&Event::FeeSchedule(Box::new(fees)));
    if let Some(terms) = terms {
        put(&Event::ContractTerms(Box::new(ContractTerms {
            instrument: id,
            ..terms.clone()
        })));
    }
    let levels = |side| -> Vec<Level> { of.book().unwrap().side(side).levels().collect() };
    let (bids, asks) = (levels(Side::Buy), levels(Side::Sell));
    let header = BookHeader {
        instrument: id,
        bids: bids.len() as u32,
        asks: asks.len() as u32,
        ..BookHeader::default()
    };
    put(&Event::BookSnapshot(BookUpdate {
        header: &header,
        bids: &bids,
        asks: &asks,
    }));
}

/// The same of the copy.
fn retell(event: &Event<'_>, id: InstrumentId, put: &mut dyn FnMut(&Event<'_>)) {
    match event {
        Event::BookDelta(update) | Event::BookSnapshot(update) => {
            let header = BookHeader {
                instrument: id,
                // The copy's book began by itself.
                first_id: 0,
                last_id: 0,
                previous_id: 0,
                ..*update.header
            };
            let update = BookUpdate {
                header: &header,
                ..*update
            };
            put(&match event {
                Event::BookDelta(_) => Event::BookDelta(update),
                _ => Event::BookSnapshot(update),
            });
        }
        Event::Trade(trade) => put(&Event::Trade(&Trade {
            instrument: id,
            ..**trade
        })),
        Event::FeedState(state) => put(&Event::FeedState(Box::new(FeedState {
            instrument: id,
            ..(**state).clone()
        }))),
        _ => {}
    }
}

/// Adds lines to sections of a daemon's configuration.
pub(super) fn add(rig: &Rig, lines: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    for (section, line) in lines {
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "{section}");
        text = text.replace(&head, &format!("{head}{line}\n"));
    }
    std::fs::write(rig.at("run.toml"), text).unwrap();
}

const SERIES_COPY: &str = "KXHIGHNY-26JAN05-B40.5";
const AWAITED_COPY: &str = "KXBTCD-26JAN0517-T91000";
const TOKEN_COPY: &str = "btc-above-91k-jan-5-yes";

#[test]
fn markets_that_open_in_mid_session_are_traded_without_a_restart() {
    let copies = [
        (KALSHI, SERIES_COPY),
        ("KXBTCD-26JAN0517-T90000", AWAITED_COPY),
        ("btc-above-90k-jan-5-yes", TOKEN_COPY),
    ];
    let rig = Rig::of_day(day_with_later(5, 6 * MINUTE_NS, &copies), "20", "");
    let token = token_id(TOKEN_COPY);
    let mut session = String::from("[modes]\nkalshi = \"demo\"\npolymarket = \"demo\"\n");
    let makers = [
        format!("kalshi:{KALSHI}"),
        format!("kalshi:{AWAITED_COPY}"),
        format!("polymarket:{token}"),
    ];
    for maker in &makers {
        session += &format!(
            "[[strategy]]\nname = \"market_maker\"\nid = \"{maker}\"\n[strategy.params]\ninstrument = \"{maker}\"\nqty = \"10\"\n"
        );
    }
    rig.configure(&session);
    add(
        &rig,
        &[
            ("live", "relist_every_s = 20"),
            (
                "venues.kalshi",
                &format!("awaited = [{AWAITED_COPY:?}]\nseries = [\"KXHIGHNY\"]"),
            ),
            ("venues.polymarket", &format!("awaited = [{token:?}]")),
        ],
    );
    let mut daemon = rig.daemon();
    rig.until("it trades what is there", |status| {
        status["open_orders"].as_u64() > Some(0)
    });
    let series = format!("kalshi:{SERIES_COPY}");
    assert!(rig.status().unwrap()["feeds"].get(&series).is_none());
    rig.until("all three are heard of", |status| {
        let feeds = &status["feeds"];
        let heard = |name: &str| feeds[name].as_u64() > Some(0);
        makers.iter().all(|name| heard(name)) && heard(&series)
    });
    rig.until("what opened is held", |status| {
        let held = status["positions"].as_object();
        held.is_some_and(|held| {
            makers
                .iter()
                .all(|m| held.contains_key(&format!("{m} {m}")))
        })
    });
    // Those that opened are found again by a daemon that begins, and known to it.
    drop(daemon);
    daemon = rig.daemon();
    rig.until_reconciled();
    rig.until("it quotes again", |status| {
        status["open_orders"].as_u64() >= Some(3)
    });
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let (_dir, truth) = rig.truth();
    holds_what_opened(&journal, &truth);

    // Nothing that was at work was interrupted for it: the first connection to Kalshi's market stood.
    let mut began = BTreeMap::<String, u64>::new();
    let (mut sessions, mut told) = (0, BTreeMap::<String, u64>::new());
    let market = recover(&journal);
    frames(&journal, |_, at, event| match event {
        Event::OperatorCommand(_) => sessions += 1,
        Event::InstrumentDefined(defined) => {
            began.insert(defined.symbol.clone(), at);
        }
        Event::ConnectionChanged(changed) if sessions == 1 && !changed.up => {
            panic!("{changed:?}");
        }
        Event::FeeSchedule(of) => {
            let name = symbol(market.market(), of.instrument).to_owned();
            *told.entry(name).or_default() += 1;
        }
        _ => {}
    });
    assert!(began[SERIES_COPY] > began[KALSHI] + 5 * MINUTE_NS);
    // Asked for again and again, told once.
    assert_eq!(told[KALSHI], 1, "{told:?}");
}

/// As [`holds_the_truth`], for a day whose tokens have other names on the daemon's tape.
fn holds_what_opened(journal: &Path, truth: &Value) {
    assert_eq!(truth["repeated_client_ids"], serde_json::json!([]));
    assert_eq!(truth["open_orders"], 0, "{truth}");
    let mut held = holdings(journal);
    held.retain(|_, qty| qty != "0");
    assert_eq!(held, nonzero(&truth["holdings"]));
    let mut cash = cash(journal);
    cash.retain(|_, cash| cash != "0");
    assert_eq!(cash, nonzero(&truth["cash_changes"]));
    let verified = json(&["verify", arg(journal)]);
    assert_eq!(verified["identical"], true, "{verified}");
}

#[test]
fn what_a_venue_changes_about_a_market_goes_onto_the_tape() {
    // The rule text, the close and the fee of a contract, after four minutes of the day.
    let mut changed = false;
    let mut terms = BTreeMap::<InstrumentId, ContractTerms>::new();
    let dir = edited_day(5, &mut |passed_ns, event, market, put| {
        put(event);
        if let Event::ContractTerms(of) = event {
            terms.insert(of.instrument, (**of).clone());
        }
        if passed_ns < 4 * MINUTE_NS || std::mem::replace(&mut changed, true) {
            return;
        }
        let mut all = market.instruments().iter();
        let of = all.find(|i| i.definition.symbol == KALSHI).unwrap();
        let before = &terms[&of.id()];
        put(&Event::ContractTerms(Box::new(ContractTerms {
            closes_at: Nanos(before.closes_at.0 - MINUTE_NS),
            rules_hash: "another text".to_owned(),
            ..before.clone()
        })));
        // The venue's fees are those of a whole series.
        for of in market.instruments() {
            if of.definition.symbol.starts_with("KXHIGHNY-") {
                let mut fees = of.fees_at(Nanos(u64::MAX)).unwrap().clone();
                fees.taker = FeeFormula::probability(Decimal::new(14, 2));
                put(&Event::FeeSchedule(Box::new(fees)));
            }
        }
    });
    let rig = Rig::of_day(dir, "30", "");
    rig.configure("[modes]\nkalshi = \"paper\"\n");
    add(&rig, &[("live", "relist_every_s = 30")]);
    let mut daemon = rig.daemon();
    std::thread::sleep(Duration::from_secs(16));
    assert_eq!(daemon.terminate(), Some(0));
    let journal = rig.at("journal");
    let recovered = recover(&journal);
    let id = recovered
        .market()
        .find(&format!("kalshi:{KALSHI}"))
        .unwrap()
        .id();
    let (mut closes, mut texts, mut fees) = (Vec::new(), Vec::new(), Vec::new());
    frames(&journal, |_, _, event| match event {
        Event::ContractTerms(terms) if terms.instrument == id => closes.push(terms.closes_at),
        Event::RulesText(text) if text.instrument == id => texts.push(text.rules_hash),
        Event::FeeSchedule(told) if told.instrument == id => fees.push(told.taker.rate()),
        _ => {}
    });
    closes.dedup();
    texts.dedup();
    assert_eq!(closes.len(), 2, "{closes:?}");
    assert_eq!(closes[0].0 - closes[1].0, MINUTE_NS);
    assert_eq!(texts.len(), 2, "{texts:?}");
    let rates: Vec<String> = fees.iter().map(ToString::to_string).collect();
    assert_eq!(rates, ["0.07", "0.14"]);
}

const PAIR: &str = "BTCUSDT";
const LATER_PAIR: &str = "ETHUSDT";

/// A pair that opens after four minutes of the day; after eight the other's filters change, and after fourteen it is
/// delisted.
fn day_of_pairs() -> tempfile::TempDir {
    let ends = [4, 8, 14].map(|minute| minute * MINUTE_NS);
    let mut done = [false; 3];
    edited_day(5, &mut |passed_ns, event, market, put| {
        put(event);
        let due = |place: usize| passed_ns >= ends[place];
        if !due(0) {
            return;
        }
        let mut all = market.instruments().iter();
        let of = all.find(|i| i.definition.symbol == PAIR).unwrap();
        let later = InstrumentId(market.instruments().len() as u32);
        if !std::mem::replace(&mut done[0], true) {
            open(market, of.id(), later, LATER_PAIR, None, put);
        } else if event.instrument() == Some(of.id()) && !due(2) {
            retell(event, later, put);
        }
        if due(1) && !std::mem::replace(&mut done[1], true) {
            let rules = of.rules_at(Nanos(u64::MAX)).unwrap();
            put(&Event::TradingRules(TradingRules {
                tick_size: Price(10),
                lot_size: Qty(100),
                min_qty: Qty(100),
                min_price: Price(10),
                min_notional: Money::from_decimal(Decimal::from(7)).unwrap(),
                ..rules.clone()
            }));
        }
        if due(2) && !std::mem::replace(&mut done[2], true) {
            put(&Event::MarketStatus(MarketStatus {
                instrument: later,
                status: TradingStatus::Closed,
            }));
        }
    })
}

/// What the tape has of pairs: each one's rules, statuses and orders, in their order.
#[derive(Debug, Default)]
struct Pairs {
    names: BTreeMap<InstrumentId, String>,
    rules: BTreeMap<String, Vec<(u64, TradingRules)>>,
    closed: BTreeMap<String, u64>,
    orders: BTreeMap<String, Vec<u64>>,
    intents: Vec<String>,
}

fn pairs(journal: &Path) -> Pairs {
    let mut seen = Pairs::default();
    frames(journal, |_, at, event| match event {
        Event::InstrumentDefined(defined) => {
            let before = seen
                .names
                .insert(defined.instrument, defined.symbol.clone());
            assert_eq!(before, None);
        }
        Event::TradingRules(rules) => {
            let name = seen.names[&rules.instrument].clone();
            seen.rules.entry(name).or_default().push((at, rules));
        }
        Event::MarketStatus(status) if status.status == TradingStatus::Closed => {
            let name = seen.names[&status.instrument].clone();
            assert_eq!(seen.closed.insert(name, at), None, "closed once");
        }
        Event::OrderDecided(order) => {
            let name = seen.names[&order.instrument].clone();
            seen.orders.entry(name).or_default().push(at);
        }
        Event::IntentReceived(intent) => {
            seen.intents.push(seen.names[&intent.instrument].clone());
        }
        _ => {}
    });
    seen
}

/// An order intent over HTTP; the answer's status.
fn intent(http: &str, key: &str, instrument: &str) -> u16 {
    let body = format!(
        r#"{{"instrument":"{instrument}","side":"buy","order_type":"market","qty":"0.001"}}"#
    );
    let headers = format!("Authorization: Bearer a token\r\nIdempotency-Key: {key}\r\n");
    let answer = post(http, "/api/v1/orderintents", &headers, &body);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_pair_that_is_listed_changed_or_delisted_in_mid_session_is_so_on_the_tape() {
    let rig = Rig::of_day(day_of_pairs(), "30", "");
    let mut session = String::from("[modes]\nbinance = \"demo\"\n");
    for symbol in [PAIR, LATER_PAIR] {
        let maker = format!("binance:{symbol}");
        session += &format!(
            "[[strategy]]\nname = \"market_maker\"\nid = \"{maker}\"\n[strategy.params]\ninstrument = \"{maker}\"\nqty = \"0.001\"\n"
        );
    }
    rig.configure(&session);
    add(
        &rig,
        &[
            ("live", "relist_every_s = 20"),
            ("venues.binance", &format!("awaited = [{LATER_PAIR:?}]")),
        ],
    );
    let mut child = rig
        .command()
        .env("ONETAPE_API_TOKEN", "a token")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut daemon = Process(child);
    let http = lines.find_map(|line| {
        let line = line.unwrap();
        let rest = line.strip_prefix("http://")?;
        Some(rest.split(' ').next()?.to_owned())
    });
    let http = http.unwrap();
    // Whatever else it says is read, so that it can go on saying it.
    std::thread::spawn(move || lines.for_each(drop));
    let later = format!("binance:{LATER_PAIR}");
    assert_eq!(intent(&http, "too-early", &later), 422);
    let journal = rig.at("journal");
    rig.until("the later pair is traded", |status| {
        let held = status["positions"].as_object();
        held.is_some_and(|held| held.contains_key(&format!("{later} {later}")))
    });
    assert_eq!(intent(&http, "in-time", &later), 201);
    let began = Instant::now();
    while pairs(&journal).closed.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(daemon);
    // One that begins finds its pair gone, and goes on.
    daemon = rig.daemon();
    rig.until_reconciled();
    rig.until("it quotes the other", |status| {
        status["open_orders"].as_u64() > Some(0)
    });
    assert_eq!(daemon.terminate(), Some(0));
    let (_dir, truth) = rig.truth();
    holds_what_opened(&journal, &truth);

    let seen = pairs(&journal);
    assert_eq!(seen.intents, [LATER_PAIR]);
    assert_eq!(seen.rules[LATER_PAIR].len(), 1, "{:?}", seen.rules);
    let closed = seen.closed[LATER_PAIR];
    assert!(seen.orders[LATER_PAIR].iter().all(|at| *at < closed));
    assert!(seen.orders[PAIR].iter().any(|at| *at > closed));
    // 0.01 and 0.0001 before, 0.1 and 0.001 from then on, in the decimals of the first.
    let [(_, before), (at, after)] = &seen.rules[PAIR][..] else {
        panic!("{:?}", seen.rules)
    };
    assert_eq!((before.tick_size, before.lot_size), (Price(1), Qty(1)));
    assert_eq!((after.tick_size, after.lot_size), (Price(10), Qty(10)));
    assert_eq!((after.min_price, after.min_qty), (Price(10), Qty(10)));
    assert_eq!(after.min_notional.to_decimal().unwrap(), Decimal::from(7));
    assert!(before.effective_from < after.effective_from && after.effective_from <= Nanos(*at));
}

/// What a tape was told of Kalshi's contracts: how often, by contract, kind of fact and daemon, counted from 1.
type Facts = BTreeMap<(String, Kind, u64), u64>;

/// The facts, and how long the last daemon has been at it, in ns of the day.
fn facts(journal: &Path) -> (Facts, u64) {
    let (mut names, mut facts) = (BTreeMap::new(), Facts::new());
    // Each daemon opens the tape and lists before it says that it begins.
    let (mut daemon, mut began, mut last) = (1, 0, 0);
    frames(journal, |_, at, event| {
        last = at;
        match &event {
            Event::OperatorCommand(command) => match command.action {
                OperatorAction::Start => began = at,
                OperatorAction::Stop { .. } => daemon += 1,
                _ => {}
            },
            Event::InstrumentDefined(defined) if defined.venue == "kalshi" => {
                names.insert(defined.instrument, defined.symbol.clone());
            }
            Event::TradingRules(_)
            | Event::ContractTerms(_)
            | Event::RulesText(_)
            | Event::MarketStatus(_)
            | Event::Resolution(_) => {
                let name = event.instrument().and_then(|id| names.get(&id));
                if let Some(name) = name {
                    let key = (name.clone(), event.kind(), daemon);
                    *facts.entry(key).or_default() += 1;
                }
            }
            _ => {}
        }
    });
    (facts, last - began)
}

#[test]
fn a_daemon_that_begins_again_tells_nothing_that_stands_on_the_tape() {
    // After four minutes of the day one contract pays.
    let mut paid = false;
    let dir = edited_day(5, &mut |passed_ns, event, market, put| {
        let ends = |id| symbol(market, id) == KALSHI;
        let is_over = passed_ns >= 4 * MINUTE_NS;
        if !(is_over && event.instrument().is_some_and(ends)) {
            put(event);
        }
        if is_over && !std::mem::replace(&mut paid, true) {
            let mut all = market.instruments().iter();
            let of = all.find(|i| i.definition.symbol == KALSHI).unwrap();
            put(&Event::Resolution(Resolution {
                instrument: of.id(),
                settlement_price: Price(10_000),
            }));
        }
    });
    let rig = Rig::of_day(dir, "30", "");
    rig.configure("[modes]\nkalshi = \"paper\"\n");
    let journal = rig.at("journal");
    let until = |what: &str, holds: &dyn Fn(&(Facts, u64)) -> bool| {
        rig.until(what, |status| {
            status["sequence"].as_u64() > Some(0) && holds(&facts(&journal))
        });
    };
    let mut daemon = rig.daemon();
    let resolved = (KALSHI.to_owned(), Kind::Resolution, 1);
    until("it paid", &|(facts, _)| facts.contains_key(&resolved));
    assert_eq!(daemon.terminate(), Some(0));
    let mut daemon = rig.daemon();
    // The feed asks for each market as soon as it is connected, and every minute.
    let is_second = |facts: &Facts| facts.keys().any(|(_, _, daemon)| *daemon == 2);
    until("it has asked again", &|(facts, since_ns)| {
        is_second(facts) && *since_ns > 4 * MINUTE_NS
    });
    assert_eq!(daemon.terminate(), Some(0));
    let (facts, _) = facts(&journal);
    let contracts: BTreeSet<&String> = facts.keys().map(|(name, ..)| name).collect();
    assert!(contracts.len() > 2, "{facts:?}");
    for name in contracts {
        let times = |kind, daemon| {
            let key = (name.clone(), kind, daemon);
            facts.get(&key).copied().unwrap_or(0)
        };
        assert_eq!(times(Kind::TradingRules, 1), 1, "{name}: {facts:?}");
        assert_eq!(times(Kind::TradingRules, 2), 0, "{name}: {facts:?}");
        // What a contract is about is told at every start, to strategies that begin with it.
        for kind in [Kind::ContractTerms, Kind::RulesText] {
            assert_eq!(times(kind, 1), 1, "{name}: {facts:?}");
            assert_eq!(times(kind, 2), 1, "{name}: {facts:?}");
        }
        assert_eq!(times(Kind::MarketStatus, 2), 0, "{name}: {facts:?}");
        assert_eq!(times(Kind::Resolution, 2), 0, "{name}: {facts:?}");
    }
}
