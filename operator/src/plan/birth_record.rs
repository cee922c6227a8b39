//! What the operator does about the birth record: it makes one before there
//! is a StatefulSet, and never takes back what agents wrote into it.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use muster_api::birth::{BirthRecord, key};
use muster_api::id::HexId;

use crate::ownership::{self, Blocked};
use crate::validate::ValidatedCluster;

/// What to do about the birth record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordStep {
    /// It is there, and right.
    Keep,
    /// Make one.
    Create(BirthRecord),
    /// It outlived an earlier EtcdCluster of this name and is ours now, or the
    /// retention has changed, and with it whether it ends with the EtcdCluster.
    Claim,
    /// It is gone, and nothing says what was in it. Only agents know.
    Missing,
}

/// What is known when the record is decided about.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The record, if there is one.
    pub record: Option<&'a ConfigMap>,
    /// Whether the StatefulSet exists.
    pub set_exists: bool,
    /// The cluster's ID, if agents have published one.
    pub cluster_id: Option<HexId>,
    /// Whether pods or volume claims of the cluster's name exist.
    pub leftovers: bool,
}

/// Decides about the birth record.
pub fn decide(cluster: &ValidatedCluster, known: Circumstances<'_>) -> Result<RecordStep, Blocked> {
    let owner = cluster.owner_uid();
    let Some(record) = known.record else {
        return Ok(match known.cluster_id {
            Some(id) => RecordStep::Create(BirthRecord::formed(owner, id)),
            // An unclaimed record beside pods that may have claimed one
            // already could found a second cluster.
            None if known.set_exists => RecordStep::Missing,
            None => RecordStep::Create(BirthRecord::unclaimed(owner, !known.leftovers)),
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

/// What is wrong with the record, if agents cannot read it.
pub fn damage(record: &ConfigMap) -> Option<String> {
    let data = record.data.clone().unwrap_or_default();
    BirthRecord::from_data(&data).err().map(|error| error.to_string())
}

/// Whether the etcd cluster may exist already.
pub fn may_be_formed(record: Option<&ConfigMap>, cluster_id: Option<HexId>) -> bool {
    let unclaimed = |record: &ConfigMap| {
        let data = record.data.clone().unwrap_or_default();
        BirthRecord::from_data(&data).is_ok_and(|record| record.effective().cluster_id().is_none())
    };
    cluster_id.is_some() || !record.is_some_and(unclaimed)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use muster_api::birth::Phase;
    use muster_api::cluster::{EtcdClusterSpec, Retention};

    use super::*;
    use crate::build::birth_record;

    fn cluster(uid: &str, retention: Retention) -> ValidatedCluster {
        let mut spec = EtcdClusterSpec::of_size(3);
        spec.storage.retention = retention;
        let owner = OwnerReference {
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

    const FRESH: Circumstances<'_> = Circumstances {
        record: None,
        set_exists: false,
        cluster_id: None,
        leftovers: false,
    };

    #[test]
    fn a_new_cluster_gets_an_unclaimed_record_that_attests_to_no_leftovers() {
        let step = decide(&retained("1"), FRESH);
        assert_eq!(step, Ok(RecordStep::Create(BirthRecord::unclaimed("1", true))));
    }

    #[test]
    fn leftovers_are_not_attested_away() {
        let step = decide(
            &retained("1"),
            Circumstances {
                leftovers: true,
                ..FRESH
            },
        );
        assert_eq!(step, Ok(RecordStep::Create(BirthRecord::unclaimed("1", false))));
    }

    #[test]
    fn the_lost_record_of_a_known_cluster_is_written_again_as_formed() {
        for set_exists in [true, false] {
            let step = decide(
                &retained("1"),
                Circumstances {
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
        let step = decide(
            &retained("1"),
            Circumstances {
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
            let step = decide(
                &cluster,
                Circumstances {
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
        let step = decide(
            &retained("1"),
            Circumstances {
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
            let step = decide(
                &cluster("1", after),
                Circumstances {
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
        let step = decide(
            &cluster("1", Retention::Delete),
            Circumstances {
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
        let step = decide(
            &retained("1"),
            Circumstances {
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
        assert!(matches!(record.phase, Phase::Formed(_)));
        assert!(!may_be_formed(Some(&map), None));
    }
}
