//! Facts files: every kind reads, facts and data are merged by time, and bad input is named before anything is written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use onetape_backtest::import::{Format, ImportError, ImportOptions, ImportReport, run};
use onetape_engine::event::{Event, Kind, Strike};
use onetape_engine::number::{Price, Qty};
use onetape_engine::time::Nanos;
use onetape_journal::Reader;
use std::path::Path;

const INSTRUMENTS: &str = r#"
[[instrument]]
venue = "kalshi"
symbol = "HIGH-B84"
instrument_type = "binary"
base = "HIGH-B84"
quote = "USD"
decimals = { price = 4, qty = 2 }

[[instrument]]
venue = "polymarket"
symbol = "YES"
instrument_type = "binary"
base = "YES"
quote = "USDC"
decimals = { price = 4, qty = 2 }

[[instrument]]
venue = "polymarket"
symbol = "NO"
instrument_type = "binary"
base = "NO"
quote = "USDC"
decimals = { price = 4, qty = 2 }
"#;

const FACTS: &str = r#"
[[trading_rules]]
instrument = "kalshi:HIGH-B84"
effective_from = 2026-01-01T00:00:00Z
tick_size = 0.01
lot_size = 1
min_qty = 1
min_notional = "0.5"
min_price = 0.01
max_price = 0.99

[[fee_schedule]]
instrument = "kalshi:HIGH-B84"
effective_from = 2026-01-01T00:00:00Z
maker = { probability = { rate = "0" } }
taker = { probability = { rate = "0.07" } }
rounding = { decimals = 2, mode = "up" }
source = "venue"

[[contract_terms]]
instrument = "kalshi:HIGH-B84"
event = "HIGH"
cluster = "northeast"
closes_at = 2026-07-05T04:00:00Z
settles_at = 2026-07-05T14:00:00Z
rules_hash = "ab"
temperature = { station = "NYC", day = 2026-07-04, strike = { between = { floor = 84, cap = 85 } } }

[[pair_approved]]
at = 2026-07-04T12:00:00Z
pair = "high"
single_book = "kalshi:HIGH-B84"
yes_token = "polymarket:YES"
no_token = "polymarket:NO"
inverted = false
single_book_rules = "ab"
token_rules = "cd"
void_rule = "both_refund"
cut_off = 2026-07-04T20:00:00Z
single_book_settles_at = 2026-07-05T14:00:00Z
token_settles_at = 2026-07-05T16:00:00Z
cluster = "weather"
confidence_pct = 95
approver = "a human"
approved_at = 2026-07-04T11:00:00Z

[[forecast]]
at = 2026-07-04T12:00:01Z
station = "NYC"
day = 2026-07-04
high_f = 85.5
issued_at = 2026-07-04T12:00:00Z
source = "nws"

[[leader_portfolio]]
at = 2026-07-04T12:00:02Z
wallet = "0x00000000000000000000000000000000000000ab"
value_usd = "10000"
holdings = [{ instrument = "polymarket:YES", qty = 12.5 }]
taken_at = 2026-07-04T12:00:00Z

[[resolution]]
at = 2026-07-05T14:00:00Z
instrument = "kalshi:HIGH-B84"
settlement_price = 1

[calendar.XNYS]
zone = "America/New_York"
open = 09:30:00
close = 16:00:00
half_close = 13:00:00
from = 2026-03-06
to = 2026-03-09
holidays = []
half_days = [2026-03-06]
"#;

const MARKET: &str = "ts,type,venue,symbol,price,qty,side,bid_price,bid_qty,ask_price,ask_qty
2026-07-04T12:00:01Z,quote,kalshi,HIGH-B84,,,,0.41,10,0.44,12
2026-07-04T12:00:03Z,quote,kalshi,HIGH-B84,,,,0.42,10,0.44,12
";

fn import(dir: &Path, facts: &str, market: Option<&str>) -> Result<ImportReport, ImportError> {
    let mut files = vec![dir.join("facts.toml")];
    std::fs::write(&files[0], facts).unwrap();
    if let Some(market) = market {
        files.push(dir.join("market.csv"));
        std::fs::write(&files[1], market).unwrap();
    }
    let journal = dir.join("day");
    run(
        &ImportOptions {
            journal,
            files,
            format: Format::Auto,
            ..ImportOptions::default()
        },
        &mut |_| {},
    )
}

fn frames(dir: &Path) -> Vec<(Kind, u64)> {
    let mut reader = Reader::open(&dir.join("day")).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        let event = Event::decode(frame.tag.kind(), frame.payload).unwrap();
        match &event {
            Event::TradingRules(rules) => {
                assert_eq!((rules.tick_size, rules.lot_size), (Price(100), Qty(100)));
                assert_eq!(rules.min_notional.to_string(), "0.5");
            }
            Event::ContractTerms(terms) => {
                let temperature = terms.temperature.as_ref().unwrap();
                // 2026-07-04 is 20,638 days after 1970-01-01.
                assert_eq!(temperature.day, 20_638);
                assert_eq!(temperature.strike, Strike::Between { floor: 84, cap: 85 });
            }
            Event::Forecast(forecast) => assert_eq!(forecast.high_f.to_string(), "85.5"),
            Event::LeaderPortfolio(portfolio) => {
                assert_eq!(portfolio.holdings[0].qty, Qty(1_250));
            }
            Event::TradingDay(day) => {
                // The US changed to daylight time on 2026-03-08, and the 6th is a half day here.
                let (offset, opens, hours) = match day.day {
                    20_518 => (-5, 1_772_807_400, 35),
                    20_521 => (-4, 1_773_063_000, 65),
                    other => panic!("day {other}"),
                };
                assert_eq!(day.utc_offset_s, offset * 3_600);
                assert_eq!(day.opens_at, Nanos(opens * 1_000_000_000));
                assert_eq!(day.closes_at.since(day.opens_at), hours * 360_000_000_000);
            }
            _ => {}
        }
        frames.push((event.kind(), frame.timestamp_ns / 1_000_000_000));
    }
    frames
}

#[test]
fn facts_and_data_are_merged_by_time_with_facts_first() {
    let dir = tempfile::tempdir().unwrap();
    let report = import(dir.path(), &format!("{INSTRUMENTS}{FACTS}"), Some(MARKET)).unwrap();
    let noon = 1_783_166_400;
    let kinds = frames(dir.path());
    assert_eq!(kinds.len() as u64, report.frames);
    let dated: Vec<_> = kinds.into_iter().filter(|(_, at)| *at > noon).collect();
    assert_eq!(
        dated,
        [
            (Kind::Forecast, noon + 1),
            (Kind::Quote, noon + 1),
            (Kind::LeaderPortfolio, noon + 2),
            (Kind::Quote, noon + 3),
            (Kind::Resolution, noon + 26 * 3_600),
        ]
    );
    assert_eq!(report.files[1].format, "facts");
}

#[test]
fn an_instrument_of_the_facts_has_only_the_rules_and_fees_that_they_give() {
    let dir = tempfile::tempdir().unwrap();
    import(dir.path(), INSTRUMENTS, Some(MARKET)).unwrap();
    let kinds = frames(dir.path());
    assert!(
        kinds
            .iter()
            .all(|(kind, _)| !matches!(kind, Kind::TradingRules | Kind::FeeSchedule))
    );
}

const WALLET: &str = r#"
[[leader_listed]]
at = 2026-07-04T12:00:00Z
wallet = "0x00000000000000000000000000000000000000ab"
active = true
sample_trades = 4
winning_trades = 2
profit_usd = 100
typical_usd = 80
"#;

/// What is wrong, and what the message must say.
#[test]
fn a_bad_fact_is_named_with_file_line_field_value_and_rule_and_nothing_is_written() {
    let base = format!("{INSTRUMENTS}{FACTS}");
    let changed = |from: &str, to: &str| {
        assert!(base.contains(from), "{from}");
        base.replacen(from, to, 1)
    };
    // A table once more at the end, with something else in it.
    let again = |head: &str, from: &str, to: &str| {
        let begin = base.find(head).unwrap();
        let rest = &base[begin..];
        let end = rest[1..].find("\n[").map_or(rest.len(), |end| end + 1);
        assert!(rest[..end].contains(from), "{from}");
        format!("{base}\n{}\n", rest[..end].replacen(from, to, 1))
    };
    let twice = format!(
        "{base}\n[[forecast]]\nat = 2026-07-04T12:00:01Z\nstation = \"NYC\"\nday = 2026-07-04\nhigh_f = 80\nissued_at = 2026-07-04T12:00:00Z\nsource = \"nws\"\n"
    );
    let cases = [
        (
            changed("high_f = 85.5", "high_f = 855"),
            "forecast.high_f' is '855': must be from -150",
        ),
        (
            changed("high_f = 85.5", "high_g = 85.5"),
            "field 'forecast.high_f' is '': the field is missing",
        ),
        (
            changed("source = \"nws\"", "source = \"nws\"\nleed = 3"),
            "'forecast.leed' is '3': unknown field",
        ),
        (
            changed("approver = \"a human\"", "approver = \"\""),
            "'pair_approved.approver' is '': must not be empty",
        ),
        (
            changed(
                "no_token = \"polymarket:NO\"",
                "no_token = \"polymarket:NOO\"",
            ),
            "'pair_approved.no_token' is 'polymarket:NOO': no such instrument",
        ),
        (
            changed(
                "no_token = \"polymarket:NO\"",
                "no_token = \"polymarket:YES\"",
            ),
            "three different instruments",
        ),
        (
            changed("tick_size = 0.01", "tick_size = 0.00001"),
            "'trading_rules.tick_size' is '0.00001'",
        ),
        (
            changed("[[forecast]]", "[[forcast]]"),
            "'table' is 'forcast': expected one of",
        ),
        (
            changed("floor = 84, cap = 85", "floor = 86, cap = 85"),
            "the floor must not be above the cap",
        ),
        (
            changed("zone = \"America/New_York\"", "zone = \"America/NewYork\""),
            "'zone' is 'America/NewYork'",
        ),
        (
            changed("holidays = []", "holidays = [2026-03-06]"),
            "can't be both",
        ),
        (
            changed("confidence_pct = 95", "confidence_pct = 0"),
            "must be from 1 to 100",
        ),
        (
            changed("at = 2026-07-04T12:00:02Z", "at = 2026-07-04T12:00:02"),
            "with its zone",
        ),
        (
            changed("value_usd = \"10000\"", "value_usd = \"-1\""),
            "'leader_portfolio.value_usd' is '-1': must be more than zero",
        ),
        (
            changed("value_usd = \"10000\"", "value_usd = 0"),
            "'leader_portfolio.value_usd' is '0': must be more than zero: his trades are shares of it",
        ),
        (
            format!("{base}{WALLET}").replace("typical_usd = 80", "typical_usd = 0"),
            "'leader_listed.typical_usd' is '0': must be more than zero: his trades are measured against it",
        ),
        (
            changed("rate = \"0.07\"", "rate = \"seven\""),
            "fee_schedule.taker",
        ),
        (twice, "line 71 says this already"),
        // Pair file.
        (
            again(
                "[[pair_approved]]",
                "pair = \"high\"",
                "pair = \"high again\"",
            ),
            "'pair_approved.pair' is 'high again': line 53 approves the same contracts as 'high'",
        ),
        (
            again("[[pair_approved]]", "inverted = false", "inverted = true"),
            "'pair_approved.pair' is 'high': line 53 says this already",
        ),
        (
            changed("approved_at = 2026-07-04T11", "approved_at = 2026-07-04T13"),
            "'pair_approved.approved_at' is '2026-07-04T13:00:00Z': must not be after `at`",
        ),
        (
            changed("cut_off = 2026-07-04T20", "cut_off = 2026-07-06T20"),
            "'pair_approved.cut_off' is '2026-07-06T20:00:00Z': must not be after the first settlement",
        ),
        (
            changed("approved_at = 2026-07-04T11:00:00Z\n", ""),
            "'pair_approved.approved_at' is '': the field is missing",
        ),
        (
            changed("at = 2026-07-04T12:00:00Z\npair", "pair"),
            "'pair_approved.at' is '': the field is missing",
        ),
        // Wallet list.
        (
            changed("00ab\"\nvalue_usd", "00AB\"\nvalue_usd"),
            "'leader_portfolio.wallet' is '0x00000000000000000000000000000000000000AB': must be 0x and 40",
        ),
        (
            format!("{base}{WALLET}").replace("winning_trades = 2", "winning_trades = 12"),
            "'leader_listed.winning_trades' is '12': must not be more than sample_trades",
        ),
        (
            format!(
                "{base}{WALLET}{}",
                WALLET.replace("active = true", "active = false")
            ),
            "says this already",
        ),
        (
            format!("{base}{WALLET}").replace("active = true\n", ""),
            "'leader_listed.active' is '': the field is missing",
        ),
        // Forecast.
        (
            changed(
                "issued_at = 2026-07-04T12:00:00Z",
                "issued_at = 2026-07-04T12:00:02Z",
            ),
            "'forecast.issued_at' is '2026-07-04T12:00:02Z': must not be after `at`",
        ),
        (
            again("[[forecast]]", "high_f = 85.5", "high_f = 90"),
            "'forecast.issued_at' is '2026-07-04T12:00:00Z': line 71 says this already",
        ),
        (
            changed("high_f = 85.5", "high_f = \"warm\""),
            "'forecast.high_f' is 'warm': ",
        ),
        // Fee table.
        (
            changed("rate = \"0.07\"", "rate = \"-0.07\""),
            "'fee_schedule.taker' is '{ probability = { rate = \"-0.07\" } }': a rate is negative",
        ),
        (
            changed("rate = \"0.07\"", "rate = \"7\""),
            "a rate must be at most 1, which is 100 %",
        ),
        (
            changed("rounding = { decimals = 2", "rounding = { decimals = 30"),
            "'fee_schedule.rounding' is '{ decimals = 30, mode = \"up\" }': more than 18 decimals",
        ),
        (
            changed("taker = { probability = { rate = \"0.07\" } }\n", ""),
            "'fee_schedule.taker' is '': the field is missing",
        ),
        (
            again("[[fee_schedule]]", "\"0.07\"", "\"0.05\""),
            "'fee_schedule.effective_from' is '2026-01-01T00:00:00Z': line 36 says this already",
        ),
        (
            changed("tick_size = 0.01", "tick_size = 0"),
            "'trading_rules.tick_size' is '0': tick and lot size must be positive",
        ),
        (
            changed("max_price = 0.99", "max_price = 0.001"),
            "'trading_rules.max_price' is '0.001': bounds exclude every order",
        ),
        // Contract and settlement.
        (
            changed("settlement_price = 1", "settlement_price = 2"),
            "'resolution.settlement_price' is '2': must be from 0 to 1",
        ),
        (
            again("[[resolution]]", "at = 2026-07-05T14", "at = 2026-07-05T15"),
            "'resolution.instrument' is 'kalshi:HIGH-B84': line 86 says this already",
        ),
        // Calendar.
        (
            changed("half_close = 13:00:00", "half_close = 17:00:00"),
            "'half_close' is '17:00:00': must not be after close",
        ),
        (
            changed("half_days = [2026-03-06]", "half_days = [2026-03-07]"),
            "'half_days' is '2026-03-07': must be a weekday from `from` to `to`",
        ),
        (
            changed("open = 09:30:00", "open = 17:30:00"),
            "must be after open",
        ),
        (
            changed("\nclose = 16:00:00\n", "\n"),
            "'close' is '': the field is missing",
        ),
        (
            changed("holidays = []", "holidays = [2026-03-09, 2026-03-09]"),
            "'holidays' is '2026-03-09': named twice",
        ),
        (
            changed("to = 2026-03-09", "to = 2026-03-05"),
            "'to' is '2026-03-05': must be from `from`",
        ),
        (
            format!("{base}\n[calendar.XNYS]\nzone = \"America/New_York\"\n"),
            "'XNYS': duplicate key",
        ),
        (base.replace("qty = 12.5", "qty = "), "field 'toml'"),
    ];
    for (facts, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let error = import(dir.path(), &facts, Some(MARKET))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("facts.toml line "), "{error}");
        assert!(error.contains(expected), "{error}\n  expected: {expected}");
        assert!(!dir.path().join("day").exists(), "{error}");
    }
}
