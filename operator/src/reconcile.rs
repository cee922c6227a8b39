//! One reconciliation of one cluster.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, EvictParams, Preconditions};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Api, Client, Resource, ResourceExt};
use muster_api::cluster::EtcdCluster;
use muster_api::status::EtcdClusterStatus;
use muster_api::version::Version;
use muster_api::workload::VERSION;

use crate::apply::{Applied, Prepared, RecordWrite, SetWrite, Target};
use crate::build::stateful_set as built;
use crate::build::{self, birth_record};
use crate::dereference::{Observed, PodView, dereference};
use crate::error::{Error, named};
use crate::events;
use crate::events::recorder::Publisher;
use crate::ownership::{self, Blocked};
use crate::plan::birth_record::{self as record, Circumstances, RecordStep};
use crate::plan::rollout::Rollout;
use crate::plan::size::{self, Plan, Step};
use crate::plan::{cleanup, pod_template, size_input};
use crate::service::http::Vitals;
use crate::service::retry::Failures;
use crate::status::health::Evidence;
use crate::status::{self, Obstacle, Outcome};
use crate::validate::{self, ValidatedCluster};

/// A reconciliation without a cause, in case a change was missed.
const RESYNC: Duration = Duration::from_secs(600);
/// How soon to look again for an object that is being deleted.
const PREDECESSOR: Duration = Duration::from_millis(500);
/// How soon to look again for an object of somebody else.
const FOREIGN: Duration = Duration::from_secs(5);
/// How soon to ask again for an eviction that was refused.
const EVICTION: Duration = Duration::from_secs(2);

/// What all reconciliations share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The agent's image in new pods.
    pub agent_image: String,
    /// Publishes Events.
    pub events: Publisher,
    /// Metrics.
    pub vitals: std::sync::Arc<Vitals>,
    /// Failures in a row.
    pub failures: Failures,
    /// What is known to be there, by cluster.
    pub surrounded: Mutex<BTreeMap<String, Surrounded>>,
}

/// When a cluster's surroundings were last written.
#[derive(Debug, Clone)]
pub struct Surrounded {
    uid: String,
    written: Instant,
    disturbed: bool,
    complete: bool,
}

impl Context {
    /// Something around the cluster's StatefulSet changed.
    pub fn disturbed(&self, cluster: &str) {
        if let Some(known) = self.lock_surrounded().get_mut(cluster) {
            known.disturbed = true;
        }
    }

    /// Nothing is known any more.
    fn forget(&self, cluster: &EtcdCluster) {
        self.lock_surrounded().remove(&named(cluster));
    }

    /// What is known, unless that was long ago or of another cluster.
    fn surrounded(&self, cluster: &EtcdCluster) -> Option<Surrounded> {
        let known = self.lock_surrounded().get(&named(cluster)).cloned();
        known.filter(|known| Some(&known.uid) == cluster.uid().as_ref() && known.written.elapsed() < RESYNC)
    }

    fn remember(&self, cluster: &EtcdCluster) {
        let known = Surrounded {
            uid: cluster.uid().unwrap_or_default(),
            written: Instant::now(),
            disturbed: false,
            complete: self.surrounded(cluster).is_some_and(|known| known.complete),
        };
        self.lock_surrounded().insert(named(cluster), known);
    }

    /// The StatefulSet was written as well, whole.
    fn complete(&self, cluster: &EtcdCluster) {
        if let Some(known) = self.lock_surrounded().get_mut(&named(cluster)) {
            known.complete = true;
        }
    }

    fn lock_surrounded(&self) -> MutexGuard<'_, BTreeMap<String, Surrounded>> {
        self.surrounded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings a cluster one step closer to its spec.
pub async fn reconcile(cluster: &EtcdCluster, context: &Context) -> Result<Action, Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    let Some(observed) = dereference(&context.client, &namespace, &cluster.name_any()).await? else {
        context.forget(cluster);
        return Ok(Action::await_change());
    };
    let valid = match validate::stored(&observed.cluster, running_version(&observed)) {
        Ok(valid) => valid,
        Err(invalid) => {
            let stalled = Outcome::Stalled(Obstacle {
                summary: "Invalid",
                reason: "InvalidSpec",
                message: invalid.to_string(),
            });
            report(context, &observed, &stalled).await?;
            return Ok(Action::requeue(RESYNC));
        }
    };
    match proceed(context, &observed, &valid).await {
        Err(Error::Blocked(blocked)) => {
            context.forget(&observed.cluster);
            let (reason, message) = (blocked.reason(), blocked.to_string());
            let (outcome, again) = match blocked {
                Blocked::Foreign { .. } => {
                    let summary = "Blocked";
                    (
                        Outcome::Stalled(Obstacle {
                            summary,
                            reason,
                            message,
                        }),
                        FOREIGN,
                    )
                }
                Blocked::Predecessor { .. } => {
                    let summary = "Waiting";
                    (
                        Outcome::Waiting(Obstacle {
                            summary,
                            reason,
                            message,
                        }),
                        PREDECESSOR,
                    )
                }
            };
            report(context, &observed, &outcome).await?;
            Ok(Action::requeue(again))
        }
        Err(error) => {
            if !error.is_conflict() {
                context.forget(&observed.cluster);
            }
            if error.refused().is_some() {
                let stalled = Outcome::Stalled(Obstacle {
                    summary: "Refused",
                    reason: "RefusedByKubernetes",
                    message: error.to_string(),
                });
                report(context, &observed, &stalled).await?;
            }
            Err(error)
        }
        done => done,
    }
}

async fn proceed(context: &Context, observed: &Observed, valid: &ValidatedCluster) -> Result<Action, Error> {
    refuse_others(observed, valid)?;
    let known = observed.cluster.status.clone().unwrap_or_default();
    let record = record::decide(
        valid,
        Circumstances {
            record: observed.record.as_ref(),
            set_exists: observed.set.is_some(),
            cluster_id: known.cluster_id,
            leftovers: !observed.pods.is_empty() || !observed.claims.is_empty(),
        },
    )?;
    let situation = size_input::situation(valid, observed);
    let plan = size::plan(&situation);
    let target = Target {
        client: &context.client,
        namespace: valid.namespace.as_deref().unwrap_or_default(),
        owner_uid: valid.owner_uid(),
    };
    if let Some(size) = plan.adopt {
        target.adopt(&observed.cluster, size).await?;
    }
    let prepared = prepare(context, observed, valid, &record, &plan);
    let surrounds = prepared.surroundings.is_some();
    if surrounds {
        // Before the writes, so that a change meanwhile is not forgotten.
        context.remember(&observed.cluster);
    }
    let applied = target.apply(prepared).await?;
    if applied.written() {
        context.complete(&observed.cluster);
        announce(context, observed, &plan).await;
    }

    let rollout = rollout(observed, valid, &applied, &known, &plan, situation.formed);
    let damage = observed.record.as_ref().and_then(record::damage);
    let evidence = Evidence {
        cluster: valid,
        plan: &plan,
        pods: &observed.pods,
        status: &known,
        outdated: rollout.outdated().len(),
        record_missing: record == RecordStep::Missing,
        record_damage: damage.as_deref(),
    };
    report(context, observed, &Outcome::Applied(&applied, evidence)).await?;

    let refused = match rollout.next().filter(|_| plan.step == Step::Keep && !applied.written()) {
        Some(pod) => !evict(context, &target, &observed.cluster, pod).await?,
        None => false,
    };
    tidy(&target, observed, valid, &plan, &known).await?;
    Ok(Action::requeue(if refused { EVICTION } else { RESYNC }))
}

/// The version that the StatefulSet's pods run, if it is one of ours.
fn running_version(observed: &Observed) -> Option<Version> {
    let uid = observed.cluster.uid()?;
    let set = observed.set.as_ref()?;
    ownership::check("StatefulSet", &set.metadata, &uid).ok()?;
    set.annotations().get(VERSION)?.parse().ok()
}

fn refuse_others(observed: &Observed, valid: &ValidatedCluster) -> Result<(), Blocked> {
    if let Some(set) = &observed.set {
        return ownership::check("StatefulSet", &set.metadata, valid.owner_uid());
    }
    match observed.claims.iter().find(|claim| claim.going) {
        Some(claim) => Err(Blocked::Predecessor {
            kind: "PersistentVolumeClaim",
            name: claim.name.clone(),
        }),
        None => Ok(()),
    }
}

fn prepare(
    context: &Context,
    observed: &Observed,
    valid: &ValidatedCluster,
    record: &RecordStep,
    plan: &Plan,
) -> Prepared {
    let known = context.surrounded(&observed.cluster);
    let missing = known.as_ref().is_none_or(|known| known.disturbed);
    let surroundings = missing.then(|| build::surroundings(valid));
    let complete = known.is_some_and(|known| known.complete);
    let live = observed.set.as_ref();
    let kept = pod_template::kept(observed, valid, plan);
    let template = kept.unwrap_or_else(|| build::template(valid, &context.agent_image));
    let mut wanted = build::stateful_set(valid, plan, template);
    let set = match live {
        Some(live) if complete && built::same(live, &wanted) => SetWrite::Keep(Box::new(live.clone())),
        live => {
            // Somebody who scales it meanwhile is not overwritten unseen.
            wanted.metadata.resource_version = live.and_then(ResourceExt::resource_version);
            SetWrite::Apply(Box::new(wanted))
        }
    };
    let record = match record {
        RecordStep::Keep | RecordStep::Missing => RecordWrite::None,
        RecordStep::Create(record) => RecordWrite::Create(birth_record::build(valid, record)),
        RecordStep::Claim => RecordWrite::Claim {
            version: observed.record.as_ref().and_then(ResourceExt::resource_version),
            wanted: birth_record::empty(valid),
        },
    };
    Prepared {
        surroundings,
        record,
        set,
    }
}

fn rollout<'a>(
    observed: &'a Observed,
    valid: &ValidatedCluster,
    applied: &'a Applied,
    known: &'a EtcdClusterStatus,
    plan: &Plan,
    formed: bool,
) -> Rollout<'a> {
    let set = applied.set();
    let status = set.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation) == set.meta().generation;
    Rollout {
        revision: status
            .filter(|_| seen)
            .and_then(|status| status.update_revision.as_deref()),
        pods: &observed.pods,
        wanted: plan.size,
        members: &known.members,
        leader: known.leader.as_deref(),
        persistent: valid.claim.is_some(),
        formed,
    }
}

/// Evicts a pod; false if the API server does not allow it now.
async fn evict(context: &Context, target: &Target<'_>, cluster: &EtcdCluster, pod: &PodView) -> Result<bool, Error> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), target.namespace);
    let exactly = DeleteParams {
        preconditions: Some(this_one(&pod.uid)),
        ..DeleteParams::default()
    };
    let parameters = EvictParams {
        delete_options: Some(exactly),
        ..EvictParams::default()
    };
    match pods.evict(&pod.name, &parameters).await {
        Ok(_) => {
            context.vitals.metrics.evicted();
            let note = format!("{} is replaced, as the pod template changed.", pod.name);
            tracing::info!(cluster = named(cluster), pod = pod.name, "{note}");
            context
                .events
                .publish(cluster, &[events::event(EventType::Normal, "PodReplaced", &note)])
                .await;
            Ok(true)
        }
        Err(kube::Error::Api(status)) if [404, 409, 429].contains(&status.code) => Ok(false),
        Err(error) => Err(Error::writing(format!("evict {}", pod.name))(error)),
    }
}

/// Removes what seats that were scaled away have left behind.
async fn tidy(
    target: &Target<'_>,
    observed: &Observed,
    valid: &ValidatedCluster,
    plan: &Plan,
    known: &EtcdClusterStatus,
) -> Result<(), Error> {
    let members = size_input::member_seats(&valid.names, &known.members);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(target.client.clone(), target.namespace);
    for claim in cleanup::claims(&observed.claims, valid.when_scaled, plan, &members, &observed.pods) {
        let exactly = DeleteParams {
            preconditions: Some(this_one(&claim.uid)),
            ..DeleteParams::default()
        };
        let what = format!("delete volume claim {}", claim.name);
        claims
            .delete(&claim.name, &exactly)
            .await
            .map_err(Error::writing(what))?;
        tracing::info!(
            cluster = named(&observed.cluster),
            claim = claim.name,
            "volume claim of a seat that left deleted"
        );
    }
    let entries = cleanup::seat_entries(&valid.names, &known.seats, plan.replicas, &observed.pods);
    if entries.is_empty() {
        return Ok(());
    }
    // The status was just written: only the newest version will do.
    let clusters: Api<EtcdCluster> = Api::namespaced(target.client.clone(), target.namespace);
    let name = observed.cluster.name_any();
    let mut cluster = clusters.get(&name).map_err(Error::reading("EtcdCluster")).await?;
    for entry in entries {
        cluster = status::drop_seat(target.client, &cluster, entry).await?;
    }
    Ok(())
}

fn this_one(uid: &str) -> Preconditions {
    Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    }
}

/// Tells what was written to the StatefulSet.
async fn announce(context: &Context, observed: &Observed, plan: &Plan) {
    let events = events::of_plan(plan);
    if events.is_empty() {
        return;
    }
    let step = if plan.adopt.is_some() {
        "SizeAdopted"
    } else {
        plan.step.name()
    };
    context.vitals.metrics.sized(step);
    tracing::info!(
        cluster = named(&observed.cluster),
        step,
        replicas = plan.replicas,
        "{}",
        plan.why
    );
    context.events.publish(&observed.cluster, &events).await;
}

/// Writes the status if it says something new, and Events about what began.
async fn report(context: &Context, observed: &Observed, outcome: &Outcome<'_>) -> Result<(), Error> {
    let status = status::render(observed, outcome, &Time(Timestamp::now()));
    if status::is_current(&observed.cluster, &status) {
        return Ok(());
    }
    status::write(&context.client, &observed.cluster, &status).await?;
    let events = events::of_conditions(&observed.cluster, &status.conditions);
    for event in &events {
        tracing::info!(
            cluster = named(&observed.cluster),
            reason = event.reason,
            "{}",
            event.note.as_deref().unwrap_or_default()
        );
    }
    context.events.publish(&observed.cluster, &events).await;
    Ok(())
}
