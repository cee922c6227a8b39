//! The operator's part in the birth record: it makes one before there
//! is a StatefulSet, and never takes back what agents wrote into it. No client.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use muster_api::birth::{BirthRecord, key};
use muster_api::id::HexId;
use muster_api::status::EtcdClusterStatus;

use crate::dereference::ObservedCluster;
use crate::ownership::{self, Blocked};
use crate::validate::ValidatedCluster;

/// The step that the birth record needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordStep {
    Keep,
    Create(BirthRecord),
    /// The record outlived an earlier EtcdCluster of this name and is this one's now, or the
    /// retention has changed, and with it whether the record ends with the EtcdCluster.
    Claim,
    /// The record is gone, and nothing says what was in it. Only agents know.
    Missing,
}

/// The facts that the step of the record depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordInput<'a> {
    /// The record, if there is one.
    pub(crate) record: Option<&'a ConfigMap>,
    pub(crate) set_exists: bool,
    /// The cluster's ID, if agents have published one.
    pub(crate) cluster_id: Option<HexId>,
    /// True if pods or volume claims of the cluster's name exist.
    pub(crate) older_data: bool,
}

impl<'a> RecordInput<'a> {
    pub(crate) fn new(observed: &'a ObservedCluster, published: &EtcdClusterStatus) -> Self {
        Self {
            record: observed.record.as_ref(),
            set_exists: observed.set.is_some(),
            cluster_id: published.cluster_id,
            older_data: !observed.pods.is_empty() || !observed.claims.is_empty(),
        }
    }
}

/// Plans the step of the birth record.
///
/// # Errors
/// The ConfigMap of its name is not the cluster's, or is being deleted.
pub(crate) fn plan(cluster: &ValidatedCluster, input: RecordInput<'_>) -> Result<RecordStep, Blocked> {
    let owner = cluster.owner_uid();
    let Some(record) = input.record else {
        return Ok(match input.cluster_id {
            Some(id) => RecordStep::Create(BirthRecord::formed(owner, id)),
            // An unclaimed record beside pods that may have claimed one
            // already could found a second cluster.
            None if input.set_exists => RecordStep::Missing,
            None => RecordStep::Create(BirthRecord::unclaimed(owner, !input.older_data)),
        });
    };
    let name = record.name_any();
    if !cluster
        .names
        .labels()
        .iter()
        .all(|(key, value)| record.labels().get(key) == Some(value))
    {
        let advice = "give the EtcdCluster another name";
        return Err(Blocked::Foreign {
            kind: "ConfigMap",
            name,
            advice,
        });
    }
    if record.metadata.deletion_timestamp.is_some() {
        return Err(Blocked::Predecessor {
            kind: "ConfigMap",
            name,
        });
    }
    if !record.owner_references().is_empty() {
        ownership::check("ConfigMap", &record.metadata, owner)?;
    }
    let recorded = record
        .data
        .as_ref()
        .and_then(|data| data.get(key::OWNER))
        .map_or("", String::as_str);
    let ends_with_owner = !record.owner_references().is_empty();
    Ok(if recorded == owner && ends_with_owner == cluster.ends_with_owner() {
        RecordStep::Keep
    } else {
        RecordStep::Claim
    })
}

/// The mistake in a record that agents cannot read.
pub(crate) fn damage(record: &ConfigMap) -> Option<String> {
    let data = record.data.clone().unwrap_or_default();
    BirthRecord::from_data(&data).err().map(|error| error.to_string())
}

/// True if the etcd cluster may exist already.
pub(crate) fn may_be_formed(record: Option<&ConfigMap>, cluster_id: Option<HexId>) -> bool {
    let unclaimed = |record: &ConfigMap| {
        let data = record.data.clone().unwrap_or_default();
        BirthRecord::from_data(&data).is_ok_and(|record| record.effective().cluster_id().is_none())
    };
    cluster_id.is_some() || !record.is_some_and(unclaimed)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::Resource;
    use muster_api::birth::Founding;
    use muster_api::cluster::{EtcdCluster, EtcdClusterSpec, Retention};

    use super::*;
    use crate::build::birth_record;

    fn cluster(uid: &str, retention: Retention) -> ValidatedCluster {
        let mut spec = EtcdClusterSpec::of_size(3);
        spec.storage.retention = retention;
        let owner = OwnerReference {
            api_version: EtcdCluster::api_version(&()).into_owned(),
            kind: "EtcdCluster".into(),
            uid: uid.into(),
            controller: Some(true),
            ..Default::default()
        };
        ValidatedCluster {
            owner: Some(owner),
            ..crate::validate::spec("db", &spec).unwrap()
        }
    }

    fn retained(uid: &str) -> ValidatedCluster {
        cluster(uid, Retention::Retain)
    }

    const FRESH: RecordInput<'_> = RecordInput {
        record: None,
        set_exists: false,
        cluster_id: None,
        older_data: false,
    };

    #[test]
    fn a_new_cluster_gets_an_unclaimed_record_that_attests_to_no_leftovers() {
        let step = plan(&retained("1"), FRESH);
        assert_eq!(step, Ok(RecordStep::Create(BirthRecord::unclaimed("1", true))));
    }

    #[test]
    fn leftovers_are_not_attested_away() {
        let step = plan(
            &retained("1"),
            RecordInput {
                older_data: true,
                ..FRESH
            },
        );
        assert_eq!(step, Ok(RecordStep::Create(BirthRecord::unclaimed("1", false))));
    }

    #[test]
    fn the_lost_record_of_a_known_cluster_is_written_again_as_formed() {
        for set_exists in [true, false] {
            let step = plan(
                &retained("1"),
                RecordInput {
                    cluster_id: Some(HexId(7)),
                    set_exists,
                    ..FRESH
                },
            );
            assert_eq!(step, Ok(RecordStep::Create(BirthRecord::formed("1", HexId(7)))));
        }
    }

    #[test]
    fn a_lost_record_beside_a_stateful_set_is_never_written_as_unclaimed() {
        let step = plan(
            &retained("1"),
            RecordInput {
                set_exists: true,
                ..FRESH
            },
        );
        assert_eq!(step, Ok(RecordStep::Missing));
    }

    #[test]
    fn an_existing_record_is_kept() {
        for retention in [Retention::Retain, Retention::Delete] {
            let cluster = cluster("1", retention);
            let record = birth_record::build(&cluster, &BirthRecord::unclaimed("1", true));
            let step = plan(
                &cluster,
                RecordInput {
                    record: Some(&record),
                    ..FRESH
                },
            );
            assert_eq!(step, Ok(RecordStep::Keep));
        }
    }

    #[test]
    fn a_record_that_outlived_its_cluster_is_inherited() {
        let record = birth_record::build(&retained("0"), &BirthRecord::formed("0", HexId(7)));
        let step = plan(
            &retained("1"),
            RecordInput {
                record: Some(&record),
                ..FRESH
            },
        );
        assert_eq!(step, Ok(RecordStep::Claim));
    }

    #[test]
    fn a_record_follows_a_change_of_the_retention() {
        for (before, after) in [
            (Retention::Retain, Retention::Delete),
            (Retention::Delete, Retention::Retain),
        ] {
            let record = birth_record::build(&cluster("1", before), &BirthRecord::formed("1", HexId(7)));
            let step = plan(
                &cluster("1", after),
                RecordInput {
                    record: Some(&record),
                    ..FRESH
                },
            );
            assert_eq!(step, Ok(RecordStep::Claim));
        }
    }

    #[test]
    fn a_record_that_ends_with_its_cluster_is_waited_for() {
        let record = birth_record::build(&cluster("0", Retention::Delete), &BirthRecord::formed("0", HexId(7)));
        let step = plan(
            &cluster("1", Retention::Delete),
            RecordInput {
                record: Some(&record),
                ..FRESH
            },
        );
        assert!(matches!(step, Err(Blocked::Predecessor { .. })));
    }

    #[test]
    fn a_config_map_that_is_no_record_is_foreign() {
        let mut record = birth_record::build(&retained("1"), &BirthRecord::unclaimed("1", true));
        record.metadata.labels = None;
        let step = plan(
            &retained("1"),
            RecordInput {
                record: Some(&record),
                ..FRESH
            },
        );
        assert!(matches!(step, Err(Blocked::Foreign { .. })));
    }

    #[test]
    fn a_cluster_counts_as_formed_unless_its_record_says_otherwise() {
        let unclaimed = birth_record::build(&retained("1"), &BirthRecord::unclaimed("1", true));
        let formed = birth_record::build(&retained("1"), &BirthRecord::formed("1", HexId(7)));
        assert!(!may_be_formed(Some(&unclaimed), None));
        assert!(may_be_formed(Some(&unclaimed), Some(HexId(7))));
        assert!(may_be_formed(Some(&formed), None));
        assert!(may_be_formed(None, None));
    }

    #[test]
    fn a_mistake_in_the_record_is_named() {
        let mut record = birth_record::build(&retained("1"), &BirthRecord::formed("1", HexId(7)));
        assert_eq!(damage(&record), None);
        let data = record.data.as_mut().unwrap();
        data.insert(key::ABANDONED.into(), "CLUSTERID".into());
        let said = damage(&record).unwrap();
        assert!(said.contains("abandoned") && said.contains("CLUSTERID"), "{said}");
    }

    #[test]
    fn an_abandoned_cluster_does_not_count_as_formed() {
        let record = BirthRecord {
            abandoned: Some(HexId(7)),
            ..BirthRecord::formed("1", HexId(7))
        };
        let map = birth_record::build(&retained("1"), &record);
        assert!(matches!(record.phase, Founding::Formed(_)));
        assert!(!may_be_formed(Some(&map), None));
    }
}
