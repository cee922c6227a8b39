//! The API server: as much of it as an agent uses.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::objects::{Objects, Written};
use crate::stage::gate::{Gate, Moment, Party, Passage, Verdict};
use crate::stage::net::seat_of;

/// The port of the API server.
pub(crate) const PORT: u16 = 6443;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves the objects at this address.
pub(crate) async fn serve(address: Ipv4Addr, objects: Rc<Objects>, gate: Arc<Gate>) -> Result<JoinHandle<()>> {
    let listener = TcpListener::bind(SocketAddr::from((address, PORT))).await?;
    Ok(tokio::task::spawn_local(async move {
        // Connections end with the server.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                continue;
            };
            while connections.try_join_next().is_some() {}
            let Some(seat) = seat_of(from.ip()) else { continue };
            let server = Server {
                objects: objects.clone(),
                gate: gate.clone(),
                from: Party::Seat(seat),
            };
            connections.spawn_local(async move {
                let service = service_fn(move |request| server.clone().answer(request));
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    }))
}

#[derive(Clone)]
struct Server {
    objects: Rc<Objects>,
    gate: Arc<Gate>,
    from: Party,
}

/// The error in place of a reply that never comes: the client hears nothing.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lost")
    }
}

impl std::error::Error for Lost {}

impl Server {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Lost> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        let watches = query.split('&').any(|pair| pair == "watch=true");
        let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        // …/namespaces/{namespace}/{kind}[/{name}[/status]]
        let at = path
            .iter()
            .position(|part| *part == "namespaces")
            .map_or(path.len(), |at| at + 2);
        let (kind, name) = (path.get(at).copied().unwrap_or_default(), path.get(at + 1).copied());
        let what = match (&head.method, name, kind) {
            (_, None, _) if watches => format!("WATCH {kind}"),
            (&Method::GET, None, _) => format!("LIST {kind}"),
            (method, _, "configmaps") if method != Method::GET => {
                format!("{method} {kind} {}", body["data"]["phase"].as_str().unwrap_or_default())
            }
            (method, ..) => format!("{method} {kind}"),
        };
        self.pass(&what, Moment::Asked).await;
        let answer = match (&head.method, kind, name) {
            (&Method::GET, "statefulsets", None) if watches => return Ok(self.watch()),
            (&Method::GET, "statefulsets", None) => Ok(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSetList",
                "metadata": { "resourceVersion": self.objects.list_version() },
                "items": [self.objects.stateful_set()],
            })),
            (&Method::GET, "statefulsets", Some(_)) => Ok(self.objects.stateful_set()),
            (&Method::GET, "pods", Some(name)) => self.objects.pod(name).ok_or((404, "NotFound")),
            (&Method::GET, "endpointslices", None) => Ok(self.objects.endpoint_slices()),
            (&Method::GET, "configmaps", Some(_)) => self.objects.birth().ok_or((404, "NotFound")),
            (&Method::PUT, "configmaps", Some(_)) => self.objects.replace_birth(&body),
            (&Method::PATCH, "configmaps", Some(_)) => self.objects.apply_birth(&body),
            (&Method::GET, "etcdclusters", Some(_)) => Ok(self.objects.etcd_cluster()),
            (&Method::PATCH, "etcdclusters", Some(_)) => self.objects.apply_status(&body),
            // Nothing depends on Events.
            (&Method::POST | &Method::PATCH, "events", _) => Ok(body),
            _ => {
                self.gate
                    .note(&format!("{}: the fake API server does not know {what}", self.from));
                Err((405, "MethodNotAllowed"))
            }
        };
        self.pass(&what, Moment::Done).await;
        Ok(response(answer))
    }

    async fn pass(&self, what: &str, moment: Moment) {
        let passage = Passage {
            from: self.from,
            to: Party::Api,
            what: what.to_owned(),
            moment,
        };
        if self.gate.pass(passage).await == Verdict::Lose {
            std::future::pending().await
        }
    }

    /// The StatefulSet, now and whenever it changes, unless the link is cut.
    fn watch(&self) -> Response<Body> {
        let (sender, lines) = mpsc::unbounded_channel::<Bytes>();
        let Self { objects, gate, from } = self.clone();
        tokio::task::spawn_local(async move {
            let mut changes = objects.set_changed.subscribe();
            changes.mark_changed();
            while changes.changed().await.is_ok() {
                gate.open_between(from, Party::Api).await;
                let event = json!({ "type": "MODIFIED", "object": objects.stateful_set() });
                if sender.send(format!("{event}\n").into()).is_err() {
                    return;
                }
            }
        });
        let lines = futures::stream::unfold(lines, async |mut lines| {
            let line = lines.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(line)), lines))
        });
        let lines: Pin<Box<dyn futures::Stream<Item = _> + Send>> = lines.boxed();
        let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
        json_type(&mut response);
        response
    }
}

fn response(answer: Written) -> Response<Body> {
    let (status, value) = match answer {
        Ok(value) => (200, value),
        Err((code, reason)) => (
            code,
            json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason }),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    json_type(&mut response);
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response
}

fn json_type(response: &mut Response<Body>) {
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
}
