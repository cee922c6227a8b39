//! Metrics of the agent.

use muster_api::status::SeatPhase;
use muster_membership::{Decision, Reason};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The agent's metrics, all with the prefix `muster_agent`.
#[derive(Debug, Default)]
pub(crate) struct AgentMetrics {
    decisions: Counter,
    actions: Counter,
    seat: Family<SeatLabels, Gauge>,
}

/// The state of the seat in words of low cardinality.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeatLabels {
    phase: String,
    reason: &'static str,
}

impl AgentMetrics {
    /// Metrics at zero, and the registry that shows them.
    pub(crate) fn registered() -> (Self, Registry) {
        let metrics = Self::default();
        let mut registry = Registry::with_prefix("muster_agent");
        registry.register("decisions", "Decisions made", metrics.decisions.clone());
        registry.register("actions", "Steps taken or tried", metrics.actions.clone());
        registry.register(
            "seat",
            "The state of the seat and the reason of it, as in /status: 1 for the present pair, which is the only one",
            metrics.seat.clone(),
        );
        (metrics, registry)
    }

    /// Counts a decision and its steps.
    pub(crate) fn count(&self, decision: &Decision) {
        self.decisions.inc();
        self.actions.inc_by(decision.actions.len() as u64);
    }

    /// Shows the present pair of phase and reason, and no other.
    pub(crate) fn show_seat(&self, phase: SeatPhase, reason: Option<Reason>) {
        let labels = SeatLabels {
            phase: name_of(phase),
            reason: reason.map_or("", Reason::name),
        };
        if self.seat.get(&labels).is_none() {
            self.seat.clear();
            self.seat.get_or_create(&labels).set(1);
        }
    }
}

/// The phase as the EtcdCluster's status writes it.
fn name_of(phase: SeatPhase) -> String {
    let name = serde_json::to_value(phase).ok();
    name.as_ref()
        .and_then(|name| name.as_str())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat_lines(registry: &Registry) -> Vec<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("muster_agent_seat{"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn only_the_present_phase_and_reason_are_shown() {
        let (metrics, registry) = AgentMetrics::registered();
        assert!(seat_lines(&registry).is_empty());
        metrics.show_seat(SeatPhase::Waiting, Some(Reason::ApiServerRefused));
        metrics.show_seat(SeatPhase::Waiting, Some(Reason::ApiServerRefused));
        assert_eq!(
            seat_lines(&registry),
            [r#"muster_agent_seat{phase="Waiting",reason="ApiServerRefused"} 1"#]
        );
        metrics.show_seat(SeatPhase::Voter, Some(Reason::Serving));
        assert_eq!(
            seat_lines(&registry),
            [r#"muster_agent_seat{phase="Voter",reason="Serving"} 1"#]
        );
    }
}
