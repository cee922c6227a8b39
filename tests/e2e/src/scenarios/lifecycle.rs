//! Pods come and go for many reasons; only one of them means "leave". Whatever
//! happens here, the members stay the ones they were.

use anyhow::{Context as _, Result, ensure};

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge::Settled;
use crate::kubectl::Kubectl;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "restart-pod",
        "each pod is deleted in turn: it comes back as the same member",
        restart_pod
    ),
    scenario!(
        "delete-all-pods",
        "all pods are deleted at once: the same members come back",
        delete_all_pods
    ),
    scenario!(
        "kill-agent",
        "an agent's process is killed: etcd runs on, and scaling works afterwards",
        kill_agent
    ),
    scenario!(
        "drain-node",
        "a node is drained: its member waits and comes back",
        drain_node
    )
    .alone(),
    scenario!(
        "orphan-statefulset",
        "the StatefulSet is deleted with --cascade=orphan: made again, nothing restarts",
        orphan
    ),
    scenario!(
        "recreate-cluster",
        "the EtcdCluster is deleted and made again over its retained volumes",
        recreate
    ),
    scenario!(
        "hibernate",
        "3→0→3 and 1→0→1: the members and their data are as before",
        hibernate
    ),
];

async fn three(cx: &Ctx) -> Result<(Cluster<'_>, Settled)> {
    let cluster = cx.cluster("demo");
    let settled = cluster.create(3).await?;
    cluster.put_data("before").await?;
    Ok((cluster, settled))
}

/// Waits until the cluster is exactly what it was, data included.
async fn unchanged(cluster: &Cluster<'_>, before: &Settled) -> Result<()> {
    let size = u32::try_from(before.members.len())?;
    let after = cluster.converged(size, secs(150)).await?;
    ensure!(after == *before, "the membership changed: {before:?} became {after:?}");
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn restart_pod(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    for pod in cluster.pods().await?.into_values() {
        cx.step(format!("kubectl delete pod {}", pod.name));
        cx.kubectl.run_line(&format!("delete pod {}", pod.name)).await?;
        unchanged(&cluster, &before).await?;
        let again = cluster.pods().await?.remove(&pod.name).context("no pod")?;
        ensure!(again.uid != pod.uid, "{} was not deleted", pod.name);
    }
    Ok(())
}

async fn delete_all_pods(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    cx.step("kubectl delete pods --all");
    cx.kubectl.run_line("delete pods --all").await?;
    unchanged(&cluster, &before).await?;
    cx.step("kubectl delete pods --all --grace-period=0 --force");
    cx.kubectl
        .run_line("delete pods --all --grace-period=0 --force")
        .await?;
    unchanged(&cluster, &before).await
}

async fn kill_agent(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    for seat in 0..3 {
        let name = cluster.seat(seat);
        cx.fault(&format!("kill {}/{name} agent", cx.namespace)).await?;
        until(
            &format!("the agent of {name} to be started again"),
            secs(60),
            async || {
                let pod = cluster.pod(seat).await?;
                ensure!(pod.restarts_of("agent") > 0, "it was not restarted");
                ensure!(pod.restarts_of("etcd") == 0, "etcd restarted with it");
                Ok(())
            },
        )
        .await?;
    }
    unchanged(&cluster, &before).await?;
    cluster.scale(5, By::Patch).await?;
    cluster.scale(3, By::Patch).await?;
    unchanged(&cluster, &before).await
}

async fn drain_node(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    let pod = cluster.pod(1).await?;
    let node = pod.node.context("a pod without a node")?;
    let uncordon = {
        let (kubectl, node) = (cx.kubectl.clone(), node.clone());
        async move { kubectl.run_line(&format!("uncordon {node}")).await.map(|_| ()) }
    };
    cx.at_end("uncordon", uncordon);
    cx.step(format!("kubectl drain {node}"));
    let selector = format!("app.kubernetes.io/instance={}", cluster.name());
    cx.kubectl
        .run_line(&format!(
            "drain {node} --ignore-daemonsets --delete-emptydir-data --timeout=180s --pod-selector={selector}"
        ))
        .await?;
    cx.step("drained");
    let others: Vec<_> = cluster.pods().await?.into_values().filter(|pod| pod.ready).collect();
    let address = others
        .first()
        .and_then(|pod| pod.client_address())
        .context("no pod is ready while the node is drained")?;
    let view = cx.world.etcd.fenced_view(&address).await?;
    ensure!(
        view.members.len() == 3,
        "a member left because of a drain: {:?}",
        view.members
    );
    Kubectl::new(&cx.namespace)
        .run_line(&format!("uncordon {node}"))
        .await?;
    unchanged(&cluster, &before).await
}

async fn orphan(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    let old = cluster
        .stateful_set()
        .await?
        .and_then(|set| set.metadata.uid)
        .context("no StatefulSet")?;
    let pods = cluster.pods().await?;
    cx.step("kubectl delete statefulset --cascade=orphan");
    // Without `--wait=false` kubectl may wait for ever: when the next object of
    // the name is there before it looks again, it takes that for this one.
    cx.kubectl
        .run_line(&format!(
            "delete statefulset {} --cascade=orphan --wait=false",
            cluster.name()
        ))
        .await?;
    until("another StatefulSet", secs(60), async || {
        let new = cluster
            .stateful_set()
            .await?
            .and_then(|set| set.metadata.uid)
            .context("no StatefulSet")?;
        ensure!(new != old, "it is still the old one");
        Ok(())
    })
    .await?;
    unchanged(&cluster, &before).await?;
    for (name, pod) in cluster.pods().await? {
        ensure!(
            pods.get(&name).is_some_and(|before| before.uid == pod.uid),
            "{name} was replaced"
        );
        ensure!(pod.restarts_of("etcd") == 0, "{name}: etcd restarted");
    }
    // The pods belong to the new one, and can leave by its word.
    cluster.scale(1, By::Patch).await?;
    Ok(())
}

async fn recreate(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    cx.step("kubectl delete etcdcluster");
    cx.kubectl
        .run_line(&format!("delete etcdcluster {}", cluster.name()))
        .await?;
    until("the cluster's pods to go", secs(150), async || {
        let pods = cluster.pods().await?;
        ensure!(pods.is_empty(), "still there: {:?}", pods.keys());
        ensure!(
            cluster.stateful_set().await?.is_none(),
            "the StatefulSet is still there"
        );
        Ok(())
    })
    .await?;
    cluster.apply(3).await?;
    unchanged(&cluster, &before).await?;
    cluster.scale(1, By::Patch).await?;
    cluster.check_data("before").await
}

async fn hibernate(cx: &Ctx) -> Result<()> {
    let (cluster, before) = three(cx).await?;
    sleep_and_wake(&cluster, &before, By::Patch).await?;
    sleep_and_wake(&cluster, &before, By::StatefulSet).await?;
    let one = cluster.scale(1, By::Patch).await?;
    sleep_and_wake(&cluster, &one, By::Scale).await
}

async fn sleep_and_wake(cluster: &Cluster<'_>, before: &Settled, by: By) -> Result<()> {
    cluster.ask_size(0, by).await?;
    until("all pods to go", secs(150), async || {
        let pods = cluster.pods().await?;
        ensure!(pods.is_empty(), "still there: {:?}", pods.keys());
        Ok(())
    })
    .await?;
    cluster.ask_size(u32::try_from(before.members.len())?, by).await?;
    unchanged(cluster, before).await
}
