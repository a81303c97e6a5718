//! `onetape match` on two small lists, to the draft that no importer takes.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;
use common::{arg, fails, json, ok, run};

const KALSHI: &str = r#"{"markets": [
    {"ticker": "KXBTC-26NOV21-T100", "event_ticker": "KXBTC-26NOV21", "title": "Will Bitcoin be above $100,000 on Nov 21, 2026?",
     "rules_primary": "If the index is above 100000 at noon, the market resolves to Yes.", "status": "active",
     "close_time": "2026-11-21T17:00:00Z", "yes_bid_dollars": "0.2900", "yes_ask_dollars": "0.3100"},
    {"ticker": "KXTERROR-26", "title": "Will there be a terrorist attack on Nov 21, 2026?", "close_time": "2026-11-21T17:00:00Z"}
]}"#;

const GAMMA: &str = r#"{"conditionId": "0xaa", "question": "Bitcoin below $100k on November 21, 2026", "description": "By the index.", "endDate": "2026-11-21T17:00:00Z", "outcomes": "[\"Yes\", \"No\"]", "outcomePrices": "[\"0.70\", \"0.30\"]", "clobTokenIds": "[\"11\", \"22\"]", "negRisk": true}
{"conditionId": "0xbb", "question": "Will Norway win the World Cup?", "endDate": "2026-11-21T17:00:00Z"}
"#;

const INSTRUMENTS: &str = r#"
instrument = [
    { venue = "kalshi", symbol = "KXBTC-26NOV21-T100", instrument_type = "binary", base = "K", quote = "USD", decimals = { price = 4, qty = 2 } },
    { venue = "polymarket", symbol = "11", instrument_type = "binary", base = "Y", quote = "USDC", decimals = { price = 4, qty = 2 } },
    { venue = "polymarket", symbol = "22", instrument_type = "binary", base = "N", quote = "USDC", decimals = { price = 4, qty = 2 } },
]
"#;

/// What a person decides, as somebody might have.
const FILLED: [(&str, &str); 10] = [
    ("at", "2026-11-20T12:00:00Z"),
    ("inverted", "true"),
    ("single_book_rules", "\"ab\""),
    ("token_rules", "\"cd\""),
    ("void_rule", "\"both_no\""),
    ("cut_off", "2026-11-21T12:00:00Z"),
    ("cluster", "\"crypto\""),
    ("confidence_pct", "90"),
    ("approver", "\"a human\""),
    ("approved_at", "2026-11-20T11:00:00Z"),
];

fn line_of<'a>(text: &'a str, field: &str) -> &'a str {
    let start = format!("{field} = ");
    text.lines().find(|line| line.starts_with(&start)).unwrap()
}

fn set(text: &str, field: &str, value: &str) -> String {
    text.replace(line_of(text, field), &format!("{field} = {value}"))
}

#[test]
fn two_lists_become_suggestions_with_their_doubts_and_a_draft_that_approves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (kalshi, gamma) = (
        dir.path().join("kalshi.json"),
        dir.path().join("gamma.jsonl"),
    );
    let draft = dir.path().join("pairs.toml");
    std::fs::write(&kalshi, KALSHI).unwrap();
    std::fs::write(&gamma, GAMMA).unwrap();
    let lists = ["match", arg(&kalshi), arg(&gamma)];

    let text = ok(&[&lists[..], &["--out", arg(&draft)]].concat());
    assert!(text.contains("1 suggestion;"), "{text}");
    assert!(
        text.contains("1 left out for what they are about"),
        "{text}"
    );
    for needle in [
        "INVERTED",
        "suspect inversion",
        "neg-risk",
        "nothing is approved",
    ] {
        assert!(text.contains(needle), "{needle}: {text}");
    }

    let answer = json(&lists);
    let report = &answer["report"];
    assert_eq!(answer["approved"], 0);
    assert_eq!(report["suggestions"][0]["token_market"]["id"], "0xaa");
    assert_eq!(report["suggestions"][0]["direction"], "inverted");
    assert_eq!(report["blocked"][0], "KXTERROR-26");

    // The draft is no approval: filled in by somebody it is one, and with any single field left as it was it is refused.
    let draft_text = std::fs::read_to_string(&draft).unwrap();
    let filled = FILLED
        .iter()
        .fold(draft_text.clone(), |text, (field, value)| {
            set(&text, field, value)
        });
    let import = |text: &str| {
        let facts = dir.path().join("facts.toml");
        std::fs::write(&facts, format!("{INSTRUMENTS}{text}")).unwrap();
        let journal = dir.path().join("day");
        let _ = std::fs::remove_dir_all(&journal);
        run(&["import", "--journal", arg(&journal), arg(&facts)])
    };
    let taken = import(&filled);
    let complaint = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(taken.status.code(), Some(0), "{complaint}");
    for (field, _) in FILLED {
        let as_it_was = line_of(&draft_text, field).split_once(" = ").unwrap().1;
        let refused = import(&set(&filled, field, as_it_was));
        let complaint = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(4), "{field}: {complaint}");
        assert!(complaint.contains(field), "{field}: {complaint}");
    }
    // Nor is it written over.
    let again = fails(&[&lists[..], &["--out", arg(&draft)]].concat(), 1);
    assert!(again.contains("pairs.toml"), "{again}");
}

#[test]
fn a_list_that_is_none_is_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.json");
    std::fs::write(&list, "[{\"title\": \"A?\"}]").unwrap();
    let why = fails(&["match", arg(&list), arg(&list)], 4);
    assert!(
        why.contains("market 1") && why.contains("expected an id"),
        "{why}"
    );
    fails(&["match", arg(&list), "/nowhere/at/all"], 4);
}
