//! The manifests in `deploy/` and the list of reasons in `docs/` are those of this release.

use std::path::Path;

#[test]
fn the_manifests_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    muster_operator::generate::check(&root.join("deploy"), &root.join("docs")).unwrap();
}

#[test]
fn the_chart_installs_this_release() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart");
    let read = |name: &str| std::fs::read_to_string(chart.join(name)).unwrap();
    let values = read("values.yaml");
    for image in [muster_operator::cli::OPERATOR_IMAGE, muster_operator::cli::AGENT_IMAGE] {
        assert!(values.contains(image), "{image}");
    }
    let version = env!("CARGO_PKG_VERSION");
    for line in [format!("version: {version}"), format!("appVersion: {version}")] {
        assert!(read("Chart.yaml").lines().any(|have| have == line), "{line}");
    }
}
