//! What can go wrong while a cluster is reconciled.

use muster_api::cluster::EtcdCluster;

use crate::ownership::Blocked;

/// A step that failed. All of them are tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be read.
    #[error("cannot read the {what}: {}", said(source))]
    Read {
        /// What.
        what: &'static str,
        /// Why.
        source: Box<kube::Error>,
    },
    /// Something could not be written.
    #[error("cannot {what}: {}", said(source))]
    Write {
        /// What.
        what: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// An object is in the way.
    #[error(transparent)]
    Blocked(#[from] Blocked),
}

impl Error {
    /// For failed reads.
    pub fn reading(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Read {
            what,
            source: Box::new(source),
        }
    }

    /// For failed writes; `what` completes "cannot …".
    pub fn writing(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        |source| Self::Write {
            what,
            source: Box::new(source),
        }
    }

    /// A few words of low cardinality, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked",
            _ if self.is_conflict() => "conflict",
            _ if self.refused().is_some() => "refused",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
        }
    }

    /// Whether somebody else has just changed the object: it is read again at
    /// once.
    pub fn is_conflict(&self) -> bool {
        self.api_status().is_some_and(kube::core::Status::is_conflict)
    }

    /// What the API server said, if it refused an object for what it contains.
    pub fn refused(&self) -> Option<&str> {
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
            Self::Blocked(_) => None,
        }
    }
}

/// What an error says to a person: the API server's own words, if it answered.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// `namespace/name`, for logs.
pub fn named(cluster: &EtcdCluster) -> String {
    use kube::ResourceExt;
    format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any())
}
