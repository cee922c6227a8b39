//! The proxies of a pod: one for etcd's clients, which sees single requests, and plain ones
//! for etcd's peers and the agent's port, which see what a connection begins with.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use muster_api::names::CLIENT_PORT;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::gate::{Gate, Moment, Party, Passage, Verdict};
use super::net::{PORTS, PROXY, SHIFT, seat_of};

/// The proxies of one pod; they end with it.
#[derive(Debug)]
pub(crate) struct Proxies {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Proxies {
    /// Starts the proxies of a seat's pod in its network namespace, on a thread of their own:
    /// the sockets that a thread makes belong to the namespace that it is in.
    pub(crate) fn start(netns: &Path, seat: u32, gate: Arc<Gate>) -> Result<Self> {
        let namespace = File::open(netns).with_context(|| netns.display().to_string())?;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let serve = || -> Result<()> {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    for port in PORTS {
                        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port + SHIFT)).await?;
                        tokio::spawn(accept(listener, port, seat, gate.clone()));
                    }
                    _ = ready.send(Ok(()));
                    _ = stopped.await;
                    anyhow::Ok(())
                })
            };
            if let Err(error) = serve() {
                _ = ready.send(Err(error));
            }
        });
        is_ready.recv().map_err(|_| anyhow!("the proxies did not start"))??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

async fn accept(listener: TcpListener, port: u16, seat: u32, gate: Arc<Gate>) {
    while let Ok((stream, from)) = listener.accept().await {
        let gate = gate.clone();
        tokio::spawn(async move {
            let from = match from.ip() {
                IpAddr::V4(v4) if v4.is_loopback() => seat,
                other => seat_of(other).unwrap_or(seat),
            };
            let link = Link {
                from: Party::Seat(from),
                to: Party::Seat(seat),
                gate,
            };
            // An end of either side is the end of the other.
            _ = if port == CLIENT_PORT {
                link.requests(stream).await
            } else {
                link.bytes(stream, port).await
            };
        });
    }
}

async fn connect(port: u16) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((PROXY, 0)))?;
    let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Clone)]
struct Link {
    from: Party,
    to: Party,
    gate: Arc<Gate>,
}

impl Link {
    async fn pass(&self, what: &str, moment: Moment) -> Verdict {
        let passage = Passage {
            from: self.from,
            to: self.to,
            what: what.to_owned(),
            moment,
        };
        self.gate.pass(passage).await
    }

    /// gRPC, request by request.
    async fn requests(self, stream: TcpStream) -> Result<()> {
        self.gate.open_between(self.from, self.to).await;
        stream.set_nodelay(true)?;
        let upstream = TokioIo::new(connect(CLIENT_PORT).await?);
        let (sender, upstream) = hyper::client::conn::http2::handshake(TokioExecutor::new(), upstream).await?;
        let service = service_fn(|request: Request<Incoming>| self.clone().request(sender.clone(), request));
        let downstream = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            ended = upstream => ended?,
            ended = downstream => ended?,
        }
        Ok(())
    }

    async fn request(
        self,
        mut sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>> {
        let (head, body) = request.into_parts();
        let what = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        let body = body.collect().await?.to_bytes();
        if self.pass(&what, Moment::Asked).await == Verdict::Lose {
            return std::future::pending().await;
        }
        // On a task of its own: it is carried out even if who asked goes away now.
        let reply = tokio::spawn(async move {
            let reply = sender.send_request(Request::from_parts(head, Full::new(body))).await;
            // An error comes with its status in the head, and without a body.
            let carried_out = reply.as_ref().is_ok_and(|r| !r.headers().contains_key("grpc-status"));
            let outcome = if carried_out { what } else { format!("{what} refused") };
            (self.pass(&outcome, Moment::Done).await, reply)
        });
        match reply.await? {
            (Verdict::Pass, reply) => Ok(reply?),
            (Verdict::Lose, _) => std::future::pending().await,
        }
    }

    /// Bytes; what passes the gate is the first line.
    async fn bytes(self, mut stream: TcpStream, port: u16) -> Result<()> {
        let mut first = vec![0; 4096];
        let length = stream.read(&mut first).await?;
        first.truncate(length);
        let text = String::from_utf8_lossy(&first);
        let mut words = text.split(' ');
        let what = format!(
            "{} {}",
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default()
        );
        if self.pass(&what, Moment::Asked).await == Verdict::Lose {
            return std::future::pending().await;
        }
        let mut upstream = connect(port).await?;
        upstream.write_all(&first).await?;
        let (from, to) = stream.split();
        let (from_upstream, to_upstream) = upstream.split();
        tokio::select! {
            ended = self.copy(from, to_upstream) => ended,
            ended = self.copy(from_upstream, to) => ended,
        }
    }

    async fn copy(
        &self,
        mut from: impl tokio::io::AsyncRead + Unpin,
        mut to: impl tokio::io::AsyncWrite + Unpin,
    ) -> Result<()> {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            self.gate.open_between(self.from, self.to).await;
            let slowly = self.gate.time_for(self.from, self.to, length);
            if !slowly.is_zero() {
                tokio::time::sleep(slowly).await;
            }
            to.write_all(&buffer[..length]).await?;
        }
    }
}
