//! The judge: etcd itself, on every pod, and Kubernetes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::join_all;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::etcd::View;

/// A cluster at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// etcd's cluster ID.
    pub(crate) cluster_id: u64,
    /// Member IDs by seat.
    pub(crate) members: BTreeMap<String, u64>,
}

/// Checks that the cluster has exactly the seats 0 to `size` - 1, all of them
/// started voters on the list of every pod, each answering a linearizable
/// read, and the StatefulSet `size`/`size` ready.
pub(crate) async fn look(cluster: &Cluster<'_>, size: u32) -> Result<Settled> {
    stateful_set_has(cluster, size).await?;
    let seats: Vec<_> = (0..size).map(|seat| cluster.seat(seat)).collect();
    look_at(cluster, &seats).await
}

/// Checks as `look` does, for these seats, and without the StatefulSet.
pub(crate) async fn look_at(cluster: &Cluster<'_>, seats: &[String]) -> Result<Settled> {
    let pods = cluster.pods().await?;
    let views = join_all(seats.iter().map(async |seat| {
        let pod = pods.get(seat).with_context(|| format!("no pod {seat}"))?;
        ensure!(!pod.terminating, "{seat} is terminating");
        let address = pod.client_address().with_context(|| format!("{seat} has no address"))?;
        cluster
            .cx
            .world
            .etcd
            .fenced_view(&address)
            .await
            .with_context(|| seat.clone())
    }))
    .await
    .into_iter()
    .collect::<Result<Vec<View>>>()?;
    let mut settled: Option<Settled> = None;
    for (seat, view) in seats.iter().zip(&views) {
        let seen = members_are(seat, view, seats)?;
        match &settled {
            Some(before) => ensure!(
                *before == seen,
                "{seat} says {seen:?}, but {} says {before:?}",
                seats[0]
            ),
            None => settled = Some(seen),
        }
    }
    match settled {
        Some(settled) => Ok(settled),
        None => Ok(Settled {
            cluster_id: 0,
            members: BTreeMap::new(),
        }),
    }
}

async fn stateful_set_has(cluster: &Cluster<'_>, size: u32) -> Result<()> {
    let set = cluster.stateful_set().await?.context("no StatefulSet")?;
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = set.status.unwrap_or_default();
    let (pods, ready) = (status.replicas, status.ready_replicas.unwrap_or(0));
    let expected = i32::try_from(size)?;
    ensure!(
        wanted == expected && pods == expected && ready == expected,
        "StatefulSet: {wanted} wanted, {pods} pods, {ready} ready"
    );
    ensure!(
        status.observed_generation >= set.metadata.generation,
        "StatefulSet: the status is that of an earlier generation"
    );
    Ok(())
}

/// Checks that one member's list is exactly these seats, all voters, all started.
fn members_are(seat: &str, view: &View, seats: &[String]) -> Result<Settled> {
    let mut members = BTreeMap::new();
    for member in &view.members {
        ensure!(
            !member.name.is_empty(),
            "{seat} lists {:016x} of {}, which never started",
            member.id,
            member.peer_url
        );
        ensure!(!member.learner, "{seat} lists {} as a learner", member.name);
        if members.insert(member.name.clone(), member.id).is_some() {
            bail!("{seat} lists two members named {}", member.name);
        }
    }
    let names: Vec<_> = members.keys().cloned().collect();
    ensure!(names == seats, "{seat} lists {names:?}");
    ensure!(
        members.get(seat) == Some(&view.answered_by),
        "{seat} is answered by {:016x}",
        view.answered_by
    );
    Ok(Settled {
        cluster_id: view.cluster_id,
        members,
    })
}

/// Checks that the EtcdCluster's status tells the same.
pub(crate) fn compare_status(object: &Value, settled: &Settled) -> Result<()> {
    let status = &object["status"];
    let id = status["clusterID"].as_str().unwrap_or_default();
    ensure!(
        id == format!("{:016x}", settled.cluster_id),
        "status.clusterID is {id:?}"
    );
    let told: BTreeMap<String, String> = status["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|member| member["role"] == "Voter" && member["started"] == true)
        .filter_map(|member| Some((member["name"].as_str()?.to_owned(), member["id"].as_str()?.to_owned())))
        .collect();
    let seen: BTreeMap<String, String> = settled
        .members
        .iter()
        .map(|(name, id)| (name.clone(), format!("{id:016x}")))
        .collect();
    ensure!(told == seen, "status.members is {}", status["members"]);
    let size = settled.members.len();
    ensure!(
        status["readyReplicas"].as_u64() == Some(size as u64),
        "status.readyReplicas is {}",
        status["readyReplicas"]
    );
    let leader = status["leader"].as_str().unwrap_or_default();
    ensure!(settled.members.contains_key(leader), "status.leader is {leader:?}");
    let mut seats: Vec<_> = status["seats"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|seat| seat["name"].as_str())
        .collect();
    seats.sort_unstable();
    ensure!(
        seats.iter().copied().eq(settled.members.keys().map(String::as_str)),
        "status.seats has {seats:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::Member;

    fn member(id: u64, name: &str, learner: bool) -> Member {
        Member {
            id,
            name: name.to_owned(),
            peer_url: format!("http://{name}.x:2380"),
            learner,
        }
    }

    fn seats(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_started_voters_of_exactly_the_wanted_seats_will_do() {
        let view = |members| View {
            cluster_id: 7,
            answered_by: 1,
            members,
        };
        let wanted = seats(&["a-0", "a-1"]);
        let good = view(vec![member(1, "a-0", false), member(2, "a-1", false)]);
        assert_eq!(members_are("a-0", &good, &wanted).unwrap().members.len(), 2);
        for bad in [
            vec![member(1, "a-0", false)],
            vec![member(1, "a-0", false), member(2, "a-1", true)],
            vec![member(1, "a-0", false), member(2, "", false)],
            vec![
                member(1, "a-0", false),
                member(2, "a-1", false),
                member(3, "a-2", false),
            ],
            vec![member(1, "a-0", false), member(2, "a-0", false)],
        ] {
            assert!(members_are("a-0", &view(bad), &wanted).is_err());
        }
    }
}
