//! A mock of the API server, for tests: it answers what a test says.

use hyper::{Request, Response};
use kube::client::Body;
use tower_test::mock::{self, Handle};

use crate::config::Config;

/// The end at which requests arrive.
pub(crate) type MockApi = Handle<Request<Body>, Response<Body>>;

/// The settings of the pod `c-0` in the namespace `ns`.
pub(crate) fn config() -> Config {
    Config {
        cluster: "c".into(),
        pod: "c-0".into(),
        namespace: "ns".into(),
        pod_uid: "p".into(),
        pod_ip: std::net::Ipv4Addr::LOCALHOST.into(),
        pod_ips: String::new(),
        etcd_image: String::new(),
        etcd_options: "[]".into(),
        domain: String::new(),
        volume: String::new().into(),
        socket: String::new().into(),
    }
}

/// A client, and the end at which its requests arrive.
pub(crate) fn pair() -> (kube::Client, MockApi) {
    let (service, server) = mock::pair::<Request<Body>, Response<Body>>();
    (kube::Client::new(service, "ns"), server)
}
