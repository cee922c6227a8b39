//! The manifests in `deploy/` are those of this release.

use std::path::Path;

#[test]
fn the_manifests_are_up_to_date() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    muster_operator::generate::check(&deploy).unwrap();
}
