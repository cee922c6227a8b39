//! A cluster of one case: its pods and volumes, a client that writes, and the judge.

pub(crate) mod etcd;
pub(crate) mod judge;
pub(crate) mod sampler;
pub(crate) mod seats;
pub(crate) mod templates;
pub(crate) mod volumes;
pub(crate) mod writer;

pub(crate) use seats::Cluster;
