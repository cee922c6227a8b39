//! The agent's state between two looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_api::names::{CLIENT_PORT, Names};
use muster_api::status_report::StatusReport;
use muster_membership::{Action, Me, Memory, Observed, Reading, Seat, Time, Workload};
use tokio::sync::watch;

use super::state::SeatState;
use crate::config::Config;
use crate::etcd::{Etcd, PendingRequests};
use crate::kubernetes::events::log::EventLog;
use crate::kubernetes::{BirthStore, EventWriter, Kubernetes, PeerAddress, WorkloadReader};
use crate::socket::protocol::LaunchId;
use crate::socket::server::{LauncherHandle, LeaveRequest};
use crate::volume::Volume;

/// The agent of one seat.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) names: Names,
    pub(crate) volume: Option<Volume>,
    pub(crate) launcher: LauncherHandle,
    pub(crate) api: Kubernetes,
    pub(crate) workload: Arc<WorkloadReader>,
    pub(crate) hint: watch::Receiver<Option<Workload>>,
    pub(crate) birth: BirthStore,
    pub(crate) etcd: Etcd,
    pub(crate) requests: PendingRequests,
    pub(crate) events: EventWriter,
    pub(crate) event_log: EventLog,
    /// The answer to `/status`.
    pub(crate) report: watch::Sender<Option<StatusReport>>,
    /// The state that was published last.
    pub(crate) state: Option<SeatState>,
    pub(crate) observed: Observed,
    pub(crate) memory: Memory,
    /// The addresses of the other seats' pods, and when they were read.
    pub(crate) addresses: Option<(Time, BTreeMap<Seat, PeerAddress>)>,
    pub(crate) hooks: Vec<LeaveRequest>,
    /// The run of the launcher in which a hook asked: the next one is of a new container.
    pub(crate) asked_in: Option<LaunchId>,
    pub(crate) version: String,
    /// Ends of etcd that were looked at.
    pub(crate) exits_seen: u64,
    pub(crate) next_plan: u64,
    /// The operator's question that the local list is newer than; see [`Self::confirm_members`].
    pub(crate) confirmed: Option<String>,
    /// The last step that was not done, and the error.
    pub(crate) setback: Option<(Action, String)>,
    epoch: Instant,
}

impl Agent {
    /// An agent that has seen nothing yet.
    ///
    /// # Errors
    /// The settings do not name a seat.
    pub(crate) fn new(
        config: Config,
        launcher: LauncherHandle,
        api: Kubernetes,
        workload: Arc<WorkloadReader>,
        hint: watch::Receiver<Option<Workload>>,
        events: EventWriter,
        report: watch::Sender<Option<StatusReport>>,
    ) -> anyhow::Result<Self> {
        let names = config.names();
        let seat = Seat(config.seat()?);
        let peer_url = names.peer_url("http", seat.0, &config.namespace, &config.dns_domain());
        let me = Me {
            seat,
            name: config.pod.clone(),
            peer_url,
            volume: String::new(),
        };
        let etcd = Etcd::default();
        Ok(Self {
            names,
            volume: None,
            launcher,
            birth: BirthStore::new(api.clone()),
            api,
            workload,
            hint,
            requests: PendingRequests::over(&etcd),
            etcd,
            events,
            event_log: EventLog::default(),
            report,
            state: None,
            observed: Observed::nothing_yet(me, new_token(&config)),
            memory: Memory::default(),
            addresses: None,
            hooks: Vec::new(),
            asked_in: None,
            version: String::new(),
            exits_seen: 0,
            // A launcher that outlives an agent reports old plans: numbers are never used again.
            next_plan: rand::random::<u32>().into(),
            confirmed: None,
            setback: None,
            epoch: Instant::now(),
            config,
        })
    }

    /// The present time on the agent's clock.
    pub(crate) fn now(&self) -> Time {
        self.time(Instant::now())
    }

    /// A moment on the agent's clock.
    pub(crate) fn time(&self, at: Instant) -> Time {
        Time(u64::try_from((at - self.epoch).as_millis()).unwrap_or(u64::MAX))
    }

    /// Forgets the member list: it is from before a change.
    pub(crate) fn forget_list(&mut self) {
        self.observed.list = Reading::default();
        self.requests.forget_lists();
    }

    /// The time until `at` on the agent's clock.
    pub(crate) fn until(&self, at: Time) -> Duration {
        at.since(self.now())
    }

    /// The local etcd's client URL.
    pub(crate) fn local_url(&self) -> String {
        format!("http://{}", self.local_host(CLIENT_PORT))
    }

    /// A port of this pod, as its own processes reach it.
    pub(crate) fn local_host(&self, port: u16) -> String {
        let host = if self.config.pod_ip.is_ipv6() {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        format!("{host}:{port}")
    }
}

/// A token that no other founding has.
pub(crate) fn new_token(config: &Config) -> String {
    format!("{}-{:016x}", config.cluster, rand::random::<u64>())
}

/// The client URL of a pod.
pub(crate) fn client_url(address: &PeerAddress) -> String {
    format!("http://{}:{CLIENT_PORT}", address.host)
}
