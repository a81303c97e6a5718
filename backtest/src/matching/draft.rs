//! Suggestions as a facts file to be filled in. No importer takes it as it is: the approver is empty, and so is or is of the
//! wrong kind whatever a person has to decide.
use super::suggest::{Report, Suggestion};
use std::fmt::Write;

const HEAD: &str = "\
# Suggestions, not approvals. `onetape import` refuses this file until a person has read both rule texts and has filled in
# every field that says FILL IN, is empty or is 0, and has deleted the pairs that are not the same question.
";

/// The draft of every suggestion.
pub fn draft(report: &Report, single_book_venue: &str, token_venue: &str) -> String {
    let mut text = HEAD.to_owned();
    for (nth, suggestion) in report.suggestions.iter().enumerate() {
        pair(&mut text, nth, suggestion, single_book_venue, token_venue);
    }
    text
}

fn pair(text: &mut String, nth: usize, s: &Suggestion, single_book_venue: &str, token_venue: &str) {
    let quoted = |value: &str| toml::Value::String(value.to_owned()).to_string();
    let comment = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = |venue: &str, id: Option<&str>| match id {
        Some(id) => quoted(&format!("{venue}:{id}")),
        None => quoted("FILL IN: which token"),
    };
    let time = |at: Option<&str>| at.map_or_else(|| quoted("FILL IN: a time"), str::to_owned);
    let mut lines = vec![
        String::new(),
        format!(
            "# score {} (terms {}, figures {})",
            s.score.total,
            s.score.terms,
            s.score
                .figures
                .map_or_else(|| "none".to_owned(), |f| f.to_string())
        ),
        format!(
            "# {}: {}",
            comment(&s.single_book.id),
            comment(&s.single_book.title)
        ),
        format!(
            "# {}: {}",
            comment(&s.token_market.id),
            comment(&s.token_market.title)
        ),
    ];
    lines.extend(
        s.warnings
            .iter()
            .map(|warning| format!("# look: {}", comment(warning))),
    );
    lines.extend([
        "[[pair_approved]]".to_owned(),
        format!("at = {}", quoted("FILL IN: from when on it counts")),
        format!("pair = {}", quoted(&format!("suggestion-{}", nth + 1))),
        format!(
            "single_book = {}",
            named(single_book_venue, Some(&s.single_book.id))
        ),
        format!("yes_token = {}", named(token_venue, s.yes_token.as_deref())),
        format!("no_token = {}", named(token_venue, s.no_token.as_deref())),
        format!("inverted = {}", quoted("FILL IN: true or false")),
        "single_book_rules = \"\"".to_owned(),
        "token_rules = \"\"".to_owned(),
        format!(
            "void_rule = {}",
            quoted("FILL IN: both_refund, both_no or differs")
        ),
        format!(
            "cut_off = {}",
            quoted("FILL IN: no entries from this time on")
        ),
        format!(
            "single_book_settles_at = {}",
            time(s.single_book.settles_at.as_deref())
        ),
        format!(
            "token_settles_at = {}",
            time(s.token_market.settles_at.as_deref())
        ),
        "cluster = \"\"".to_owned(),
        "confidence_pct = 0".to_owned(),
        "approver = \"\"".to_owned(),
        format!("approved_at = {}", quoted("FILL IN: when")),
        format!(
            "question = {}",
            quoted(&format!(
                "{} / {}",
                s.single_book.title, s.token_market.title
            ))
        ),
    ]);
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::market::Market;
    use super::super::suggest::{Options, suggest};
    use super::*;

    #[test]
    fn a_draft_is_toml_that_says_what_is_missing() {
        let market = |id: &str| Market {
            id: id.into(),
            title: "Will \"X\"\nwin on Nov 21, 2026?".into(),
            settles_at: "2026-11-22T15:00:00Z".parse().ok(),
            outcomes: vec!["Yes".into(), "No".into()],
            tokens: vec!["11".into(), "22".into()],
            ..Market::default()
        };
        let report = suggest(&[market("K\"1")], &[market("P1")], &Options::default());
        let text = draft(&report, "kalshi", "polymarket");
        let table: toml::Table = text.parse().unwrap();
        let pair = &table["pair_approved"][0];
        assert_eq!(pair["single_book"].as_str(), Some("kalshi:K\"1"));
        assert_eq!(pair["yes_token"].as_str(), Some("polymarket:11"));
        assert_eq!(pair["approver"].as_str(), Some(""));
        assert_eq!(pair["confidence_pct"].as_integer(), Some(0));
        assert!(pair["inverted"].as_bool().is_none());
        assert!(pair["token_settles_at"].as_datetime().is_some());
        assert!(text.starts_with("# Suggestions, not approvals."));
    }
}
