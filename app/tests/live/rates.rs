//! Won rates on the daemon's tape: from every source, marked when one stands still, named when one answers nonsense.
use super::markets::{MINUTE_NS, edited_day};
use super::outcomes::frames;
use super::relisting::add;
use super::*;
use onetape_engine::event::{
    FeedCondition, FeedState, InstrumentDefined, InstrumentType, StaleReason, Trade,
};
use onetape_engine::id::InstrumentId;
use onetape_engine::number::{Decimals, Price, Qty};
use std::collections::BTreeMap;

/// A day with a bank's rate, made anew every 20 seconds of the first eight minutes, and the dollar token's, which goes on.
fn day() -> tempfile::TempDir {
    let mut ids = None;
    let mut due = 0;
    edited_day(5, &mut |passed_ns, event, market, put| {
        put(event);
        if passed_ns == 0 {
            return;
        }
        let [bank, token] = *ids.get_or_insert_with(|| {
            let first = market.instruments().len() as u32;
            let ids = [InstrumentId(first), InstrumentId(first + 1)];
            for (instrument, base) in ids.into_iter().zip(["USD", "USDT"]) {
                put(&Event::InstrumentDefined(Box::new(InstrumentDefined {
                    instrument,
                    venue: "fx".to_owned(),
                    symbol: format!("{base}KRW"),
                    instrument_type: InstrumentType::Spot,
                    base: base.to_owned(),
                    quote: "KRW".to_owned(),
                    decimals: Decimals::new(2, 2).unwrap(),
                })));
            }
            ids
        });
        while due <= passed_ns {
            let step = (due / (20 * 1_000_000_000)) as i64;
            for (instrument, price, until) in
                [(bank, 145_805, 8 * MINUTE_NS), (token, 146_600, u64::MAX)]
            {
                if due < until {
                    put(&Event::Trade(&Trade {
                        instrument,
                        price: Price(price + step),
                        qty: Qty(12_050),
                        ..Trade::default()
                    }));
                }
            }
            due += 20 * 1_000_000_000;
        }
    })
}

/// What the tape has of rates, by name.
#[derive(Debug, Default)]
struct Told {
    defined: BTreeMap<String, u64>,
    /// The stamp that each came with, and its price.
    trades: BTreeMap<String, Vec<(u64, i64)>>,
    stale: BTreeMap<String, u64>,
}

fn told(journal: &Path) -> Told {
    let (mut told, mut names) = (Told::default(), BTreeMap::new());
    frames(journal, |_, _, event| match event {
        Event::InstrumentDefined(defined) if defined.venue == "fx" => {
            *told.defined.entry(defined.symbol.clone()).or_default() += 1;
            names.insert(defined.instrument, defined.symbol.clone());
        }
        Event::Trade(trade) => {
            if let Some(name) = names.get(&trade.instrument) {
                let of = told.trades.entry(name.clone()).or_default();
                of.push((trade.venue_time_ns, trade.price.0));
            }
        }
        Event::FeedState(state) => {
            if let FeedState {
                instrument,
                feed: onetape_engine::event::Feed::Trades,
                condition: FeedCondition::Stale(StaleReason::Silent),
            } = &*state
                && let Some(name) = names.get(instrument)
            {
                *told.stale.entry(name.clone()).or_default() += 1;
            }
        }
        _ => {}
    });
    told
}

fn record(rig: &Rig, log: &str) -> Process {
    let mut command = onetape(&[
        "record",
        "--journal",
        arg(&rig.at("journal")),
        "--config",
        arg(&rig.at("run.toml")),
        "--clock",
        &rig.clock,
    ]);
    let log = std::fs::File::create(rig.at(log)).unwrap();
    command.env("RUST_LOG", "warn").stdout(Stdio::null());
    Process(command.stderr(log).spawn().unwrap())
}

/// Waits until the tape has something.
fn until(rig: &Rig, what: &str, holds: impl Fn(&Told) -> bool) -> Told {
    let began = Instant::now();
    let tape = rig.at("journal");
    loop {
        let told = if tape.exists() {
            told(&tape)
        } else {
            Told::default()
        };
        if holds(&told) {
            return told;
        }
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{what}: {told:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

const RATES: [&str; 4] = ["USDKRW", "USDKRW-DAILY", "USDKRW-EODHD", "USDTKRW"];

#[test]
fn rates_of_every_source_are_on_the_tape_with_their_age() {
    let rig = Rig::of_day(day(), "60", "");
    rig.configure("");
    add(
        &rig,
        &[(
            "venues.fx",
            r#"rates = { USDKRW = "dunamu", USDKRW-DAILY = "open-er-api", USDKRW-EODHD = "eodhd", USDTKRW = "upbit" }"#,
        )],
    );
    let mut daemon = record(&rig, "first.log");
    until(&rig, "every source is heard of", |told| {
        let heard = |name: &str| told.trades.get(name).is_some_and(|of| !of.is_empty());
        RATES.iter().all(|name| heard(name))
    });
    // A rate is no market that could be missing.
    let status = rig.status().unwrap();
    let feeds = status["feeds"].as_object().unwrap();
    assert!(
        feeds.len() > 5 && !feeds.keys().any(|name| name.starts_with("fx:")),
        "{status}"
    );
    rig.fault(r#"{"what": "answer", "fault": {"source": "upbit", "text": "<html>busy</html>"}}"#);
    let named = "source=\"upbit USDTKRW\"";
    let began = Instant::now();
    while !std::fs::read_to_string(rig.at("first.log"))
        .unwrap()
        .contains(named)
    {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    let heard_before = told(&rig.at("journal")).trades["USDTKRW"].len();
    let seen = until(&rig, "what stands still is marked", |told| {
        let marked = |name: &str| told.stale.contains_key(name);
        marked("USDKRW")
            && marked("USDKRW-EODHD")
            && told.trades["USDTKRW"].len() > heard_before + 2
    });
    assert_eq!(daemon.terminate(), Some(0));
    // The daily rate may be a day old, and the token's goes on.
    assert!(!seen.stale.contains_key("USDKRW-DAILY"), "{seen:?}");
    assert!(!seen.stale.contains_key("USDTKRW"), "{seen:?}");
    // A rate is told once, as it was made: 1458.05 and a won's hundredth more with each, in hundred-millionths.
    for (name, of) in &seen.trades {
        let mut once = of.clone();
        once.dedup();
        assert_eq!(&once, of, "{name}");
        let first = if name == "USDTKRW" { 146_600 } else { 145_805 };
        for (_, price) in of {
            assert_eq!(price % 1_000_000, 0, "{name}");
            assert!(
                (first..first + 3_000).contains(&(price / 1_000_000)),
                "{name}: {price}"
            );
        }
    }
    assert_eq!(seen.trades["USDKRW"].last().unwrap().1, 145_828 * 1_000_000);

    // The next daemon tells what stands, and that it is old, and defines nothing twice.
    let before = seen.stale["USDKRW"];
    let mut daemon = record(&rig, "second.log");
    let seen = until(&rig, "the next daemon says so, too", |told| {
        told.stale["USDKRW"] > before
    });
    assert_eq!(daemon.terminate(), Some(0));
    assert!(
        seen.defined.len() == 4 && seen.defined.values().all(|n| *n == 1),
        "{seen:?}"
    );
    let [.., earlier, last] = seen.trades["USDKRW"][..] else {
        panic!("{seen:?}")
    };
    assert_eq!(earlier, last);
    // What is on the tape as the price of a dollar does not become that of another thing.
    let text = std::fs::read_to_string(rig.at("run.toml")).unwrap();
    let text = text.replace("USDKRW = \"dunamu\"", "USDKRW = \"upbit\"");
    std::fs::write(rig.at("run.toml"), text).unwrap();
    let mut refused = record(&rig, "third.log");
    assert_eq!(refused.0.wait().unwrap().code(), Some(3));
    let said = std::fs::read_to_string(rig.at("third.log")).unwrap();
    assert!(said.contains("no price of USDT"), "{said}");
    let verified = json(&["verify", arg(&rig.at("journal"))]);
    assert_eq!(verified["identical"], true, "{verified}");
}

#[test]
fn rates_elsewhere_and_symbols_of_fx_are_refused_with_what_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("record.toml");
    for (text, why) in [
        ("[venues.fx]\nsymbols = [\"USDKRW\"]\n", "fx has rates"),
        (
            "[venues.upbit.rates]\nUSDKRW = \"dunamu\"\n",
            "only fx has rates",
        ),
        (
            "[venues.fx.rates]\nUSDKRW = \"bank\"\n",
            "expected one of `dunamu`",
        ),
        ("[venues.fx.rates]\nUSDKRW = \"eodhd\"\n", "EODHD_API_TOKEN"),
    ] {
        std::fs::write(&config, text).unwrap();
        let journal = dir.path().join("journal");
        let args = [
            "record",
            "--journal",
            arg(&journal),
            "--config",
            arg(&config),
        ];
        let output = onetape(&args)
            .env_remove("EODHD_API_TOKEN")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}: {said}");
        assert!(said.contains(why), "{text}: {said}");
    }
}
