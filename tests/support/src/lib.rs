//! Helpers of all tests against real etcd: waiting, looking at etcd past Muster, and missing no write.

pub mod etcd;
pub mod wait;
pub mod written;
