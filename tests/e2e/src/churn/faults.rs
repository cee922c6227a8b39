//! The actions of the schedule, carried out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bed::Bed;
use crate::cluster::Cluster;
use crate::judge;
use crate::kubectl::Kubectl;
use crate::world::{OPERATOR, SYSTEM};

use super::schedule::Action;

/// The actions done so far.
#[derive(Default)]
pub(super) struct Faults {
    done: RefCell<BTreeMap<&'static str, usize>>,
    skipped: Cell<usize>,
    active: Rc<Cell<usize>>,
}

impl Faults {
    /// Carries out one action; `size` is the size that was asked for last.
    pub(super) async fn apply(&self, cluster: &Cluster<'_>, action: &Action, size: &mut u32) -> Result<()> {
        let cx = cluster.cx;
        let seat = |number: &u32| number % (*size).max(1);
        let kubectl = &cx.kubectl;
        match action {
            Action::Scale(to, by) => {
                cluster.ask_size(*to, *by).await?;
                *size = *to;
            }
            Action::DeletePod(number) => {
                let name = cluster.seat(seat(number));
                cx.step(format!("delete pod {name}"));
                kubectl
                    .run_line(&format!("delete pod {name} --wait=false --ignore-not-found"))
                    .await?;
            }
            Action::ForceDeletePod(number) => {
                let name = cluster.seat(seat(number));
                cx.step(format!("force-delete pod {name}"));
                kubectl
                    .run_line(&format!(
                        "delete pod {name} --grace-period=0 --force --ignore-not-found"
                    ))
                    .await?;
            }
            Action::Kill(number, container) => {
                cx.fault(&format!("kill {} {container}", cluster.path(seat(number))))
                    .await?;
            }
            Action::Pause(number, container, span) => {
                let target = format!("{} {container}", cluster.path(seat(number)));
                self.for_a_while(cluster, &format!("stop {target}"), &format!("cont {target}"), *span)
                    .await?;
            }
            Action::Isolate(number, span) => {
                if !self.isolate(cluster, seat(number), *span).await? {
                    return self.skip(cluster, action);
                }
            }
            Action::NoApi(number, span) => {
                let ends = format!("{} api", cluster.end(&[seat(number)]));
                self.for_a_while(cluster, &format!("cut {ends}"), &format!("heal {ends}"), *span)
                    .await?;
            }
            Action::DeleteOperator => {
                cx.step("delete the operator's pod");
                let selector = format!("delete pods --selector=app.kubernetes.io/name={OPERATOR} --wait=false");
                Kubectl::new(SYSTEM).run_line(&selector).await?;
            }
            Action::ApiDown(span) => self.for_a_while(cluster, "api-down", "api-up", *span).await?,
            Action::NodeDown(node, span) => {
                self.for_a_while(
                    cluster,
                    &format!("kill-node {node}"),
                    &format!("start-node {node}"),
                    *span,
                )
                .await?;
            }
            Action::LoseVolume(number) => {
                // With anything else broken this could be the one fault too many.
                if *size < 3 || self.active.get() > 0 || judge::look(cluster, *size).await.is_err() {
                    return self.skip(cluster, action);
                }
                lose_volume(cluster, seat(number)).await?;
            }
        }
        *self.done.borrow_mut().entry(action.kind()).or_default() += 1;
        Ok(())
    }

    /// The number of actions of each kind.
    pub(super) fn summary(&self) -> String {
        let done = self.done.borrow();
        let all: Vec<_> = done.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        format!(
            "{} events: {}; {} skipped",
            done.values().sum::<usize>(),
            all.join(", "),
            self.skipped.get()
        )
    }

    fn skip(&self, cluster: &Cluster<'_>, action: &Action) -> Result<()> {
        cluster.cx.step(format!("skipped: {action}"));
        self.skipped.set(self.skipped.get() + 1);
        Ok(())
    }

    /// Cuts a seat off from all others for a while; false if there are no others.
    async fn isolate(&self, cluster: &Cluster<'_>, seat: u32, span: Duration) -> Result<bool> {
        let pods = cluster.pods().await?;
        let seats = pods.values().filter_map(|pod| pod.seat());
        let others: Vec<_> = seats.filter(|other| *other != seat).collect();
        if others.is_empty() {
            return Ok(false);
        }
        let ends = format!("{} {}", cluster.end(&[seat]), cluster.end(&others));
        self.for_a_while(cluster, &format!("cut {ends}"), &format!("heal {ends}"), span)
            .await?;
        Ok(true)
    }

    /// A fault that ends by itself after a while, and at the latest at the end.
    async fn for_a_while(&self, cluster: &Cluster<'_>, begin: &str, end: &str, span: Duration) -> Result<()> {
        let cx = cluster.cx;
        cx.fault_at_end(end);
        cx.fault(begin).await.context("the fault did not begin")?;
        let (bed, active, end) = (cx.world.bed.clone(), Rc::clone(&self.active), end.to_owned());
        active.set(active.get() + 1);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(span).await;
            end_fault(&bed, &end).await;
            active.set(active.get() - 1);
        });
        Ok(())
    }
}

/// Deletes a seat's volume, and its pod.
async fn lose_volume(cluster: &Cluster<'_>, seat: u32) -> Result<()> {
    let (cx, name) = (cluster.cx, cluster.seat(seat));
    cx.step(format!("the volume of {name} is deleted"));
    for line in [
        format!("delete persistentvolumeclaim data-{name} --wait=false"),
        format!("delete pod {name} --grace-period=1 --wait=false"),
    ] {
        cx.kubectl.run_line(&line).await?;
    }
    Ok(())
}

/// Ends a fault. An error is printed only: the pod may have gone meanwhile, and the fault with it.
async fn end_fault(bed: &Bed, line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    if let Err(error) = bed.fault(&words).await {
        println!("  fault {line}: {error:#}");
    }
}
