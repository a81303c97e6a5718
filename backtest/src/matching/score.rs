//! How alike two markets are: `0.6 x cosine of their terms + 0.4 x Jaccard of their figures`.
use super::text::Text;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A score with its parts, each between 0 and 1 and rounded to 1e-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The whole.
    pub total: f64,
    /// Cosine of the terms, weighted by TF-IDF over the two texts.
    pub terms: f64,
    /// Jaccard index of numbers, percentages and dates; none where neither text has any: then the terms alone count, or
    /// every two questions without a number would be alike.
    pub figures: Option<f64>,
}

/// A market's question alone, and with its rules.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) title: Text,
    whole: Text,
}

impl Texts {
    pub(super) fn new(title: &str, rules: &str) -> Self {
        Self {
            title: Text::new(title),
            whole: Text::new(&format!("{title} {rules}")),
        }
    }

    /// Whether they share a term of their questions: without one no score is worth computing.
    pub(super) fn share_a_term(&self, other: &Self) -> bool {
        let (few, many) = if self.title.terms.len() < other.title.terms.len() {
            (&self.title.terms, &other.title.terms)
        } else {
            (&other.title.terms, &self.title.terms)
        };
        few.keys().any(|term| many.contains_key(term))
    }
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// How alike two questions with their rule texts are.
pub fn score(title: &str, rules: &str, other_title: &str, other_rules: &str) -> Score {
    score_of(
        &Texts::new(title, rules),
        &Texts::new(other_title, other_rules),
    )
}

pub(super) fn score_of(a: &Texts, b: &Texts) -> Score {
    // Venues wrap the same question in rules of their own: the better of both views counts.
    let titles = cosine(&a.title.terms, &b.title.terms);
    let terms = titles.max(cosine(&a.whole.terms, &b.whole.terms));
    let both_have = !a.title.figures.is_empty() && !b.title.figures.is_empty();
    let figures = if both_have {
        jaccard(&a.title.figures, &b.title.figures)
    } else {
        jaccard(&a.whole.figures, &b.whole.figures)
    };
    let total = match figures {
        Some(figures) => 0.6 * terms + 0.4 * figures,
        None => terms,
    };
    Score {
        total: rounded(total),
        terms: rounded(terms),
        figures: figures.map(rounded),
    }
}

/// The cosine of two texts' TF-IDF vectors. With two documents a term is in one or in both:
/// `idf = ln(3 / (1 + documents)) + 1`.
fn cosine(a: &BTreeMap<String, u32>, b: &BTreeMap<String, u32>) -> f64 {
    let alone = 1.5f64.ln() + 1.0;
    let norm = |own: &BTreeMap<String, u32>, other: &BTreeMap<String, u32>| {
        let weight = |(term, count): (&String, &u32)| {
            let idf = if other.contains_key(term) { 1.0 } else { alone };
            (f64::from(*count) * idf).powi(2)
        };
        own.iter().map(weight).sum::<f64>().sqrt()
    };
    let shared = |(term, count): (&String, &u32)| {
        b.get(term)
            .map_or(0.0, |other| f64::from(*count) * f64::from(*other))
    };
    let dot: f64 = a.iter().map(shared).sum();
    let norms = norm(a, b) * norm(b, a);
    if norms > 0.0 {
        (dot / norms).min(1.0)
    } else {
        0.0
    }
}

fn jaccard(a: &BTreeSet<String>, b: &BTreeSet<String>) -> Option<f64> {
    let all = a.union(b).count();
    (all > 0).then(|| a.intersection(b).count() as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str) -> Score {
        score(a, "", b, "")
    }

    #[test]
    fn the_same_question_scores_1_and_in_other_words_nearly() {
        let title = "Will Bitcoin be above $100,000 on Nov 21, 2026?";
        assert_eq!(of(title, title).total, 1.0);
        let other = of(title, "Bitcoin above $100k on November 21, 2026");
        assert_eq!((other.total, other.figures), (1.0, Some(1.0)));
        let wordy = score(
            title,
            "",
            title,
            "Source: the index of an exchange, at noon.",
        );
        assert_eq!(
            wordy.total, 1.0,
            "rules that one side tells do not hide the question"
        );
    }

    #[test]
    fn unrelated_questions_stay_below_the_filter() {
        let unrelated = of(
            "Will Bitcoin be above $100,000 on Nov 21, 2026?",
            "Will Norway win the World Cup in July 2027?",
        );
        assert_eq!(unrelated.total, 0.0);
        assert!(of("Will it rain in Oslo?", "Will the bill pass the Senate?").total < 0.25);
    }

    /// By hand: the figures are 100000 and the date against 120000 and the date: 2 of 4 (date, year); the terms share
    /// bitcoin and above, and each has its own number: 2 / (2 + 1.4055^2) = 2 / 3.9754 = .5031. .6 x .5031 + .4 x .5.
    #[test]
    fn another_strike_is_penalised() {
        let one = "Will Bitcoin be above $100,000 on Nov 21, 2026?";
        let strike = of(one, "Will Bitcoin be above $120,000 on Nov 21, 2026?");
        assert_eq!((strike.terms, strike.figures), (0.5031, Some(0.5)));
        assert_eq!(strike.total, 0.5019);
        let day = of(one, "Will Bitcoin be above $100,000 on Nov 28, 2026?");
        assert!(day.total < of(one, one).total && day.figures == Some(0.5));
    }
}
