//! The Helm chart's template: the same objects, with the chart's values in the
//! places that differ between installations.

use super::install::Installation;
use super::manifest;

pub(super) fn text() -> anyhow::Result<String> {
    let installation = Installation {
        namespace: "{{ .Release.Namespace }}",
        operator_image: "{{ .Values.operatorImage }}",
        agent_image: "{{ .Values.agentImage }}",
    };
    Ok(manifest("Generated.", installation.objects()?))
}
