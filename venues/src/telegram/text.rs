//! What a message's text may be.

/// Characters of a message at the most, as the API counts them: UTF-16 units, markup taken off.
pub const TEXT_MAX: usize = 4_096;

/// Puts a backslash before every character that means something in MarkdownV2, so that the text is shown as it stands.
pub fn escape_markdown_v2(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        if "_*[]()~`>#+-=|{}.!\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Cuts a text into messages of at most [`TEXT_MAX`] characters, at line ends where there are any. What is escaped is cut
/// first: a backslash and what it escapes must not part.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_matches('\n');
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = cut(rest);
        let (part, after) = rest.split_at(cut);
        rest = after.trim_start_matches('\n');
        Some(part)
    })
}

/// Where the first message ends: above 0 for a text that is not empty.
fn cut(text: &str) -> usize {
    let mut units = 0;
    let mut line_end = None;
    for (place, c) in text.char_indices() {
        if c == '\n' && place > 0 {
            line_end = Some(place);
        }
        units += c.len_utf16();
        if units > TEXT_MAX {
            return line_end.unwrap_or(place);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_cut_at_line_ends() {
        let line = "x".repeat(1_000);
        let text = [line.as_str(); 10].join("\n");
        let cut: Vec<&str> = parts(&text).collect();
        assert_eq!(
            cut.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [4_003, 4_003, 2_001]
        );
        assert!(
            cut.iter()
                .all(|part| !part.starts_with('\n') && !part.ends_with('\n'))
        );
        assert_eq!(parts("").count(), 0);
        assert_eq!(parts("\n\n").count(), 0);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters_as_the_api_counts_them() {
        // U+1F600 is two UTF-16 units.
        let text = "\u{1F600}".repeat(TEXT_MAX);
        let cut: Vec<&str> = parts(&text).collect();
        assert_eq!(cut.len(), 2);
        assert!(
            cut.iter()
                .all(|part| part.encode_utf16().count() == TEXT_MAX)
        );
    }

    proptest! {
        #[test]
        fn nothing_but_line_ends_is_lost(text in "(\\PC{0,3000}\n){0,9}\\PC{0,5000}") {
            let cut: Vec<&str> = parts(&text).collect();
            prop_assert!(cut.iter().all(|part| !part.is_empty() && part.encode_utf16().count() <= TEXT_MAX));
            prop_assert_eq!(cut.concat().replace('\n', ""), text.replace('\n', ""));
        }

        #[test]
        fn an_escaped_text_shows_as_the_text(text in "\\PC{0,60}") {
            let escaped = escape_markdown_v2(&text);
            let mut shown = String::new();
            let mut chars = escaped.chars();
            while let Some(c) = chars.next() {
                shown.push(if c == '\\' { chars.next().unwrap() } else { c });
            }
            prop_assert_eq!(shown, text);
        }
    }
}
