//! The warning about members that share a node. Whether another node would do is not known: the operator has no right
//! to read nodes. No client.

use std::collections::BTreeMap;

use super::HealthInput;
use crate::dereference::PodView;

impl HealthInput<'_> {
    /// The nodes that run several members, what the loss of each costs, and the way out, in sentences; none while each
    /// wanted pod has a node of its own.
    pub(super) fn shared_nodes(&self) -> Option<String> {
        let size = self.plan.size;
        let mut nodes: BTreeMap<&str, Vec<&PodView>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.seat < size && !pod.terminating) {
            if let Some(node) = &pod.node {
                nodes.entry(node).or_default().push(pod);
            }
        }
        let shared: Vec<String> = nodes
            .iter()
            .filter(|(_, pods)| pods.len() > 1)
            .map(|(node, pods)| {
                let cost = if size as usize - pods.len() > size as usize / 2 {
                    format!("its loss costs {} of {size} members", pods.len())
                } else {
                    "its loss costs the quorum".to_owned()
                };
                format!("{} run on node {node}: {cost}.", listed(pods))
            })
            .collect();
        (!shared.is_empty()).then(|| {
            format!(
                "{} If other nodes can run them, delete one of these pods while all members are ready: Kubernetes places it anew.",
                shared.join(" ")
            )
        })
    }
}

fn listed(pods: &[&PodView]) -> String {
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
