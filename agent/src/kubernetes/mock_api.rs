//! An API server for tests that answers what a test says.

use hyper::{Request, Response};
use kube::client::Body;
use tower_test::mock::{self, Handle};

use crate::config::Config;

/// What the requests arrive at.
pub(crate) type Server = Handle<Request<Body>, Response<Body>>;

/// The settings of the pod `c-0` in the namespace `ns`.
pub(crate) fn config() -> Config {
    Config {
        cluster: "c".into(),
        pod: "c-0".into(),
        namespace: "ns".into(),
        pod_uid: "p".into(),
        pod_ip: std::net::Ipv4Addr::LOCALHOST.into(),
        etcd_image: String::new(),
        etcd_options: "[]".into(),
        domain: String::new(),
        volume: String::new().into(),
        socket: String::new().into(),
    }
}

/// A client, and where its requests arrive.
pub(crate) fn pair() -> (kube::Client, Server) {
    let (service, server) = mock::pair::<Request<Body>, Response<Body>>();
    (kube::Client::new(service, "ns"), server)
}
