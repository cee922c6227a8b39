//! Reads that fail: the seat says which kind of failure it is, and joins once the cause is gone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::agent;
use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "reason-comes-through",
    "a read is refused, cannot be decoded, or gets no answer: the waiting seat says which, and joins afterwards",
    reason_comes_through
)
.alone()];

/// The time from a fault, or its end, to the seat's new reason: a few reads and one write of the status.
const SAID: Duration = secs(60);

/// The operator is away all the while: it would restore the Role, and the size.
async fn reason_comes_through(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    cluster.put_data("before").await?;
    cx.stop_operator().await?;
    refused(&cluster).await?;
    unreadable_and_silent(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.ask_size(3, By::Patch).await?;
    cx.start_operator().await?;
    let after = cluster.converged(3, secs(120)).await?;
    ensure!(
        after.cluster_id == before.cluster_id,
        "it is another cluster: {before:?}, {after:?}"
    );
    cluster.reported(&after).await
}

/// Seat 1 is wanted while agents may not read the birth record.
async fn refused(cluster: &Cluster<'_>) -> Result<()> {
    let cx = cluster.cx;
    let role = format!("{}-agent", cluster.name());
    let object = cx.kubectl.get(&format!("role/{role}")).await?.context("no Role")?;
    let rules = object["rules"].as_array().context("a Role without rules")?;
    let fewer = without_get(rules, "configmaps");
    ensure!(fewer != *rules, "the Role has no `get` on the birth record: {rules:?}");
    cx.step(format!("the Role {role} loses `get` on the birth record"));
    patch(cluster, "role", &role, &json!({ "rules": fewer })).await?;
    cluster.ask_size(2, By::StatefulSet).await?;
    seat_says(cluster, 1, "ApiServerRefused", "forbidden").await?;
    only(cluster, 1).await?;
    cx.step(format!("the Role {role} has it back"));
    patch(cluster, "role", &role, &json!({ "rules": rules })).await?;
    cluster.converged(2, secs(90)).await?;
    Ok(())
}

/// Seat 2 is wanted while the birth record holds nonsense; meanwhile its agent is cut off from the API server.
async fn unreadable_and_silent(cluster: &Cluster<'_>) -> Result<()> {
    let cx = cluster.cx;
    let record = format!("{}-birth", cluster.name());
    let phase = cluster
        .birth()
        .await?
        .remove("phase")
        .context("a record without phase")?;
    cx.step(format!("{record}: phase {phase} becomes nonsense"));
    patch(
        cluster,
        "configmap",
        &record,
        &json!({ "data": { "phase": "nonsense" } }),
    )
    .await?;
    cluster.ask_size(3, By::StatefulSet).await?;
    seat_says(cluster, 2, "BirthRecordDamaged", "phase").await?;

    let cut = format!("{} api", cluster.end(&[2]));
    cx.fault_at_end(&format!("heal {cut}"));
    cx.fault(&format!("cut {cut}")).await?;
    agent_says(cluster, 2, "ApiServerSilent").await?;
    cx.fault(&format!("heal {cut}")).await?;
    agent_says(cluster, 2, "BirthRecordDamaged").await?;
    only(cluster, 2).await?;

    cx.step(format!("{record}: phase is {phase} again"));
    patch(cluster, "configmap", &record, &json!({ "data": { "phase": phase } })).await?;
    cluster.converged(3, secs(90)).await?;
    Ok(())
}

/// The rules without the verb `get` on a resource.
fn without_get(rules: &[Value], resource: &str) -> Vec<Value> {
    let mut rules = rules.to_vec();
    for rule in &mut rules {
        let names = rule["resources"].as_array().into_iter().flatten();
        if names.into_iter().any(|name| name == resource)
            && let Some(verbs) = rule["verbs"].as_array_mut()
        {
            verbs.retain(|verb| verb != "get");
        }
    }
    rules
}

async fn patch(cluster: &Cluster<'_>, kind: &str, name: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", kind, name, "--type=merge", "-p", &patch];
    cluster.cx.kubectl.run(&args).await.map(drop)
}

/// Waits until the EtcdCluster's status gives this reason for a seat, and its sentence has a word.
async fn seat_says(cluster: &Cluster<'_>, seat: u32, expected: &str, word: &str) -> Result<()> {
    let name = cluster.seat(seat);
    let what = format!("the status to say {expected} of {name}, and {word:?}");
    let why = until(&what, SAID, async || {
        let said = cluster.seat_status(seat).await?;
        let (reason, why) = reason_and_sentence(&said);
        ensure!(
            reason == expected && why.contains(word),
            "{name} is {}, {reason}: {why}",
            said["phase"]
        );
        Ok(format!("{reason}: {why}"))
    })
    .await?;
    cluster.cx.note(format!("{name}: {why}"));
    Ok(())
}

/// Waits until a seat's own agent gives this reason: with no way to the API server, it is told here alone.
async fn agent_says(cluster: &Cluster<'_>, seat: u32, expected: &str) -> Result<()> {
    let name = cluster.seat(seat);
    let ip = cluster.pod(seat).await?.ip.context("a pod without an address")?;
    let why = until(&format!("the agent of {name} to say {expected}"), SAID, async || {
        let said = agent::status(&ip).await?;
        let (reason, why) = reason_and_sentence(&said);
        ensure!(reason == expected, "it is {}, {reason}: {why}", said["phase"]);
        Ok(format!("{reason}: {why}"))
    })
    .await?;
    cluster.cx.note(format!("{name}, its agent: {why}"));
    Ok(())
}

fn reason_and_sentence(said: &Value) -> (&str, &str) {
    let text = |field: &str| said[field].as_str().unwrap_or_default();
    (text("reason"), text("why"))
}

/// Checks that only the seats below `seats` have members: nobody joins on what could not be read.
async fn only(cluster: &Cluster<'_>, seats: u32) -> Result<()> {
    let names: Vec<_> = (0..seats).map(|seat| cluster.seat(seat)).collect();
    let what = format!("the members to be {names:?}");
    until(&what, secs(10), async || judge::look_at(cluster, &names).await)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_verb_get_on_that_resource_is_taken_away() {
        let rules = [
            json!({ "resources": ["pods"], "verbs": ["get"] }),
            json!({ "resources": ["configmaps"], "verbs": ["get", "create"], "resourceNames": ["demo-birth"] }),
        ];
        let fewer = without_get(&rules, "configmaps");
        assert_eq!(fewer[0], rules[0]);
        assert_eq!(fewer[1]["verbs"], json!(["create"]));
        assert_eq!(fewer[1]["resourceNames"], rules[1]["resourceNames"]);
    }
}
