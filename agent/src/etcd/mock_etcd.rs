//! A mock of an etcd server, for tests: it answers what a test says, over gRPC.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use muster_membership::ClusterId;
use tokio::net::TcpListener;

/// An answer to a request.
pub(crate) enum Answer {
    /// Success, from a member of this cluster (an ID below 128).
    From(ClusterId),
    /// An error with this text.
    Refusal(&'static str),
}

/// A server, and the paths of the requests that it got.
pub(crate) struct MockEtcd {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl MockEtcd {
    /// Starts a server that answers by the request's path.
    pub(crate) async fn start(answer: fn(&str) -> Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(vec![]));
        let paths = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let paths = paths.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let path = request.uri().path().to_owned();
                    paths.lock().unwrap().push(path.clone());
                    async move {
                        _ = request.into_body().collect().await;
                        Ok::<_, Infallible>(response(&answer(&path)))
                    }
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { port, asked }
    }

    /// The client URL.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The paths of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Frames = futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

fn response(answer: &Answer) -> Response<StreamBody<Frames>> {
    let head = Response::builder().header("content-type", "application/grpc");
    let (head, frames) = match answer {
        Answer::From(cluster) => {
            // Field 1 is the header, with the cluster ID in its field 1; field 2 is a member with the ID 7 where there
            // is a member, and a list of members elsewhere.
            let message = [0x0a, 2, 0x08, u8::try_from(cluster.0).unwrap(), 0x12, 2, 0x08, 7];
            let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
            body.extend(message);
            let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
            let frames = vec![
                Ok(Frame::data(Bytes::from(body))),
                Ok(Frame::trailers(trailers.into_iter().collect())),
            ];
            (head, frames)
        }
        // The code 9 is "failed precondition".
        Answer::Refusal(text) => (head.header("grpc-status", "9").header("grpc-message", *text), vec![]),
    };
    head.body(StreamBody::new(futures::stream::iter(frames))).unwrap()
}
