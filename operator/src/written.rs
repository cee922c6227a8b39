//! The etcd version that wrote a cluster's data, and the versions that may follow it. No client.
//!
//! ```text
//!   agents' reports ─▶ what runs ─▶ the birth record's key `version` ─▶ data, also without a StatefulSet
//! ```
//!
//! The StatefulSet's annotation says what its template runs; it goes with the StatefulSet, and an `image` makes it
//! wrong. So the birth record, which outlives the EtcdCluster, has the lowest version of the pods when they were last
//! all ready: a version that only some of them run has not taken the data over.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use muster_api::birth::key;
use muster_api::status::EtcdClusterStatus;
use muster_api::version::Version;
use muster_api::workload::{VERSION, replicas};

use crate::dereference::{ObservedCluster, PodView};
use crate::ownership;
use crate::plan::birth_record::may_be_formed;
use crate::plan::rollout::revision;
use crate::validate::{Invalid, ValidatedCluster};

#[cfg(test)]
mod tests;

/// Knowledge of the versions of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The version and the image of the StatefulSet's template.
    template: Option<(Version, Option<String>)>,
    /// The lowest and the highest version of the pods, if all that are wanted are ready.
    runs: Option<(Version, Version)>,
    /// The value in the birth record.
    recorded: Option<String>,
    /// The version that wrote the data; none if there is none, or nobody knows.
    data: Option<Version>,
    /// The birth record whose version cannot be read although it is needed.
    unreadable: Option<String>,
}

impl Written {
    pub(crate) fn of(observed: &ObservedCluster, published: &EtcdClusterStatus) -> Self {
        let owner = observed.cluster.uid().unwrap_or_default();
        let ours = |set: &&StatefulSet| ownership::check("StatefulSet", &set.metadata, &owner).is_ok();
        let set = observed.set.as_ref().filter(ours);
        // One that is going takes its data's claims with it.
        let record = observed.record.as_ref().filter(|record| {
            let references = &record.metadata.owner_references;
            let stays = references.as_ref().is_none_or(Vec::is_empty)
                || ownership::check("ConfigMap", &record.metadata, &owner).is_ok();
            record.metadata.deletion_timestamp.is_none() && stays
        });
        let recorded = record
            .and_then(|record| record.data.as_ref()?.get(key::VERSION))
            .filter(|text| !text.is_empty());
        let runs = set.and_then(|set| runs(observed, published, set));
        let formed = may_be_formed(record, published.cluster_id);
        let known: Option<Version> = recorded.and_then(|text| text.parse().ok());
        let lowest = runs.map(|(lowest, _)| lowest);
        let told = || set.is_none().then(|| told(published)).flatten();
        Self {
            template: set.and_then(|set| Some((template(set)?, image(set)))),
            runs,
            data: lowest.or(known).or_else(told).filter(|_| formed),
            unreadable: record
                .filter(|_| formed && set.is_none() && recorded.is_some() && known.is_none())
                .map(|record| record.name_any()),
            recorded: recorded.cloned(),
        }
    }

    /// The version of a spec that names none, unless the cluster is new: neither a new release of the operator nor a
    /// new StatefulSet changes what runs.
    pub(crate) fn unnamed(&self) -> Option<Version> {
        self.template.as_ref().map(|(version, _)| *version).or(self.data)
    }

    /// Refuses a version that cannot follow the one of the template, or the one that wrote the data.
    ///
    /// # Errors
    /// The version skips one, goes back, or is compared with a version that cannot be read.
    pub(crate) fn check(&self, wanted: &ValidatedCluster) -> Result<(), Invalid> {
        if let (Some(name), Some(text)) = (&self.unreadable, &self.recorded) {
            let (name, text) = (name.clone(), text.clone());
            return Err(Invalid::Recorded { name, text });
        }
        let same = |(version, image): &(Version, Option<String>)| {
            *version == wanted.version && image.as_ref().is_none_or(|image| *image == wanted.pods.image)
        };
        // What is told wrongly stops nothing else, and can be corrected to what is true.
        if self.template.as_ref().is_some_and(same) || self.runs == Some((wanted.version, wanted.version)) {
            return Ok(());
        }
        if let Some((template, _)) = self.template {
            wanted.version.follows(template)?;
        }
        match self.data {
            Some(written) => (wanted.version.follows(written)).map_err(|error| Invalid::Data { written, error }),
            None => Ok(()),
        }
    }

    /// The version to note in the birth record, if it has another one. `wanted` is the version of a StatefulSet that
    /// is about to be made: the first note is there before the first pod, since pods may never all be ready.
    pub(crate) fn to_note(&self, wanted: Version) -> Option<Version> {
        let first = self.recorded.is_none() || (self.template.is_none() && self.data.is_none());
        let lowest = self.runs.map(|(lowest, _)| lowest);
        let note = lowest.or_else(|| first.then(|| self.unnamed().unwrap_or(wanted)));
        note.filter(|note| self.recorded.as_ref() != Some(&note.to_string()))
    }
}

/// The sentence about pods of the present template that run another version than the template's.
pub(crate) fn mismatch(observed: &ObservedCluster, published: &EtcdClusterStatus) -> Option<String> {
    let set = observed.set.as_ref()?;
    let (present, version) = (revision(set)?, template(set)?);
    let differs = |pod: &&PodView| {
        let current = pod.ready && pod.revision.as_deref() == Some(present);
        current && reported(pod, published).is_some_and(|runs| runs != version)
    };
    let pods: Vec<&PodView> = observed.pods.iter().filter(differs).collect();
    let runs = reported(pods.first()?, published)?;
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    Some(format!(
        "The version of this cluster is {version}, but etcd says {runs} in {}: set spec.version to {runs}, or correct spec.image.",
        names.join(", ")
    ))
}

fn runs(observed: &ObservedCluster, published: &EtcdClusterStatus, set: &StatefulSet) -> Option<(Version, Version)> {
    // An agent of an earlier release reports no version: then the template that the pod was made from says it.
    let of = |pod: &PodView| {
        let current = || {
            (pod.revision.as_deref() == revision(set))
                .then(|| template(set))
                .flatten()
        };
        reported(pod, published).or_else(current)
    };
    let seats = (0..replicas(set)).map(|seat| {
        let ready = |pod: &&PodView| pod.seat == seat && pod.ready && !pod.terminating;
        observed.pods.iter().find(ready).and_then(of)
    });
    let versions = seats.collect::<Option<Vec<Version>>>()?;
    Some((*versions.iter().min()?, *versions.iter().max()?))
}

/// The version that the pod's agent read from etcd.
fn reported(pod: &PodView, published: &EtcdClusterStatus) -> Option<Version> {
    let entry = published.seats.iter().find(|entry| entry.name == pod.name)?;
    entry.version.as_ref()?.parse().ok()
}

/// Version that the status still tells, without a StatefulSet and in a record of an earlier release.
fn told(published: &EtcdClusterStatus) -> Option<Version> {
    let seats = published
        .seats
        .iter()
        .filter_map(|entry| entry.version.as_ref()?.parse().ok());
    seats.min().or_else(|| published.version.as_ref()?.parse().ok())
}

fn template(set: &StatefulSet) -> Option<Version> {
    set.annotations().get(VERSION)?.parse().ok()
}

fn image(set: &StatefulSet) -> Option<String> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let etcd = pod.containers.iter().find(|container| container.name == "etcd")?;
    etcd.image.clone()
}
