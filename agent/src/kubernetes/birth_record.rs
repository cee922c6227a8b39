//! The birth record: its reads, and its writes by compare-and-swap.

use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use muster_api::HexId;
use muster_api::birth::{BirthRecord, Claim, Formed, Founding};
use muster_membership::{Birth, BirthPhase, ClusterId, Seat};

use super::Kubernetes;

/// Time that a write gets. The outcome of one without an answer is learnt by reading again.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// The birth record, with the version that was read last: every write is a compare-and-swap on it.
#[derive(Debug)]
pub(crate) struct BirthStore {
    api: Kubernetes,
    last: Mutex<Option<ConfigMap>>,
}

/// The cause for which the record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BirthFailure {
    /// The API server did not answer, or refused.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The API server said nothing for too long; the write may have been carried out.
    #[error("the API server did not answer in time")]
    Silent,
    /// The object is no birth record.
    #[error(transparent)]
    Record(#[from] muster_api::birth::BirthError),
    /// The record changed in between, so that the write no longer makes sense.
    #[error("the birth record has changed: {0}")]
    Changed(&'static str),
}

impl BirthStore {
    /// A store that has read nothing yet.
    pub(crate) fn new(api: Kubernetes) -> Self {
        Self {
            api,
            last: Mutex::default(),
        }
    }

    /// Reads the record afresh.
    ///
    /// # Errors
    /// No answer, or not a record.
    pub(crate) async fn read(&self) -> Result<Option<Birth>, BirthFailure> {
        let name = self.api.config.names().birth_record();
        let object = self.api.config_maps.get_opt(&name).await?;
        let record = object.as_ref().map(parse).transpose()?;
        if let Ok(mut last) = self.last.lock() {
            *last = object;
        }
        Ok(record.map(|r| seen(&r)))
    }

    /// Claims the record that was read last.
    ///
    /// # Errors
    /// Another seat was faster, or no answer.
    pub(crate) async fn claim(
        &self,
        token: &str,
        seat: Seat,
        volume: &str,
        cluster: ClusterId,
    ) -> Result<(), BirthFailure> {
        self.write(|record| {
            let effective = record.effective();
            if effective.phase != Founding::Unclaimed {
                return Err(BirthFailure::Changed("it is claimed"));
            }
            Ok(BirthRecord {
                phase: Founding::Claimed(Claim {
                    token: token.to_owned(),
                    seat: seat.0,
                    volume: volume.to_owned(),
                    cluster_id: HexId(cluster.0),
                }),
                ..record
            })
        })
        .await
    }

    /// Notes in the record that the claimed cluster has formed.
    ///
    /// # Errors
    /// No answer, or the record is not of a claimed cluster.
    pub(crate) async fn mark_formed(&self) -> Result<(), BirthFailure> {
        self.write(|record| match record.phase.clone() {
            Founding::Claimed(claim) => Ok(BirthRecord {
                phase: Founding::Formed(Formed {
                    cluster_id: claim.cluster_id,
                    claim: Some(claim),
                }),
                ..record
            }),
            _ => Err(BirthFailure::Changed("it is not claimed")),
        })
        .await
    }

    /// Writes a record of a formed cluster where there is none, or an unclaimed one.
    ///
    /// # Errors
    /// No answer, or the record names a cluster already.
    pub(crate) async fn republish(&self, cluster: ClusterId) -> Result<(), BirthFailure> {
        let missing = self.last.lock().is_ok_and(|last| last.is_none());
        if missing {
            let names = self.api.config.names();
            let object = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(names.birth_record()),
                    labels: Some(names.labels()),
                    ..ObjectMeta::default()
                },
                data: Some(BirthRecord::formed("", HexId(cluster.0)).to_data()),
                ..ConfigMap::default()
            };
            // Not a plain create: a Role can allow that only for all names, this one for one name.
            let apply = kube::api::PatchParams::apply(muster_api::names::LEADER_MANAGER);
            let body = serde_json::json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": object.metadata, "data": object.data,
            });
            let name = names.birth_record();
            let body = kube::api::Patch::Apply(body);
            return in_time(self.api.config_maps.patch(&name, &apply, &body)).await;
        }
        self.write(|record| match record.phase {
            Founding::Unclaimed => Ok(BirthRecord {
                phase: Founding::Formed(Formed {
                    cluster_id: HexId(cluster.0),
                    claim: None,
                }),
                ..record
            }),
            _ => Err(BirthFailure::Changed("it names a cluster")),
        })
        .await
    }

    async fn write(
        &self,
        change: impl FnOnce(BirthRecord) -> Result<BirthRecord, BirthFailure>,
    ) -> Result<(), BirthFailure> {
        let last = self.last.lock().ok().and_then(|last| last.clone());
        let mut object = last.ok_or(BirthFailure::Changed("it is missing"))?;
        let next = change(parse(&object)?)?;
        object.data = Some(next.to_data());
        object.metadata.managed_fields = None;
        let name = self.api.config.names().birth_record();
        in_time(self.api.config_maps.replace(&name, &PostParams::default(), &object)).await
    }
}

/// The agent does nothing else while it writes, so it waits for no answer for long.
async fn in_time<T>(write: impl Future<Output = Result<T, kube::Error>>) -> Result<(), BirthFailure> {
    tokio::time::timeout(WRITE_TIMEOUT, write)
        .await
        .map_err(|_| BirthFailure::Silent)??;
    Ok(())
}

fn parse(object: &ConfigMap) -> Result<BirthRecord, BirthFailure> {
    Ok(BirthRecord::from_data(&object.data.clone().unwrap_or_default())?)
}

fn seen(record: &BirthRecord) -> Birth {
    Birth {
        phase: match record.phase {
            Founding::Unclaimed => BirthPhase::Unclaimed,
            Founding::Claimed(_) => BirthPhase::Claimed,
            Founding::Formed(_) => BirthPhase::Formed,
        },
        no_older_volumes: record.no_older_volumes,
        founder: record
            .claim()
            .map(|c| (c.token.clone(), Seat(c.seat), c.volume.clone())),
        cluster: record.cluster_id().map(|id| ClusterId(id.0)),
        abandoned: record.abandoned.map(|id| ClusterId(id.0)),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use kube::client::Body;
    use muster_api::birth::BirthRecord;

    use super::*;
    use crate::kubernetes::mock_api::{config, pair};

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_is_given_up() {
        let (client, mut server) = pair();
        let store = BirthStore::new(Kubernetes::new(client, &config()));
        let mute = tokio::spawn(async move {
            let (_, read) = server.next_request().await.unwrap();
            let object = ConfigMap {
                data: Some(BirthRecord::unclaimed("", true).to_data()),
                ..ConfigMap::default()
            };
            read.send_response(Response::new(Body::from(serde_json::to_vec(&object).unwrap())));
            let held = server.next_request().await.unwrap();
            std::future::pending::<()>().await;
            drop(held);
        });
        store.read().await.unwrap();
        let claimed = store.claim("t", Seat(0), "v", ClusterId(1)).await;
        assert!(matches!(claimed, Err(BirthFailure::Silent)), "{claimed:?}");
        mute.abort();
    }
}
