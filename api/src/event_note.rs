//! The note of an Event.

/// Bytes of a note. The API server refuses more than 1024 (Kubernetes `pkg/apis/core/validation/events.go`).
const LONGEST: usize = 1_000;

/// `text` as the note of an Event: cut, between two letters, where the API server would refuse it.
#[must_use]
pub fn event_note(text: &str) -> String {
    let ends = text.char_indices().map(|(at, letter)| at + letter.len_utf8());
    let end = ends.take_while(|end| *end <= LONGEST).last().unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_counted_in_bytes_and_cut_between_two_letters() {
        let long = format!("x{}", "é".repeat(800));
        let note = event_note(&long);
        assert_eq!(note.len(), 999);
        assert!(long.starts_with(&note));
        assert_eq!(event_note("short"), "short");
    }
}
