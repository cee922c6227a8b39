//! The plan of a reconciliation: everything that it is going to do, decided from what was read. No client.
//!
//! ```text
//!   ObservedCluster + ValidatedCluster
//!      ├─ birth_record   create it, take it over, or leave it
//!      ├─ written        the version to note in it
//!      ├─ size_input ─▶ size    the next step towards the size
//!      ├─ pod_template   the template that stays, if one does
//!      ├─ rollout        the pods that wait for their replacement, and the next one
//!      ├─ claims         the marks and owners of volume claims
//!      └─ cleanup        what seats that were scaled away leave behind
//! ```
//!
//! Every write of a reconciliation follows from here. An object that belongs to somebody else makes the plan fail,
//! before anything is written.

use muster_api::status::EtcdClusterStatus;
use muster_api::version::Version;

use self::birth_record::{RecordInput, RecordStep};
use self::claims::ClaimUpdate;
use self::cleanup::CleanupPlan;
use self::pod_template::Template;
use self::rollout::{RolloutInput, RolloutPlan};
use self::size::SizePlan;
use crate::dereference::ObservedCluster;
use crate::ownership::{self, Blocked};
use crate::validate::ValidatedCluster;
use crate::written::Written;

pub(crate) mod birth_record;
pub(crate) mod claims;
pub(crate) mod cleanup;
pub(crate) mod pod_template;
pub(crate) mod rollout;
pub(crate) mod size;
pub(crate) mod size_input;

/// Everything that a reconciliation is going to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) size: SizePlan,
    pub(crate) record: RecordStep,
    /// The version to note in the birth record.
    pub(crate) written: Option<Version>,
    /// The pod template that stays; none if this release builds a new one.
    pub(crate) template: Option<Template>,
    pub(crate) rollout: RolloutPlan,
    /// The changes of volume claims' metadata.
    pub(crate) claims: Vec<ClaimUpdate>,
    pub(crate) cleanup: CleanupPlan,
}

/// Plans a reconciliation.
///
/// # Errors
/// An object of one of the cluster's names belongs to somebody else, or is still being deleted.
pub(crate) fn plan(
    observed: &ObservedCluster,
    published: &EtcdClusterStatus,
    written: &Written,
    cluster: &ValidatedCluster,
) -> Result<Plan, Blocked> {
    refuse_others(observed, cluster)?;
    let record = birth_record::plan(cluster, RecordInput::new(observed, published))?;
    let size_input = size_input::size_input(cluster, observed, published);
    let size = size::plan(&size_input);
    let template = pod_template::kept(observed, cluster, &size);
    let rollout = rollout::plan(
        &RolloutInput::new(observed, published, cluster, &size, size_input.formed),
        &size,
    );
    let claims = claims::plan(cluster, observed, published.cluster_id);
    let cleanup = cleanup::plan(cluster, observed, published, &size);
    let written = written.to_note(cluster.version);
    Ok(Plan {
        size,
        record,
        written,
        template,
        rollout,
        claims,
        cleanup,
    })
}

/// Refuses the StatefulSet of somebody else, and waits for volume claims of an earlier cluster to go.
fn refuse_others(observed: &ObservedCluster, cluster: &ValidatedCluster) -> Result<(), Blocked> {
    if let Some(set) = &observed.set {
        return ownership::check("StatefulSet", &set.metadata, cluster.owner_uid());
    }
    match observed.claims.iter().find(|claim| claim.going(cluster.owner_uid())) {
        Some(claim) => Err(Blocked::Predecessor {
            kind: "PersistentVolumeClaim",
            name: claim.name.clone(),
        }),
        None => Ok(()),
    }
}
