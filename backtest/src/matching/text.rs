//! What of a text is compared: its terms, and apart from them its numbers, percentages and dates.
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// A text taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Text {
    /// Words and numbers with their count, without stop words, month names, years and days.
    pub(super) terms: BTreeMap<String, u32>,
    /// Numbers ("100000"), percentages ("25%"), dates without their year ("date 11-21") and years ("year 2026").
    pub(super) figures: BTreeSet<String>,
    /// Every word as it stands, in order, lower case.
    pub(super) words: Vec<String>,
}

/// Words that say nothing about a question.
const STOP_WORDS: &[&str] = &[
    "a",
    "about",
    "all",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "by",
    "can",
    "do",
    "does",
    "during",
    "et",
    "for",
    "from",
    "had",
    "has",
    "have",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "market",
    "may",
    "of",
    "on",
    "or",
    "otherwise",
    "resolve",
    "resolves",
    "should",
    "so",
    "such",
    "than",
    "that",
    "the",
    "their",
    "then",
    "there",
    "this",
    "to",
    "utc",
    "was",
    "were",
    "what",
    "when",
    "where",
    "which",
    "who",
    "will",
    "with",
    "would",
    "yes",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The month that a word names, in full or by its first three letters.
fn month(word: &str) -> Option<u8> {
    let is = |name: &str| name == word || (word.len() == 3 && name.starts_with(word));
    let place = match word {
        "sept" => 8,
        _ => MONTHS.iter().position(|name| is(name))?,
    };
    u8::try_from(place + 1).ok()
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Word(String),
    /// With whether it stands alone: not part of "5.5", "1,000" or "30k".
    Number(Decimal, bool),
    Percent(Decimal),
    Date(u8, u8),
    Year(u16),
}

impl Text {
    /// Takes a text apart.
    pub(super) fn new(text: &str) -> Self {
        let pieces = dates(pieces(text));
        let mut taken = Text::default();
        for piece in pieces {
            match piece {
                Piece::Word(word) => {
                    if !STOP_WORDS.contains(&word.as_str()) && month(&word).is_none() {
                        *taken.terms.entry(stem(&word)).or_default() += 1;
                    }
                    taken.words.push(word);
                }
                Piece::Number(number, _) => {
                    let number = number.normalize().to_string();
                    *taken.terms.entry(number.clone()).or_default() += 1;
                    taken.figures.insert(number);
                }
                Piece::Percent(number) => {
                    let percent = format!("{}%", number.normalize());
                    *taken.terms.entry(percent.clone()).or_default() += 1;
                    taken.figures.insert(percent);
                }
                Piece::Date(month, day) => {
                    taken.figures.insert(format!("date {month:02}-{day:02}"));
                }
                Piece::Year(year) => {
                    taken.figures.insert(format!("year {year}"));
                }
            }
        }
        taken
    }
}

/// "wins" and "win" are one term; nothing cleverer, so that it stays plain why two texts are alike.
fn stem(word: &str) -> String {
    let plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    word[..word.len() - usize::from(plural)].to_owned()
}

fn pieces(text: &str) -> Vec<Piece> {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let chars: Vec<char> = text.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let from = at;
        if chars[at].is_ascii_digit() {
            let inside = |at: usize| {
                chars[at].is_ascii_digit()
                    || matches!(chars[at], ',' | '.')
                        && chars.get(at + 1).is_some_and(char::is_ascii_digit)
            };
            while at < chars.len() && inside(at) {
                at += 1;
            }
            let digits: String = chars[from..at].iter().filter(|c| **c != ',').collect();
            let Ok(number) = Decimal::from_str(&digits) else {
                continue;
            };
            let is_plain = chars[from..at].iter().all(char::is_ascii_digit);
            // A letter or two right behind it: 30k, 1.5m, 21st.
            let behind = at;
            while at < chars.len() && chars[at].is_alphabetic() {
                at += 1;
            }
            let suffix: String = chars[behind..at].iter().collect();
            let next = chars.get(at);
            pieces.push(match (scale(&suffix), next) {
                (Some(scale), _) if !suffix.is_empty() => Piece::Number(number * scale, false),
                (_, Some('%')) => Piece::Percent(number),
                _ => Piece::Number(number, is_plain),
            });
            let says_nothing = ["st", "nd", "rd", "th", ""].contains(&suffix.as_str());
            if scale(&suffix).is_none() && !says_nothing {
                pieces.push(Piece::Word(suffix));
            }
        } else if chars[at].is_alphabetic() {
            while at < chars.len() && (chars[at].is_alphabetic() || chars[at] == '\'') {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            let word = word
                .trim_end_matches('\'')
                .trim_end_matches("'s")
                .to_owned();
            match (scale_word(&word), pieces.last_mut()) {
                (Some(scale), Some(Piece::Number(number, is_plain))) => {
                    *number *= scale;
                    *is_plain = false;
                }
                _ if word == "percent" || word == "pct" => {
                    if let Some(Piece::Number(number, _)) = pieces.last() {
                        let number = *number;
                        pieces.pop();
                        pieces.push(Piece::Percent(number));
                    }
                }
                _ => pieces.push(Piece::Word(word)),
            }
        } else {
            at += 1;
        }
    }
    pieces
}

fn scale(suffix: &str) -> Option<Decimal> {
    Some(Decimal::from(match suffix {
        "k" => 1_000u64,
        "m" | "mn" | "mm" => 1_000_000,
        "b" | "bn" => 1_000_000_000,
        "t" | "tn" => 1_000_000_000_000,
        _ => return None,
    }))
}

fn scale_word(word: &str) -> Option<Decimal> {
    match word {
        "thousand" => scale("k"),
        "million" => scale("m"),
        "billion" => scale("b"),
        "trillion" => scale("t"),
        _ => None,
    }
}

/// Finds dates: "Nov 21, 2026", "21 November", "2026-11-21", "11/21/2026", and years that stand alone.
fn dates(pieces: Vec<Piece>) -> Vec<Piece> {
    let small = |piece: Option<&Piece>, most: u8| match piece {
        Some(Piece::Number(number, true)) => {
            let number = u8::try_from(*number).ok()?;
            (1..=most).contains(&number).then_some(number)
        }
        _ => None,
    };
    let month_at = |piece: Option<&Piece>| match piece {
        Some(Piece::Word(word)) => month(word),
        _ => None,
    };
    let year_at = |piece: Option<&Piece>| match piece {
        Some(Piece::Number(number, true)) => {
            let year = u16::try_from(*number).ok()?;
            (1_900..=2_100).contains(&year).then_some(year)
        }
        _ => None,
    };
    let mut out = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        let (a, b, c) = (pieces.get(at), pieces.get(at + 1), pieces.get(at + 2));
        let day = |piece| small(piece, 31);
        let found = if let (Some(month), Some(day)) = (month_at(a), day(b)) {
            Some((Piece::Date(month, day), 2))
        } else if let (Some(day), Some(month)) = (day(a), month_at(b)) {
            Some((Piece::Date(month, day), 2))
        } else if let (Some(year), Some(month), Some(day)) = (year_at(a), small(b, 12), day(c)) {
            out.push(Piece::Year(year));
            Some((Piece::Date(month, day), 3))
        } else if let (Some(month), Some(day), Some(_)) = (small(a, 12), day(b), year_at(c)) {
            Some((Piece::Date(month, day), 2))
        } else {
            year_at(a).map(|year| (Piece::Year(year), 1))
        };
        let (piece, taken) = found.unwrap_or_else(|| (pieces[at].clone(), 1));
        out.push(piece);
        at += taken;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> Vec<String> {
        Text::new(text).figures.into_iter().collect()
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        for text in [
            "$100,000",
            "100000",
            "$100k",
            "100 thousand dollars",
            "0.1 million",
        ] {
            assert_eq!(figures(text), ["100000"], "{text}");
        }
        assert_eq!(
            figures("25%, 3.50 percent and 7 pct"),
            ["25%", "3.5%", "7%"]
        );
        assert_eq!(figures("$1.5bn or 2t"), ["1500000000", "2000000000000"]);
    }

    #[test]
    fn dates_are_the_same_however_they_are_written() {
        for text in [
            "Nov 21, 2026",
            "21 November 2026",
            "2026-11-21",
            "November 21st, 2026",
            "11/21/2026",
        ] {
            assert_eq!(figures(text), ["date 11-21", "year 2026"], "{text}");
        }
        assert_eq!(figures("may the best one win"), Vec::<String>::new());
        assert_eq!(figures("by May 3"), ["date 05-03"]);
    }

    #[test]
    fn terms_leave_out_what_says_nothing() {
        let text = Text::new("Will Norway win the World Cup's final on July 19, 2026?");
        let terms: Vec<&str> = text.terms.keys().map(String::as_str).collect();
        assert_eq!(terms, ["cup", "final", "norway", "win", "world"]);
        assert_eq!(Text::new("He wins 3 wins").terms.get("win"), Some(&2));
    }
}
