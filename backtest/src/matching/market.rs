//! Market lists: Kalshi's markets, Gamma's markets (Polymarket), or rows with `id`, `title` and the like.
use jiff::Timestamp;
use serde_json::{Map, Value};

/// A market as far as it is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Market {
    /// The venue's id: Kalshi's ticker, Polymarket's condition.
    pub id: String,
    /// The event that it is one market of, where there is one.
    pub event: Option<String>,
    /// The question.
    pub title: String,
    /// The rule text.
    pub rules: String,
    /// When it is expected to settle.
    pub settles_at: Option<Timestamp>,
    /// The price of YES, between 0 and 1.
    pub yes_price: Option<f64>,
    /// Names of the outcomes, where they are told.
    pub outcomes: Vec<String>,
    /// Ids of the tokens, in the order of the outcomes.
    pub tokens: Vec<String>,
    /// One of several outcomes of which exactly one pays, by the venue's own word.
    pub is_negative_risk: bool,
    /// Takes no orders any more.
    pub is_closed: bool,
}

/// A list that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Unreadable {
    /// "line 3" or "market 7".
    pub place: String,
    /// What is wrong there.
    pub why: String,
}

/// Reads a list: a JSON array, an answer with a `markets` or `data` array or a single `market`, or JSON lines.
///
/// # Errors
/// [`Unreadable`] with the first place that is no market.
pub fn read(text: &str) -> Result<Vec<Market>, Unreadable> {
    let whole: Result<Value, _> = serde_json::from_str(text);
    if let Ok(value) = whole {
        return rows(value)
            .into_iter()
            .enumerate()
            .map(|(nth, row)| market(&row).map_err(|why| fault("market", nth, why)))
            .collect();
    }
    let mut markets = Vec::new();
    for (nth, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(line).map_err(|e| fault("line", nth, e.to_string()))?;
        for row in rows(value) {
            markets.push(market(&row).map_err(|why| fault("line", nth, why))?);
        }
    }
    Ok(markets)
}

fn fault(what: &str, nth: usize, why: impl Into<String>) -> Unreadable {
    Unreadable {
        place: format!("{what} {}", nth + 1),
        why: why.into(),
    }
}

/// The markets in an answer, whatever it wraps them in.
fn rows(value: Value) -> Vec<Value> {
    match value {
        Value::Array(rows) => rows,
        Value::Object(mut fields) => {
            for name in ["markets", "data"] {
                if let Some(Value::Array(rows)) = fields.remove(name) {
                    return rows;
                }
            }
            match fields.remove("market") {
                Some(Value::Object(market)) => vec![Value::Object(market)],
                Some(other) => {
                    fields.insert("market".to_owned(), other);
                    vec![Value::Object(fields)]
                }
                None => vec![Value::Object(fields)],
            }
        }
        other => vec![other],
    }
}

fn market(row: &Value) -> Result<Market, String> {
    let Value::Object(fields) = row else {
        return Err("expected a market as a JSON object".to_owned());
    };
    let text = |names: &[&str]| first_text(fields, names);
    let id = text(&["ticker", "conditionId", "condition_id", "id"])
        .ok_or("expected an id in 'ticker', 'conditionId' or 'id'")?;
    let mut title = text(&["title", "question"]).unwrap_or_default();
    // Kalshi's title is the event's; what the market pays on stands in the subtitle.
    if let Some(subtitle) = text(&["yes_sub_title"])
        && !title.to_lowercase().contains(&subtitle.to_lowercase())
    {
        title = format!("{title} {subtitle}").trim().to_owned();
    }
    if title.is_empty() {
        return Err(format!(
            "market '{id}' has neither 'title' nor 'question' nor 'yes_sub_title'"
        ));
    }
    let rules: Vec<String> = ["rules_primary", "rules_secondary", "description", "rules"]
        .iter()
        .filter_map(|name| text(&[name]))
        .collect();
    let time = text(&[
        "expected_expiration_time",
        "settles_at",
        "settlement_time",
        "close_time",
        "endDate",
        "end_date",
    ]);
    let settles_at = time
        .map(|time| time_of(&time).ok_or_else(|| format!("market '{id}': '{time}' is no time")))
        .transpose()?;
    let flag = |name: &str| fields.get(name) == Some(&Value::Bool(true));
    let status = text(&["status"]).unwrap_or_default().to_lowercase();
    let ended = ["closed", "determined", "settled", "finalized", "resolved"];
    Ok(Market {
        event: text(&["event_ticker", "negRiskMarketID", "event"]),
        rules: rules.join(" "),
        settles_at,
        yes_price: yes_price(fields),
        outcomes: texts(fields, "outcomes"),
        tokens: texts(fields, "clobTokenIds"),
        is_negative_risk: flag("negRisk") || flag("neg_risk") || flag("negRiskOther"),
        is_closed: flag("closed") || flag("archived") || ended.contains(&status.as_str()),
        id,
        title,
    })
}

fn first_text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A list of texts; Gamma writes some of them as JSON inside a string.
fn texts(fields: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = match fields.get(name) {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let Value::Array(items) = list else {
        return Vec::new();
    };
    let item = |item: Value| match item {
        Value::String(text) => text,
        other => other.to_string(),
    };
    items.into_iter().map(item).collect()
}

fn time_of(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    // A date alone is its last instant: a market settles in the course of it.
    format!("{text}T23:59:59Z").parse().ok()
}

fn yes_price(fields: &Map<String, Value>) -> Option<f64> {
    let number = |name: &str| first_text(fields, &[name])?.parse::<f64>().ok();
    let both = number("yes_bid_dollars").zip(number("yes_ask_dollars"));
    let mid = both
        .filter(|(bid, ask)| *bid > 0.0 && ask > bid)
        .map(|(bid, ask)| (bid + ask) / 2.0);
    let told = || texts(fields, "outcomePrices").first()?.parse::<f64>().ok();
    let price = mid
        .or_else(|| number("last_price_dollars"))
        .or_else(|| number("yes_price"))
        .or_else(told)?;
    (0.0 < price && price < 1.0).then_some(price)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kalshi's GET /markets/{ticker}, shortened.
    const KALSHI: &str = r#"{"market": {"ticker": "KXHIGHNY-26NOV21-T55", "event_ticker": "KXHIGHNY-26NOV21",
        "title": "Highest temperature in NYC on Nov 21, 2026?", "yes_sub_title": "55 or above",
        "close_time": "2026-11-22T04:59:00Z", "expected_expiration_time": "2026-11-22T15:00:00Z", "status": "active",
        "yes_bid_dollars": "0.4200", "yes_ask_dollars": "0.4400", "last_price_dollars": "0.4300",
        "rules_primary": "If the highest temperature recorded in Central Park ...", "rules_secondary": ""}}"#;

    /// Gamma's market, shortened: lists are JSON inside strings.
    const GAMMA: &str = r#"[{"id": "1557558", "question": "Bitcoin Up or Down - March 12, 5:20AM-5:25AM ET",
        "conditionId": "0x78443f", "endDate": "2026-03-12T09:25:00Z", "outcomes": "[\"Up\", \"Down\"]",
        "outcomePrices": "[\"0.505\", \"0.495\"]", "clobTokenIds": "[\"104\", \"711\"]", "closed": false, "negRisk": false}]"#;

    #[test]
    fn both_venues_own_answers_are_understood() {
        let kalshi = &read(KALSHI).unwrap()[0];
        assert_eq!(kalshi.id, "KXHIGHNY-26NOV21-T55");
        assert_eq!(
            kalshi.title,
            "Highest temperature in NYC on Nov 21, 2026? 55 or above"
        );
        assert_eq!(kalshi.settles_at, "2026-11-22T15:00:00Z".parse().ok());
        assert_eq!(kalshi.yes_price, Some(0.43));
        assert_eq!(kalshi.event.as_deref(), Some("KXHIGHNY-26NOV21"));
        assert!(!kalshi.is_closed);
        let gamma = &read(GAMMA).unwrap()[0];
        assert_eq!(
            (gamma.id.as_str(), gamma.yes_price),
            ("0x78443f", Some(0.505))
        );
        assert_eq!(gamma.outcomes, ["Up", "Down"]);
        assert_eq!(gamma.tokens, ["104", "711"]);
    }

    #[test]
    fn plain_lines_are_understood_and_a_bad_one_is_named() {
        let lines = "{\"id\": \"a\", \"title\": \"A?\", \"settles_at\": \"2026-01-02\"}\n\n{\"id\": 7, \"question\": \"B?\"}\n";
        let markets = read(lines).unwrap();
        assert_eq!((markets[0].id.as_str(), markets[1].id.as_str()), ("a", "7"));
        assert_eq!(markets[0].settles_at, "2026-01-02T23:59:59Z".parse().ok());
        let why = |text: &str| read(text).unwrap_err().to_string();
        assert!(why("{\"id\": \"a\", \"title\": \"A?\"}\nnonsense").starts_with("line 2: "));
        assert!(why("[{\"title\": \"A?\"}]").starts_with("market 1: expected an id"));
        assert!(why("[{\"id\": \"a\"}]").contains("'a' has neither 'title'"));
        assert!(
            why("[{\"id\": \"a\", \"title\": \"A\", \"close_time\": \"soon\"}]")
                .contains("'soon' is no time")
        );
        assert!(why("[3]").contains("as a JSON object"));
    }
}
