//! What no market may be about (requirements, five systems, 2.3: adult content, assassination, terrorism).

/// Beginnings of words; of several words in a row the last is a beginning.
pub const BLOCKED_WORDS: &[&str] = &[
    "assassin",
    "terror",
    "porn",
    "xxx",
    "nude",
    "nudity",
    "onlyfans",
    "adult content",
    "adult film",
    "sex tape",
    "suicide bomb",
];

/// Whether a text has one of the words, whatever its case and what stands between them.
pub fn is_blocked(text: &str, blocked: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    let lower = text.to_lowercase();
    let words = words(&lower);
    blocked.into_iter().any(|phrase| {
        let lower = phrase.as_ref().to_lowercase();
        let phrase = self::words(&lower);
        let Some((last, before)) = phrase.split_last() else {
            return false;
        };
        words.windows(phrase.len()).any(|found| {
            let (found_last, found_before) = found.split_last().unwrap_or((&"", &[]));
            found_before == before && found_last.starts_with(last)
        })
    })
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_case_and_end() {
        for text in [
            "Will X be assassinated?",
            "TERRORISM-26",
            "an Adult,  contents ban",
        ] {
            assert!(is_blocked(text, BLOCKED_WORDS), "{text}");
        }
        for text in ["", "adults only content", "rate cut in March", "deterrent"] {
            assert!(!is_blocked(text, BLOCKED_WORDS), "{text}");
        }
        assert!(!is_blocked("anything", ["", " "]));
        assert!(is_blocked("a WAR breaks out", ["war"]));
    }
}
