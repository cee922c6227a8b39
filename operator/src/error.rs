//! Errors of a reconciliation.

use std::time::Duration;

use kube::ResourceExt;

use crate::ownership::Blocked;
use crate::stored::Unreadable;

/// A step that failed. All of them are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("cannot read the {what}: {}", said(source))]
    Read {
        what: &'static str,
        source: Box<kube::Error>,
    },
    #[error("cannot {what}: {}", said(source))]
    Write { what: String, source: Box<kube::Error> },
    #[error(transparent)]
    Blocked(#[from] Blocked),
    #[error(transparent)]
    Unreadable(#[from] Box<Unreadable>),
    #[error("a reconciliation takes at most {} seconds and was ended: the API server is slow or does not answer", .0.as_secs())]
    Deadline(Duration),
}

impl ReconcileError {
    /// Wraps the error of a read.
    pub(crate) fn reading(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Read {
            what,
            source: Box::new(source),
        }
    }

    /// Wraps the error of a write; `what` completes "cannot …".
    pub(crate) fn writing(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        |source| Self::Write {
            what,
            source: Box::new(source),
        }
    }

    /// The category: `blocked`, `conflict`, `deadline`, `refused`, `read`, `unreadable` or `write`. The label `result`
    /// of the metric `reconciliations` has one of these, or `ok`.
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            Self::Unreadable(_) => "unreadable",
            Self::Deadline(_) => "deadline",
            _ if self.is_conflict() => "conflict",
            _ if self.refused().is_some() => "refused",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
        }
    }

    /// True if somebody else has just changed the object: it is read again at
    /// once.
    pub(crate) fn is_conflict(&self) -> bool {
        self.api_status().is_some_and(kube::core::Status::is_conflict)
    }

    /// The message of the API server, if it refused an object for what it contains.
    pub(crate) fn refused(&self) -> Option<&str> {
        let status = self
            .api_status()
            .filter(|status| status.is_invalid() || status.code == 400 || status.is_forbidden());
        status.map(|status| status.message.as_str())
    }

    fn api_status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Blocked(_) | Self::Unreadable(_) | Self::Deadline(_) => None,
        }
    }
}

/// The text of an error for a person: the API server's own words, if it answered.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// `namespace/name`, for logs.
pub(crate) fn named(cluster: &impl ResourceExt) -> String {
    format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any())
}
