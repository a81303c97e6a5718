//! Whether one market asks the opposite of the other: words first, then prices. A hint for the reader, nothing more.
use super::text::Text;
use serde::Serialize;

/// What words and prices say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Nothing speaks for an inversion.
    Same,
    /// One asks the opposite.
    Inverted,
    /// Signs contradict each other.
    Unclear,
}

const NEGATIONS: &[&str] = &[
    "not", "no", "never", "without", "fail", "fails", "cannot", "neither",
];

/// Words that turn a question round when one stands where the other does.
const OPPOSITES: &[(&[&str], &[&str])] = &[
    (
        &["win", "wins", "won", "beat", "beats"],
        &["lose", "loses", "lost"],
    ),
    (
        &[
            "above", "over", "exceed", "exceeds", "higher", "more", "greater",
        ],
        &["below", "under", "lower", "less", "fewer"],
    ),
    (&["least"], &["most"]),
    (
        &[
            "rise",
            "rises",
            "increase",
            "increases",
            "up",
            "hike",
            "hikes",
        ],
        &[
            "fall",
            "falls",
            "decrease",
            "decreases",
            "down",
            "cut",
            "cuts",
        ],
    ),
    (&["before"], &["after"]),
    (
        &["pass", "passes", "accept", "accepts", "approve", "approves"],
        &["reject", "rejects", "veto", "vetoes"],
    ),
    (
        &["remain", "remains", "stay", "stays"],
        &["leave", "leaves", "exit", "exits", "resign", "resigns"],
    ),
];

/// How far from 1 two YES prices may add up to and look inverted.
const ABOUT: f64 = 0.05;
/// Prices nearer to each other than this look the same either way.
const APART: f64 = 0.10;

/// What was found, with the reasons in words.
pub(super) fn direction(
    a: &Text,
    b: &Text,
    yes: Option<f64>,
    other_yes: Option<f64>,
) -> (Direction, Vec<String>) {
    let mut reasons = Vec::new();
    let negations = |text: &Text| text.words.iter().filter(|word| is_negation(word)).count();
    let negated = negations(a) % 2 != negations(b) % 2;
    if negated {
        reasons.push("one question is negated and the other is not".to_owned());
    }
    let mut opposed = false;
    let has =
        |text: &Text, words: &[&str]| text.words.iter().any(|word| words.contains(&word.as_str()));
    for (one, other) in OPPOSITES {
        let (a_one, a_other) = (has(a, one), has(a, other));
        let (b_one, b_other) = (has(b, one), has(b, other));
        if a_one != a_other && b_one != b_other && a_one != b_one {
            opposed = !opposed;
            reasons.push(format!(
                "one says '{}' where the other says '{}'",
                one[0], other[0]
            ));
        }
    }
    let by_words = negated != opposed;
    let by_prices = yes.zip(other_yes).and_then(|(p, q)| {
        let far_apart = (p - q).abs() >= APART;
        if far_apart && (p + q - 1.0).abs() <= ABOUT {
            reasons.push(format!(
                "the YES prices {p} and {q} add up to about 1: suspect inversion"
            ));
            Some(true)
        } else if far_apart {
            None
        } else {
            ((p - 0.5).abs() >= APART).then_some(false)
        }
    });
    let found = match (by_words, by_prices) {
        _ if negated && opposed => Direction::Unclear,
        (true, Some(false)) | (false, Some(true)) => Direction::Unclear,
        (true, _) => Direction::Inverted,
        (false, _) => Direction::Same,
    };
    (found, reasons)
}

fn is_negation(word: &str) -> bool {
    NEGATIONS.contains(&word) || word.ends_with("n't")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str, prices: Option<(f64, f64)>) -> Direction {
        let (yes, other) = (prices.map(|p| p.0), prices.map(|p| p.1));
        direction(&Text::new(a), &Text::new(b), yes, other).0
    }

    #[test]
    fn opposite_words_and_negations_are_found() {
        assert_eq!(
            of("Will Norway win?", "Will Norway lose?", None),
            Direction::Inverted
        );
        assert_eq!(
            of("BTC above 100k", "BTC below 100k", None),
            Direction::Inverted
        );
        assert_eq!(
            of("Will it pass?", "Will it not pass?", None),
            Direction::Inverted
        );
        assert_eq!(
            of("Will it pass?", "It won't pass", None),
            Direction::Inverted
        );
        assert_eq!(of("BTC above 100k", "BTC over 100k", None), Direction::Same);
        assert_eq!(
            of("Norway not to win", "Norway loses", None),
            Direction::Unclear
        );
        assert_eq!(
            of("Up or down?", "Will it go up?", None),
            Direction::Same,
            "both words say neither"
        );
    }

    #[test]
    fn prices_that_add_up_to_1_are_suspect_where_they_are_apart() {
        let (a, b) = ("Will Norway win?", "Norway to win");
        assert_eq!(
            of(a, b, Some((0.30, 0.71))),
            Direction::Unclear,
            "words say the same, prices do not"
        );
        assert_eq!(
            of(a, b, Some((0.50, 0.50))),
            Direction::Same,
            "at a half they say nothing"
        );
        assert_eq!(of(a, b, Some((0.30, 0.31))), Direction::Same);
        let lose = "Will Norway lose?";
        assert_eq!(of(a, lose, Some((0.30, 0.71))), Direction::Inverted);
        assert_eq!(of(a, lose, Some((0.30, 0.31))), Direction::Unclear);
    }
}
