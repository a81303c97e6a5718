//! Pairs that are alike enough to be read by somebody, with every doubt there is.
use super::direction::{Direction, direction};
use super::market::Market;
use super::score::{Score, Texts, score_of};
use onetape_engine::compliance::{BLOCKED_WORDS, is_blocked};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is suggested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Pairs below this are not.
    pub min_score: f64,
    /// Nor those that settle further apart than this, in days.
    pub max_days: u32,
    /// Nor more of a market than this.
    pub most: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            min_score: 0.25,
            max_days: 7,
            most: 20,
        }
    }
}

/// Two markets that may ask the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// How alike they are.
    pub score: Score,
    /// Whether one asks the opposite.
    pub direction: Direction,
    /// The market with one book (Kalshi).
    pub single_book: Named,
    /// The market with one book a token (Polymarket).
    pub token_market: Named,
    /// The YES token, where the outcomes are Yes and No.
    pub yes_token: Option<String>,
    /// The NO token.
    pub no_token: Option<String>,
    /// What the reader should look at.
    pub warnings: Vec<String>,
}

/// A market as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its question.
    pub title: String,
    /// When it is expected to settle, RFC 3339.
    pub settles_at: Option<String>,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// By score, best first.
    pub suggestions: Vec<Suggestion>,
    /// Markets that were compared: of the single-book venue and of the token venue.
    pub compared: (usize, usize),
    /// Markets left out for what they are about, by id.
    pub blocked: Vec<String>,
    /// Markets left out because they take no orders any more.
    pub closed: usize,
}

/// Suggests pairs of a single-book venue's markets and a token venue's.
pub fn suggest(single_book: &[Market], token_markets: &[Market], options: &Options) -> Report {
    let blocked = |text: &str| is_blocked(text, BLOCKED_WORDS);
    let mut report = Report::default();
    let mut admit = |markets: &'_ [Market]| -> Vec<usize> {
        let mut places = Vec::new();
        for (place, market) in markets.iter().enumerate() {
            if market.is_closed {
                report.closed += 1;
            } else if blocked(&market.title) || blocked(&market.rules) {
                report.blocked.push(market.id.clone());
            } else {
                places.push(place);
            }
        }
        places
    };
    let prepared = |markets: &[Market], places: Vec<usize>| -> Vec<(usize, Texts)> {
        let texts = |place: usize| Texts::new(&markets[place].title, &markets[place].rules);
        places
            .into_iter()
            .map(|place| (place, texts(place)))
            .collect()
    };
    let (ours, theirs) = (admit(single_book), admit(token_markets));
    let (ours, theirs) = (prepared(single_book, ours), prepared(token_markets, theirs));
    report.compared = (ours.len(), theirs.len());
    let (siblings, other_siblings) = (events(single_book), events(token_markets));
    for (place, texts) in &ours {
        let market = &single_book[*place];
        let mut found = Vec::new();
        for (other_place, other_texts) in &theirs {
            let other = &token_markets[*other_place];
            if !settle_together(market, other, options.max_days) || !texts.share_a_term(other_texts)
            {
                continue;
            }
            let score = score_of(texts, other_texts);
            if score.total >= options.min_score {
                found.push((score, other, other_texts));
            }
        }
        found.sort_by(|a, b| {
            b.0.total
                .total_cmp(&a.0.total)
                .then_with(|| a.1.id.cmp(&b.1.id))
        });
        for (score, other, other_texts) in found.into_iter().take(options.most) {
            let (direction, mut warnings) = direction(
                &texts.title,
                &other_texts.title,
                market.yes_price,
                other.yes_price,
            );
            warnings.extend(doubts(market, other, &siblings, &other_siblings));
            let is_yes_no = is_yes_no(other);
            let token = |nth: usize| other.tokens.get(nth).cloned().filter(|_| is_yes_no);
            report.suggestions.push(Suggestion {
                score,
                direction,
                single_book: named(market),
                token_market: named(other),
                yes_token: token(0),
                no_token: token(1),
                warnings,
            });
        }
    }
    let by_score = |a: &Suggestion, b: &Suggestion| b.score.total.total_cmp(&a.score.total);
    report.suggestions.sort_by(by_score);
    report
}

fn named(market: &Market) -> Named {
    Named {
        id: market.id.clone(),
        title: market.title.clone(),
        settles_at: market.settles_at.map(|at| at.to_string()),
    }
}

/// How many markets each event has.
fn events(markets: &[Market]) -> BTreeMap<&str, usize> {
    let mut events = BTreeMap::new();
    for event in markets.iter().filter_map(|market| market.event.as_deref()) {
        *events.entry(event).or_default() += 1;
    }
    events
}

/// Whether both settle within the days, or one does not say when.
fn settle_together(a: &Market, b: &Market, max_days: u32) -> bool {
    match (a.settles_at, b.settles_at) {
        (Some(a), Some(b)) => a.as_second().abs_diff(b.as_second()) <= u64::from(max_days) * 86_400,
        _ => true,
    }
}

fn is_yes_no(market: &Market) -> bool {
    let is = |nth: usize, name: &str| {
        market
            .outcomes
            .get(nth)
            .is_some_and(|o| o.eq_ignore_ascii_case(name))
    };
    market.outcomes.len() == 2 && is(0, "yes") && is(1, "no")
}

fn doubts(
    market: &Market,
    other: &Market,
    siblings: &BTreeMap<&str, usize>,
    other_siblings: &BTreeMap<&str, usize>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    if market.settles_at.is_none() || other.settles_at.is_none() {
        doubts.push("one of them does not say when it settles".to_owned());
    }
    if market.rules.is_empty() || other.rules.is_empty() {
        doubts.push("the rule text of one of them is missing".to_owned());
    }
    if !other.outcomes.is_empty() && !is_yes_no(other) {
        doubts.push(format!(
            "its outcomes are {}, not Yes and No: find out which token is which",
            other.outcomes.join(", ")
        ));
    }
    if other.tokens.len() != 2 {
        doubts.push("its tokens are not known".to_owned());
    }
    if market.is_negative_risk || other.is_negative_risk {
        doubts.push(
            "neg-risk: one of several outcomes, maybe with a hidden Other; the YES prices may add up to less than 1".to_owned(),
        );
    }
    for (market, siblings) in [(market, siblings), (other, other_siblings)] {
        let number = market
            .event
            .as_deref()
            .and_then(|event| siblings.get(event));
        if let (Some(event), Some(number)) = (&market.event, number.filter(|number| **number > 1)) {
            doubts.push(format!(
                "{} is one of {number} markets of {event}: compare the outcome, not the event",
                market.id
            ));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(id: &str, title: &str, day: u8) -> Market {
        Market {
            id: id.into(),
            title: title.into(),
            rules: "As told.".into(),
            settles_at: format!("2026-11-{day:02}T12:00:00Z").parse().ok(),
            outcomes: vec!["Yes".into(), "No".into()],
            tokens: vec!["1".into(), "2".into()],
            ..Market::default()
        }
    }

    const TITLE: &str = "Will Bitcoin be above $100,000 on Nov 21, 2026?";

    #[test]
    fn pairs_that_settle_more_than_a_week_apart_are_not_suggested() {
        let ours = [market("K", TITLE, 10)];
        let theirs = [market("near", TITLE, 17), market("far", TITLE, 18)];
        let report = suggest(&ours, &theirs, &Options::default());
        let ids: Vec<&str> = report
            .suggestions
            .iter()
            .map(|s| s.token_market.id.as_str())
            .collect();
        assert_eq!(ids, ["near"]);
        assert_eq!(report.suggestions[0].yes_token.as_deref(), Some("1"));
        assert!(report.suggestions[0].warnings.is_empty());
    }

    #[test]
    fn the_best_twenty_of_a_market_come_best_first() {
        let ours = [market("K", TITLE, 10)];
        let strike = |n: usize| {
            market(
                &format!("P{n:02}"),
                &format!("Will Bitcoin be above ${} on Nov 21, 2026?", 100_000 + n),
                10,
            )
        };
        let theirs: Vec<Market> = (0..30).map(strike).collect();
        let report = suggest(&ours, &theirs, &Options::default());
        assert_eq!(report.suggestions.len(), 20);
        assert_eq!(report.suggestions[0].token_market.id, "P00");
        assert_eq!(report.suggestions[0].score.total, 1.0);
    }

    #[test]
    fn what_no_market_may_be_about_is_left_out() {
        let ours = [
            market("K1", "Will the president be assassinated in 2026?", 10),
            market("K2", "A terrorist attack in 2026?", 10),
            market("K3", "Adult content ban in 2026?", 10),
            market("K4", "Will adults vote more in 2026?", 10),
        ];
        let report = suggest(&ours, &ours, &Options::default());
        assert_eq!(report.blocked, ["K1", "K2", "K3", "K1", "K2", "K3"]);
        assert_eq!(report.suggestions.len(), 1);
        assert_eq!(report.suggestions[0].single_book.id, "K4");
    }

    #[test]
    fn doubts_are_said() {
        let mut one = market("K", TITLE, 10);
        one.event = Some("E".into());
        let mut other = market("P", "Will Bitcoin be below $100,000 on Nov 21, 2026?", 10);
        other.is_negative_risk = true;
        other.outcomes = vec!["Up".into(), "Down".into()];
        let ours = [
            one.clone(),
            Market {
                id: "K2".into(),
                title: "Another?".into(),
                ..one
            },
        ];
        let report = suggest(&ours, &[other], &Options::default());
        let suggestion = &report.suggestions[0];
        assert_eq!(suggestion.direction, Direction::Inverted);
        assert_eq!(suggestion.yes_token, None, "Up is not Yes");
        let said = suggestion.warnings.join("\n");
        for needle in ["'above'", "neg-risk", "Up, Down", "one of 2 markets of E"] {
            assert!(said.contains(needle), "{needle}: {said}");
        }
    }

    #[test]
    fn closed_markets_are_left_out() {
        let closed = Market {
            is_closed: true,
            ..market("K", TITLE, 10)
        };
        let report = suggest(&[closed], &[market("P", TITLE, 10)], &Options::default());
        assert_eq!((report.suggestions.len(), report.closed), (0, 1));
    }
}
