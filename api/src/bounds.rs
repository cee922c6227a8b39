//! Bounds and defaults of an EtcdCluster's spec.

/// The largest cluster, in members. etcd's own advice is seven members at most.
pub const MAX_SIZE: i32 = 9;

/// The size of a volume whose spec names none. It is part of an immutable
/// template: clusters that exist rely on it.
pub const DEFAULT_VOLUME_SIZE: &str = "8Gi";
