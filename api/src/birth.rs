//! The birth record: proof that a cluster was formed, and of the seat that founded it.
//!
//! It is the data of a ConfigMap. A claim is final: once a record is claimed,
//! only the volume that claimed it may ever start a new etcd cluster.
//!
//! ```text
//!   Unclaimed ── compare-and-swap by the lowest seat ──▶ Claimed ──▶ Formed
//! ```

use std::collections::BTreeMap;

use crate::id::HexId;

#[cfg(test)]
mod tests;

/// The keys of the ConfigMap's data.
pub mod key {
    /// `unclaimed`, `claimed` or `formed`; absent or empty means unclaimed.
    pub const PHASE: &str = "phase";
    /// The UID of the EtcdCluster; empty for a plain manifest.
    pub const OWNER: &str = "owner";
    /// `true` if no older volume claim existed when the record was made.
    pub const NO_OLDER_VOLUMES: &str = "noOlderVolumes";
    /// The initial cluster token of the founding.
    pub const TOKEN: &str = "token";
    /// The seat that claimed.
    pub const SEAT: &str = "seat";
    /// The UUID of the volume that claimed.
    pub const VOLUME: &str = "volume";
    /// The ID of the cluster.
    pub const CLUSTER_ID: &str = "clusterID";
    /// The ID of a cluster that a person gave up.
    pub const ABANDONED: &str = "abandoned";
    /// The etcd version that wrote the data last; absent without an operator.
    pub const VERSION: &str = "version";

    /// The keys that this release knows; others are kept as they are.
    pub(super) const KNOWN: &[&str] = &[
        PHASE,
        OWNER,
        NO_OLDER_VOLUMES,
        TOKEN,
        SEAT,
        VOLUME,
        CLUSTER_ID,
        ABANDONED,
        VERSION,
    ];
}

/// The record of a cluster's founding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthRecord {
    /// UID of the EtcdCluster; empty for a plain manifest.
    pub owner: String,
    /// The record's creator attests that no volume claim of this cluster
    /// existed when it made the record.
    pub no_older_volumes: bool,
    /// A cluster that a person gave up.
    pub abandoned: Option<HexId>,
    /// The etcd version that wrote the data last. Text: agents pass it on and judge nothing by it.
    pub version: Option<String>,
    /// Progress of the founding.
    pub phase: Founding,
    /// Keys that another release wrote and this one does not know; they are kept.
    pub unknown: BTreeMap<String, String>,
}

/// Progress of a cluster's founding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Founding {
    /// Nobody has claimed to found.
    Unclaimed,
    /// A volume has claimed, and may still be starting.
    Claimed(Claim),
    /// The cluster has served.
    Formed(Formed),
}

/// The seat and the volume that found, or founded, the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The initial cluster token.
    pub token: String,
    /// The seat that claimed.
    pub seat: u32,
    /// The UUID of the volume that claimed.
    pub volume: String,
    /// The ID the cluster has, or will have.
    pub cluster_id: HexId,
}

/// A cluster that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formed {
    /// The cluster's ID.
    pub cluster_id: HexId,
    /// The claim of its founder; unknown if the record was lost and published again.
    pub claim: Option<Claim>,
}

/// A ConfigMap that is not a birth record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BirthError {
    /// The phase is none of the three.
    #[error("the birth record's phase is {0:?}; it must be unclaimed, claimed or formed")]
    UnknownPhase(String),
    /// A value that the phase requires is missing.
    #[error("the birth record is {phase} but has no {key}")]
    Missing {
        /// The record's phase.
        phase: &'static str,
        /// The key that is missing.
        key: &'static str,
    },
    /// A value cannot be read.
    #[error("the birth record's {key} {value:?} cannot be read")]
    Unreadable {
        /// The key of the value.
        key: &'static str,
        /// The value.
        value: String,
    },
}

impl BirthRecord {
    /// A record of a cluster that nobody has founded.
    pub fn unclaimed(owner: impl Into<String>, no_older_volumes: bool) -> Self {
        Self {
            owner: owner.into(),
            no_older_volumes,
            abandoned: None,
            version: None,
            phase: Founding::Unclaimed,
            unknown: BTreeMap::new(),
        }
    }

    /// A record of a cluster that is known to exist.
    pub fn formed(owner: impl Into<String>, cluster_id: HexId) -> Self {
        let phase = Founding::Formed(Formed {
            cluster_id,
            claim: None,
        });
        Self {
            owner: owner.into(),
            no_older_volumes: false,
            abandoned: None,
            version: None,
            phase,
            unknown: BTreeMap::new(),
        }
    }

    /// The ID of the cluster that was claimed or formed.
    pub fn cluster_id(&self) -> Option<HexId> {
        match &self.phase {
            Founding::Unclaimed => None,
            Founding::Claimed(claim) => Some(claim.cluster_id),
            Founding::Formed(formed) => Some(formed.cluster_id),
        }
    }

    /// The founding claim, if it is known.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.phase {
            Founding::Unclaimed => None,
            Founding::Claimed(claim) => Some(claim),
            Founding::Formed(formed) => formed.claim.as_ref(),
        }
    }

    /// The record in effect: a cluster that a person gave up leaves it
    /// unclaimed, and then nobody attests that older volumes are absent.
    pub fn effective(&self) -> Self {
        if self.abandoned.is_some() && self.abandoned == self.cluster_id() {
            Self {
                no_older_volumes: false,
                phase: Founding::Unclaimed,
                ..self.clone()
            }
        } else {
            self.clone()
        }
    }

    /// Reads a ConfigMap's data.
    ///
    /// # Errors
    /// The phase is unknown, or a value that it requires is absent or cannot be decoded.
    pub fn from_data(data: &BTreeMap<String, String>) -> Result<Self, BirthError> {
        let read = Reader { data };
        Ok(Self {
            owner: read.text(key::OWNER).unwrap_or_default(),
            no_older_volumes: read.text(key::NO_OLDER_VOLUMES).as_deref() == Some("true"),
            abandoned: read.parsed(key::ABANDONED)?,
            version: read.text(key::VERSION),
            phase: read.phase()?,
            unknown: read.unknown(),
        })
    }

    /// Writes a ConfigMap's data.
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let phase = match &self.phase {
            Founding::Unclaimed => UNCLAIMED,
            Founding::Claimed(_) => CLAIMED,
            Founding::Formed(_) => FORMED,
        };
        let mut data = self.unknown.clone();
        let mut put = |key: &str, value: String| data.insert(key.to_owned(), value);
        put(key::PHASE, phase.to_owned());
        put(key::OWNER, self.owner.clone());
        put(key::NO_OLDER_VOLUMES, self.no_older_volumes.to_string());
        if let Some(version) = &self.version {
            put(key::VERSION, version.clone());
        }
        if let Some(abandoned) = self.abandoned {
            put(key::ABANDONED, abandoned.to_string());
        }
        if let Some(cluster_id) = self.cluster_id() {
            put(key::CLUSTER_ID, cluster_id.to_string());
        }
        if let Some(claim) = self.claim() {
            put(key::TOKEN, claim.token.clone());
            put(key::SEAT, claim.seat.to_string());
            put(key::VOLUME, claim.volume.clone());
        }
        data
    }
}

const UNCLAIMED: &str = "unclaimed";
const CLAIMED: &str = "claimed";
const FORMED: &str = "formed";

struct Reader<'a> {
    data: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn phase(&self) -> Result<Founding, BirthError> {
        match self.text(key::PHASE).as_deref() {
            None | Some(UNCLAIMED) => Ok(Founding::Unclaimed),
            Some(CLAIMED) => Ok(Founding::Claimed(self.claim(CLAIMED)?)),
            Some(FORMED) => {
                let claim = self
                    .data
                    .contains_key(key::TOKEN)
                    .then(|| self.claim(FORMED))
                    .transpose()?;
                Ok(Founding::Formed(Formed {
                    cluster_id: self.required(FORMED, key::CLUSTER_ID)?,
                    claim,
                }))
            }
            Some(other) => Err(BirthError::UnknownPhase(other.to_owned())),
        }
    }

    fn claim(&self, phase: &'static str) -> Result<Claim, BirthError> {
        Ok(Claim {
            token: self.required(phase, key::TOKEN)?,
            seat: self.required(phase, key::SEAT)?,
            volume: self.required(phase, key::VOLUME)?,
            cluster_id: self.required(phase, key::CLUSTER_ID)?,
        })
    }

    fn unknown(&self) -> BTreeMap<String, String> {
        let foreign = |(key, _): &(&String, &String)| !key::KNOWN.contains(&key.as_str());
        let found = self.data.iter().filter(foreign);
        found.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.data.get(key).filter(|value| !value.is_empty()).cloned()
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<T>, BirthError> {
        self.text(key)
            .map(|value| value.parse().map_err(|_| BirthError::Unreadable { key, value }))
            .transpose()
    }

    fn required<T: std::str::FromStr>(&self, phase: &'static str, key: &'static str) -> Result<T, BirthError> {
        self.parsed(key)?.ok_or(BirthError::Missing { phase, key })
    }
}
