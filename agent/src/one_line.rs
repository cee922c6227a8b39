//! Words of others, made to fit one line of a sentence.

/// Letters of another program's words in a sentence; the rest is cut.
pub(crate) const LONGEST: usize = 300;

/// A text without line breaks and control characters, cut to [`LONGEST`].
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<_> = text
        .split(|letter: char| letter.is_whitespace() || letter.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_fit_one_line() {
        assert_eq!(one_line(" a\r\nb\t\u{1b}[0m  c\n"), "a b [0m c");
        let long = one_line(&"é".repeat(2 * LONGEST));
        assert_eq!((long.chars().count(), long.chars().last()), (LONGEST + 1, Some('…')));
    }
}
