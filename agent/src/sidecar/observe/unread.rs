//! Causes of a failed read, told apart for the core: silence, a refusal, an answer that cannot be read.
//!
//! The core puts the words of a refusal into its sentence, so they are made to fit one line.

use muster_membership::Unread;

use crate::etcd::Failure;
use crate::kubernetes::BirthFailure;

/// Letters of somebody else's words in a sentence; the rest is cut.
const LONGEST: usize = 300;

/// An error of a read.
pub(super) trait Cause: std::fmt::Display {
    /// Its cause, as the core tells causes apart.
    fn unread(&self) -> Unread;
}

impl Cause for kube::Error {
    fn unread(&self) -> Unread {
        match self {
            // An overload or an error inside says nothing of the request: HTTP 408, 429, 5xx.
            Self::Api(status) if status.code == 408 || status.code == 429 || status.code >= 500 => Unread::Silent,
            Self::Api(status) => Unread::Refused(words(&status.message, &status.reason, status.code)),
            Self::SerdeError(error) => Unread::Unreadable(one_line(&error.to_string())),
            Self::FromUtf8(error) => Unread::Unreadable(one_line(&error.to_string())),
            // A connection that cannot be made or was cut, a token that cannot be read.
            _ => Unread::Silent,
        }
    }
}

impl Cause for BirthFailure {
    fn unread(&self) -> Unread {
        match self {
            Self::Kube(error) => error.unread(),
            Self::Record(error) => Unread::Unreadable(one_line(&error.to_string())),
            Self::Silent | Self::Changed(_) => Unread::Silent,
        }
    }
}

impl Cause for Failure {
    fn unread(&self) -> Unread {
        match self {
            // A learner that does not serve such reads is as good as none.
            Self::Refused(words) if words.contains("learner") => Unread::Silent,
            Self::Refused(words) => Unread::Refused(one_line(words)),
            Self::Unknown(_) => Unread::Silent,
        }
    }
}

/// The report of another agent.
impl Cause for anyhow::Error {
    fn unread(&self) -> Unread {
        match self.downcast_ref::<serde_json::Error>() {
            Some(error) => Unread::Unreadable(one_line(&error.to_string())),
            None => Unread::Silent,
        }
    }
}

/// The API server's sentence; without one its reason, with neither the HTTP status.
fn words(message: &str, reason: &str, code: u16) -> String {
    match (message, reason) {
        ("", "") => format!("HTTP {code}"),
        ("", reason) => one_line(reason),
        (message, _) => one_line(message),
    }
}

/// A text without line breaks and control characters, cut to [`LONGEST`].
fn one_line(text: &str) -> String {
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
