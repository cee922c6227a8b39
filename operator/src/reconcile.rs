//! One reconciliation of one cluster.
//!
//! ```text
//!   step         client   from ─▶ to
//!   dereference  reads    name ─▶ ObservedCluster
//!   validate     none     ObservedCluster ─▶ ValidatedCluster
//!   plan         none     both ─▶ Plan
//!   build        none     Plan ─▶ Prepared
//!   adopt        writes   Plan ─▶ the EtcdCluster's size, if somebody scaled the StatefulSet
//!   apply        writes   Prepared ─▶ Applied
//!   claims       writes   Plan ─▶ marks and owners of volume claims
//!   evict        writes   Plan ─▶ one pod less, if the StatefulSet needed no write
//!   status       writes   Applied ─▶ conditions, summary, Events
//!   clean up     writes   Plan ─▶ claims and status entries of seats that left
//! ```
//!
//! All writes follow from the plan and are made in [`carry_out`], in this order; one that fails keeps the later ones
//! from happening, and the next reconciliation begins with what is there then. A reconciliation that does not get
//! that far writes nothing but the status, which says why.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use muster_api::Reason;
use muster_api::cluster::EtcdCluster;
use muster_api::status::EtcdClusterStatus;

use crate::apply::Target;
use crate::apply::evict::Eviction;
use crate::build::prepared::{Prepared, prepare};
use crate::context::{Context, RESYNC};
use crate::controller::ClusterKey;
use crate::dereference::{ObservedCluster, PodView, dereference};
use crate::error::{ReconcileError, named};
use crate::events;
use crate::obstacle::look::next_look;
use crate::ownership::Blocked;
use crate::plan::size::SizePlan;
use crate::plan::{Plan, plan};
use crate::status::health::HealthInput;
use crate::status::{Outcome, report, report_unreadable};
use crate::validate::{self, ValidatedCluster};
use crate::written::Written;

/// Time until an object that is being deleted is looked for again.
const PREDECESSOR_RETRY: Duration = Duration::from_millis(500);
/// Time until an object of somebody else is looked for again.
const FOREIGN_RETRY: Duration = Duration::from_secs(5);
/// Time until an eviction that was refused is asked for again.
const EVICTION_RETRY: Duration = Duration::from_secs(2);

/// Brings a cluster one step closer to its spec.
///
/// # Errors
/// A request to the API server failed. The reconciliation is to be repeated.
pub(crate) async fn reconcile(cluster: &ClusterKey, context: &Context) -> Result<Action, ReconcileError> {
    // Client required: reads.
    let namespace = cluster.namespace().unwrap_or_default();
    let observed = match dereference(&context.client, &namespace, &cluster.name_any()).await {
        Ok(Some(observed)) => observed,
        Ok(None) => {
            context.dependents.forget(cluster);
            context.refusals.ended(&named(cluster));
            return Ok(Action::await_change());
        }
        Err(ReconcileError::Unreadable(unreadable)) => {
            report_unreadable(context, &unreadable).await?;
            return Ok(Action::requeue(RESYNC));
        }
        Err(error) => return Err(error),
    };
    // No client.
    let published = observed.published();
    let written = Written::of(&observed, &published);
    let valid = match validate::stored(&observed.cluster, &written) {
        Ok(valid) => valid,
        Err(invalid) => {
            report(context, &observed, &Outcome::invalid(&invalid)).await?;
            return Ok(Action::requeue(RESYNC));
        }
    };
    match advance(context, &observed, &published, &written, &valid).await {
        Err(error) => give_up(context, &observed, error).await,
        done => done,
    }
}

/// Plans, builds, and carries out.
async fn advance(
    context: &Context,
    observed: &ObservedCluster,
    published: &EtcdClusterStatus,
    written: &Written,
    valid: &ValidatedCluster,
) -> Result<Action, ReconcileError> {
    // No client.
    let plan = plan(observed, published, written, valid)?;
    // No client.
    let known = context.dependents.known(&observed.cluster);
    let prepared = prepare(valid, observed, &plan, &context.agent_image, known);
    // Client required: writes.
    carry_out(context, observed, valid, published, &plan, prepared).await
}

/// Makes every write of a reconciliation.
async fn carry_out(
    context: &Context,
    observed: &ObservedCluster,
    valid: &ValidatedCluster,
    published: &EtcdClusterStatus,
    plan: &Plan,
    prepared: Prepared,
) -> Result<Action, ReconcileError> {
    let cluster = &observed.cluster;
    let target = Target {
        client: &context.client,
        namespace: valid.namespace.as_deref().unwrap_or_default(),
        owner_uid: valid.owner_uid(),
    };
    if let Some(size) = plan.size.adopt {
        target.adopt(cluster, size).await?;
    }
    if prepared.dependents.is_some() {
        // Before the writes, so that a change meanwhile is not forgotten.
        context.dependents.begin(cluster);
    }
    let applied = target.apply(prepared).await?;
    if applied.written() {
        context.dependents.note_set_written(cluster);
        announce(context, cluster, &plan.size).await;
    }
    // After the StatefulSet, which gave claims away in earlier releases; before the status says that the spec is in effect.
    target.mark_claims(&plan.claims).await?;
    // What was just written has to settle first.
    let evicted = match plan.rollout.evict.as_ref().filter(|_| !applied.written()) {
        Some(pod) => replace(context, &target, cluster, pod).await,
        None => {
            if plan.rollout.evict.is_none() {
                context.refusals.ended(&named(cluster));
            }
            Ok(Replacement::Done)
        }
    };
    let refused = match &evicted {
        Ok(Replacement::Refused(obstacle)) => Some(obstacle.as_str()),
        _ => None,
    };
    let health = HealthInput::new(valid, observed, published, plan, &applied).with_refusal(refused);
    report(context, observed, &Outcome::Applied(&applied, health)).await?;
    let evicted = evicted?;
    target.clean_up(cluster, &plan.cleanup).await?;
    Ok(Action::requeue(match evicted {
        Replacement::Done => next_look(observed, plan.size.size, Timestamp::now()).unwrap_or(RESYNC),
        Replacement::Waiting | Replacement::Refused(_) => EVICTION_RETRY,
    }))
}

/// The end of the step that replaces a pod.
enum Replacement {
    /// A pod ends, or none is to be replaced.
    Done,
    /// It is tried again.
    Waiting,
    /// It is tried again, and told: the sentence.
    Refused(String),
}

/// Evicts a pod so that it is made from the new template.
async fn replace(
    context: &Context,
    target: &Target<'_>,
    cluster: &EtcdCluster,
    pod: &PodView,
) -> Result<Replacement, ReconcileError> {
    let name = named(cluster);
    let answer = target.evict(pod).await?;
    if let Eviction::NotNow(words) | Eviction::Refused(words) = &answer {
        let lasts = context.refusals.refused(&name, Instant::now());
        return Ok(if lasts || matches!(answer, Eviction::Refused(_)) {
            Replacement::Refused(format!(
                "{} cannot be evicted in order to be replaced: {words}",
                pod.name
            ))
        } else {
            Replacement::Waiting
        });
    }
    if answer == Eviction::Again {
        return Ok(Replacement::Waiting);
    }
    context.refusals.ended(&name);
    context.vitals.metrics.evicted();
    let note = format!("{} is replaced, as the pod template changed.", pod.name);
    tracing::info!(cluster = name, pod = pod.name, "{note}");
    let event = events::event(EventType::Normal, Reason::PodReplaced, &note);
    context.events.publish(cluster, &[event]).await;
    Ok(Replacement::Done)
}

/// Announces the step of sizing that was just written to the StatefulSet.
async fn announce(context: &Context, cluster: &EtcdCluster, size: &SizePlan) {
    let events = events::of_size(size);
    if events.is_empty() {
        return;
    }
    let step = match size.adopt {
        Some(_) => Reason::SizeAdopted,
        None => size.step.reason(),
    };
    context.vitals.metrics.sized(step);
    tracing::info!(
        cluster = named(cluster),
        step = step.name(),
        replicas = size.replicas,
        "{}",
        size.why
    );
    context.events.publish(cluster, &events).await;
}

/// Reports a reconciliation that could not be carried out, if a person can do something about it.
async fn give_up(
    context: &Context,
    observed: &ObservedCluster,
    error: ReconcileError,
) -> Result<Action, ReconcileError> {
    if !error.is_conflict() {
        context.dependents.forget(&observed.cluster);
    }
    if let ReconcileError::Blocked(blocked) = &error {
        report(context, observed, &Outcome::blocked(blocked)).await?;
        return Ok(Action::requeue(match blocked {
            Blocked::Foreign { .. } => FOREIGN_RETRY,
            Blocked::Predecessor { .. } => PREDECESSOR_RETRY,
        }));
    }
    if error.refused().is_some() {
        report(context, observed, &Outcome::refused(&error)).await?;
    }
    Err(error)
}
