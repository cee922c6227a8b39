//! The rules that the API server checks an `EtcdCluster` against, each with
//! the sentence that it answers.

use kube::core::{Message, Rule};

use crate::bounds::{DEFAULT_VOLUME_SIZE, MAX_SIZE};
use crate::names::MAX_NAME_LENGTH;
use crate::{options, version};

const VERSION_FORM: &str = "^v?[0-9]+[.][0-9]+[.][0-9]+$";
const VERSION_SUPPORTED: &str = "^v?3[.](6[.][0-9]+|5[.](1[1-9]|[2-9][0-9]|[1-9][0-9][0-9]+))$";

/// Pods, Services and labels are named after the cluster.
pub(crate) fn name() -> Rule {
    rule(
        format!(
            "size(self.metadata.name) <= {MAX_NAME_LENGTH} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
        ),
        format!(
            "the name of an EtcdCluster has at most {MAX_NAME_LENGTH} lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen: pods, services and labels are named after it"
        ),
    )
}

/// A plaintext cluster is not what a manifest with TLS asks for.
pub(crate) fn no_tls() -> Rule {
    rule("!has(self.tls)", "TLS is not supported yet: remove spec.tls")
}

/// Two ways to name the image would contradict each other.
pub(crate) fn one_image() -> Rule {
    rule(
        "!(has(self.image) && has(self.repository))",
        "set image or repository, not both: image is a complete reference",
    )
}

/// etcd advises against more than seven members.
pub(crate) fn size() -> Rule {
    rule(
        format!("self >= 0 && self <= {MAX_SIZE}"),
        format!("size is between 0 and {MAX_SIZE}"),
    )
}

/// The form of a version.
pub(crate) fn version_form() -> Rule {
    rule(
        format!("self.matches('{VERSION_FORM}')"),
        "version is of the form 3.6.16 or v3.6.16",
    )
}

/// The range of versions; silent about texts that are no version at all.
pub(crate) fn version_range() -> Rule {
    rule(
        format!("!self.matches('{VERSION_FORM}') || self.matches('{VERSION_SUPPORTED}')"),
        format!(
            "supported etcd versions are those from {} up to, but not including, {}",
            version::MINIMUM,
            version::LIMIT
        ),
    )
}

/// The form of an etcd option.
pub(crate) fn option_form() -> Rule {
    rule(
        format!("self.all(option, option.matches('{}'))", options::WELL_FORMED),
        "write each etcd option as --flag or --flag=value",
    )
}

/// The flags that belong to the agent.
pub(crate) fn option_owner() -> Rule {
    rule(
        format!("!self.exists(option, option.matches('{}'))", options::owned_pattern()),
        "etcdOptions cannot set what Muster decides: identity, membership, addresses, certificates, and where the log goes",
    )
}

/// Ephemeral storage has no claim.
pub(crate) fn ephemeral_without_claim() -> Rule {
    rule(
        "!has(self.ephemeral) || !(has(self.size) || has(self.storageClassName))",
        "ephemeral storage has no volume claim: remove storage.size and storage.storageClassName",
    )
}

/// A StatefulSet's claim templates are immutable.
pub(crate) fn same_kind_of_storage() -> Rule {
    rule(
        "has(self.ephemeral) == has(oldSelf.ephemeral)",
        "storage cannot change between volume claims and ephemeral after the cluster was created",
    )
}

/// See [`same_kind_of_storage`].
pub(crate) fn same_volume_size() -> Rule {
    let size = |of: &str| format!("(has({of}.size) ? {of}.size : '{DEFAULT_VOLUME_SIZE}')");
    rule(
        format!("{} == {}", size("self"), size("oldSelf")),
        "storage.size cannot change after the cluster was created",
    )
}

/// See [`same_kind_of_storage`].
pub(crate) fn same_storage_class() -> Rule {
    let class = |of: &str| format!("(has({of}.storageClassName) ? {of}.storageClassName : '')");
    rule(
        format!("{} == {}", class("self"), class("oldSelf")),
        "storage.storageClassName cannot change after the cluster was created",
    )
}

fn rule(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule {
        message: Some(Message::Message(message.into())),
        ..Rule::new(rule)
    }
}
