//! The operator's metrics.

use std::time::Duration;

use muster_api::Reason;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    reconciliations: Family<ResultLabel, Counter>,
    duration: Histogram,
    steps: Family<StepLabel, Counter>,
    evictions: Counter,
    leading: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label(&'static str);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>) -> std::fmt::Result {
        self.0.encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("muster_operator");
        let reconciliations = Family::default();
        let duration = Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]);
        let steps = Family::default();
        let evictions = Counter::default();
        let leading = Gauge::default();
        registry.register(
            "reconciliations",
            "Reconciliations by result: ok, or the category of the error (blocked, conflict, deadline, refused, read, unreadable, write)",
            reconciliations.clone(),
        );
        registry.register_with_unit(
            "reconciliation_duration",
            "Duration of reconciliations",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "sizing_steps",
            "Changes of a cluster's size by step, which is the reason of the Event",
            steps.clone(),
        );
        registry.register("evictions", "Pods evicted in order to be replaced", evictions.clone());
        registry.register("leading", "1 if this operator holds the Lease, else 0", leading.clone());
        Self {
            registry,
            reconciliations,
            duration,
            steps,
            evictions,
            leading,
        }
    }
}

impl Metrics {
    /// Counts a reconciliation. `result` is `ok` or a category of errors.
    pub(crate) fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciliations
            .get_or_create(&ResultLabel { result: Label(result) })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts a change of a cluster's size.
    pub(crate) fn sized(&self, step: Reason) {
        let step = Label(step.name());
        self.steps.get_or_create(&StepLabel { step }).inc();
    }

    pub(crate) fn evicted(&self) {
        self.evictions.inc();
    }

    /// Notes that the Lease was taken or lost.
    pub(crate) fn lead(&self, leading: bool) {
        self.leading.set(leading.into());
    }

    /// The metrics in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_carries_the_prefix() {
        let metrics = Metrics::default();
        metrics.reconciled("ok", Duration::from_millis(7));
        metrics.sized(Reason::Growing);
        metrics.lead(true);
        let text = metrics.text();
        for line in [
            "muster_operator_reconciliations_total{result=\"ok\"} 1",
            "muster_operator_sizing_steps_total{step=\"Growing\"} 1",
            "muster_operator_leading 1",
            "muster_operator_reconciliation_duration_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let strange = text
            .lines()
            .find(|line| !line.starts_with('#') && !line.starts_with("muster_operator_"));
        assert_eq!(strange, None);
    }
}
