//! Words of others, made fit for a sentence that is written once. No client.

/// Longest clause, in characters: some messages hold whole logs.
const LONGEST: usize = 600;
/// Shortest run of hexadecimal digits that is a container's or a sandbox's ID, and no number.
const ID: usize = 24;

/// Words of others as a clause: one line, without a full stop, and without what is another at each try. Container IDs
/// and times become an ellipsis, and the port of a connection's own end goes.
pub(super) fn clause(words: &str) -> String {
    let line: Vec<String> = words.split_whitespace().map(steady).collect();
    let line = line.join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn steady(word: &str) -> String {
    let word = match word.split_once("->") {
        // 10.0.0.3:45612->10.0.0.10:53
        Some((own, other)) => match own.rsplit_once(':') {
            Some((own, port)) if is_number(port) => format!("{own}->{other}"),
            _ => word.to_owned(),
        },
        None => word.to_owned(),
    };
    let mut steady = String::new();
    // A piece ends with the character that separates it from the next.
    for piece in word.split_inclusive(|letter: char| !(letter.is_ascii_alphanumeric() || "-:.+".contains(letter))) {
        let core = piece.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if is_id(core) || is_time(core) {
            steady += &piece.replace(core, "…");
        } else {
            steady += piece;
        }
    }
    steady
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for the ID of a container. A digest stays the same, and has its algorithm in front: `sha256:…`.
fn is_id(text: &str) -> bool {
    text.len() >= ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// True for a time as RFC 3339 writes it: `2026-11-27T15:50:40Z`.
fn is_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return false;
    };
    let date: Vec<&str> = date.split('-').collect();
    date.len() == 3 && date.iter().all(|part| is_number(part)) && time.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_line_without_a_full_stop() {
        assert_eq!(clause("Not\n\n there. \n"), "Not there");
        assert_eq!(clause(""), "");
        let long = clause(&"é".repeat(2_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn two_tries_of_one_mistake_have_the_same_words() {
        let same = |first: &str, second: &str| assert_eq!(clause(first), clause(second));
        same(
            "dial tcp: lookup no.such on 10.0.0.10:53: read udp 10.244.1.7:45612->10.0.0.10:53: i/o timeout",
            "dial tcp: lookup no.such on 10.0.0.10:53: read udp 10.244.1.7:39001->10.0.0.10:53: i/o timeout",
        );
        same(
            "name \"etcd_db-0\" is reserved for \"0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a\"",
            "name \"etcd_db-0\" is reserved for \"77aa9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3b\"",
        );
        same(
            "x509: certificate has expired: current time 2026-11-27T15:50:40Z is after 2026-01-01T00:00:00Z",
            "x509: certificate has expired: current time 2026-11-27T15:55:41+01:00 is after 2026-01-01T00:00:00Z",
        );
    }

    #[test]
    fn what_matters_stays() {
        for words in [
            "0/3 nodes are available: 3 Insufficient cpu",
            "exceeded quota: q, requested: limits.cpu=500m, used: limits.cpu=0, limited: limits.cpu=100m",
            "example.com/etcd@sha256:0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a9c0f3a: not found",
            "volume \"pvc-1e2d3c4b-0000-4111-8222-333344445555\" at http://10.0.0.1:80/v1",
        ] {
            assert_eq!(clause(words), words);
        }
    }
}
