//! The course of a case: a cluster at rest, a story, a fault at its step, and the end.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::fault::Fault;
use super::large;
use super::matrix::Case;
use super::story::Story;
use crate::cluster::judge::{self, Settled};
use crate::cluster::sampler::Sampler;
use crate::cluster::templates::Templates;
use crate::cluster::writer::{Report, Writer};
use crate::cluster::{Cluster, etcd};
use crate::run::{Kit, keep_evidence};
use crate::stage::apart;
use crate::wait::{secs, until};

/// The time that others get to promote a learner.
const CONVERGE: Duration = secs(90);
/// etcd refuses changes of membership until its members know each other for this long.
const ACQUAINTED: Duration = Duration::from_millis(5_500);

/// The outcome of a case.
pub(crate) struct Outcome {
    pub(crate) case: Case,
    /// The problems; none if it passed.
    pub(crate) problems: Vec<String>,
    /// The time that it took.
    pub(crate) took: Duration,
    /// The time from the fault's end until the cluster was at rest.
    pub(crate) healed: Duration,
    /// The report of the writer.
    pub(crate) writes: Report,
}

/// Plays a case in a slot of its own.
pub(crate) async fn play(kit: &Rc<Kit>, templates: &Templates, slot: u8, case: Case) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome {
        case,
        problems: vec![],
        took: Duration::ZERO,
        healed: Duration::ZERO,
        writes: Report::default(),
    };
    let folder = Path::new(apart::ROOT).join("cases").join(case.name());
    match case.step.story.cluster(kit, templates, slot, folder.clone()).await {
        Ok(cluster) => {
            if let Err(error) = act(&cluster, case, &mut outcome).await {
                outcome.problems.push(format!("{error:#}"));
            }
            outcome.problems.extend(cluster.failures());
            if (kit.keep || !outcome.problems.is_empty())
                && let Err(error) = keep_evidence(&cluster, &case.name(), &outcome.problems)
            {
                outcome.problems.push(format!("the evidence: {error:#}"));
            }
            if let Err(error) = cluster.close().await {
                outcome.problems.push(format!("clearing up: {error:#}"));
            }
        }
        Err(error) => outcome.problems.push(format!("setting up: {error:#}")),
    }
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        outcome.problems.push(format!("clearing up: {error}"));
    }
    outcome.took = start.elapsed();
    outcome
}

async fn act(cluster: &Rc<Cluster>, case: Case, outcome: &mut Outcome) -> Result<()> {
    let sampler = Sampler::start(cluster);
    let mut allowed = BTreeSet::new();
    let result = strike_and_heal(cluster, case, outcome, &mut allowed).await;
    // Also of a cluster that does not come to rest; one that was never founded has no ID of its own.
    if result.is_ok() || case.step.story != Story::Found {
        let history = judge::check_history(cluster, &sampler.seen.borrow(), &allowed);
        outcome.problems.extend(history);
    }
    result
}

/// The cluster at rest, the story, the fault, and the cluster at rest again. `allowed` are the
/// cluster IDs that there may be.
async fn strike_and_heal(
    cluster: &Rc<Cluster>,
    case: Case,
    outcome: &mut Outcome,
    allowed: &mut BTreeSet<u64>,
) -> Result<()> {
    let (step, story) = (case.step, case.step.story);
    let before = prepare(cluster, story).await.context("before")?;
    allowed.extend(before.iter().map(|settled| settled.cluster_id));
    let writer = Writer::start(cluster);
    let armed = step.seam.arm(cluster, story.subject());
    story.begin(cluster).await.context("the story")?;
    let held = armed.seen(cluster, story.subject(), story.lasts()).await?;
    let (verdict, aftermath) = case.fault.strike(cluster, step).await.context("the fault")?;
    if let Some(held) = held {
        held.release(verdict);
    }
    aftermath.end(cluster).await;
    let over = Instant::now();
    if is_lost(case) {
        allowed.insert(give_up(cluster).await.context("the cluster is lost")?);
        writer.forget();
    }
    let wanted = story.members_after();
    if story == Story::Promote {
        until("the learner to be promoted by others", CONVERGE, async || {
            judge::look_at_etcd(cluster, wanted).await
        })
        .await?;
    }
    story.end(cluster);
    let after = until(&format!("{wanted} members at rest"), story.heals_within(), async || {
        judge::look(cluster, wanted).await
    })
    .await?;
    outcome.healed = over.elapsed();
    if story == Story::Large {
        large::was_never_evicted(cluster, story.subject())?;
    }
    allowed.insert(after.cluster_id);
    outcome.writes = writer.finish(cluster).await?;
    if let Some(before) = before {
        outcome.problems.extend(replaced(case, &before, &after));
    }
    Ok(())
}

/// The cluster at rest, and its members acquainted.
async fn prepare(cluster: &Rc<Cluster>, story: Story) -> Result<Option<Settled>> {
    let members = story.members_before();
    if members == 0 {
        return Ok(None);
    }
    cluster.ensure_pods()?;
    let mut since: Option<Instant> = None;
    let settled = until("a cluster at rest", secs(60), async || {
        let settled = judge::look(cluster, members).await?;
        let since = *since.get_or_insert_with(Instant::now);
        ensure!(since.elapsed() > ACQUAINTED, "it is, since {:?}", since.elapsed());
        Ok(settled)
    })
    .await?;
    cluster.make_leader(story.leader_before()).await?;
    Ok(Some(settled))
}

/// True if every volume of the claimed cluster is gone.
fn is_lost(case: Case) -> bool {
    case.step.story == Story::Found && case.fault == Fault::Wipe && case.step.name != "found-claim"
}

/// The agents say that the cluster is lost, and found no other; a person gives it up, as they say.
async fn give_up(cluster: &Cluster) -> Result<u64> {
    until("all agents to say that it is lost", secs(30), async || {
        for pod in cluster.pods() {
            let report = judge::agent_report(pod.address).await?;
            ensure!(
                report["phase"] == "Lost",
                "{} is {}: {}",
                pod.uid,
                report["phase"],
                report["why"]
            );
        }
        Ok(())
    })
    .await?;
    for pod in cluster.pods() {
        if let Ok(status) = etcd::status(pod.address).await {
            bail!("{} serves cluster {:016x}", pod.uid, status.cluster_id);
        }
    }
    let record = cluster.objects.birth_record().context("there is no birth record")?;
    let id = record.cluster_id().context("the record names no cluster")?;
    cluster.gate.note(&format!("a person gives up cluster {id}"));
    cluster
        .objects
        .patch_birth(muster_api::birth::key::ABANDONED, &id.to_string());
    Ok(id.0)
}

/// Members of wanted seats that have another ID now, although they kept their volume.
fn replaced(case: Case, before: &Settled, after: &Settled) -> Vec<String> {
    let story = case.step.story;
    let may_be = |seat: u32| seat == story.subject() && (story == Story::Replace || case.fault.replaces());
    let changed = before.members.iter().filter(|(seat, id)| {
        let now = after.members.get(seat);
        now.is_some_and(|now| now != *id) && !may_be(**seat)
    });
    changed
        .map(|(seat, id)| format!("seat {seat} kept its volume, and yet its member {id:016x} was replaced"))
        .collect()
}
