//! etcd's start flags, all of them: from the pod's settings and the core's plan to arguments.
//!
//! | flag | value |
//! |---|---|
//! | `--name` | the pod's name, which is also the seat's |
//! | `--data-dir` | `data` on the volume |
//! | `--listen-peer-urls`, `--listen-client-urls`, `--listen-metrics-urls` | every address of the pod, at the usual ports |
//! | `--advertise-client-urls` | the seat's DNS name, as in its peer URL |
//! | `--initial-advertise-peer-urls` | the seat's peer URL |
//! | the further options | as the EtcdCluster's spec has them |
//! | `--initial-cluster` | the plan's: this seat alone, or the members that this one joins |
//! | `--initial-cluster-state` | the plan's: `new` once in the life of a cluster, else `existing` |
//! | `--initial-cluster-token` | the plan's token, for a new cluster |
//!
//! The last three matter only while there is no data: etcd ignores them when it resumes (etcd
//! `server/etcdserver/bootstrap.go`). `new` is never given for a resume, so that a volume whose log is gone
//! cannot found a second cluster.

use std::path::Path;

use muster_api::names::{CLIENT_PORT, METRICS_PORT, PEER_PORT};
use muster_membership::StartPlan;

/// The part of the flags that is the same for every start of a seat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeatFlags<'a> {
    /// The pod's name.
    pub(crate) name: &'a str,
    /// etcd's data directory.
    pub(crate) data_dir: &'a Path,
    /// The seat's peer URL, byte for byte as it is registered.
    pub(crate) peer_url: &'a str,
    /// True if the pod's first address is of IPv6. etcd listens in both families with either notation, where the kernel
    /// has both.
    pub(crate) ipv6: bool,
    /// Further flags, of the EtcdCluster's spec.
    pub(crate) options: &'a [String],
}

/// etcd's arguments for a start by `plan`.
pub(crate) fn start_flags(seat: SeatFlags<'_>, plan: &StartPlan) -> Vec<String> {
    let SeatFlags { name, peer_url, .. } = seat;
    let any = if seat.ipv6 { "[::]" } else { "0.0.0.0" };
    let host = host_of(peer_url);
    let data_dir = seat.data_dir.display();
    let mut flags = vec![
        format!("--name={name}"),
        format!("--data-dir={data_dir}"),
        format!("--listen-peer-urls=http://{any}:{PEER_PORT}"),
        format!("--listen-client-urls=http://{any}:{CLIENT_PORT}"),
        format!("--listen-metrics-urls=http://{any}:{METRICS_PORT}"),
        format!("--advertise-client-urls=http://{host}:{CLIENT_PORT}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
    ];
    flags.extend_from_slice(seat.options);
    let alone = format!("{name}={peer_url}");
    match plan {
        StartPlan::New { token } => flags.extend([
            format!("--initial-cluster={alone}"),
            "--initial-cluster-state=new".into(),
            format!("--initial-cluster-token={token}"),
        ]),
        StartPlan::Existing { initial_cluster } => {
            let members: Vec<_> = initial_cluster
                .iter()
                .map(|(name, url)| format!("{name}={url}"))
                .collect();
            flags.extend([
                format!("--initial-cluster={}", members.join(",")),
                "--initial-cluster-state=existing".into(),
            ]);
        }
        StartPlan::Resume => flags.extend([
            format!("--initial-cluster={alone}"),
            "--initial-cluster-state=existing".into(),
        ]),
    }
    flags
}

/// The host in a URL with a port.
fn host_of(url: &str) -> &str {
    url.split("://")
        .nth(1)
        .and_then(|rest| rest.rsplit_once(':'))
        .map_or("", |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER_URL: &str = "http://db-1.db-peer.prod.svc.cluster.local:2380";

    fn seat() -> SeatFlags<'static> {
        SeatFlags {
            name: "db-1",
            data_dir: Path::new("/var/lib/etcd/data"),
            peer_url: PEER_URL,
            ipv6: false,
            options: &[],
        }
    }

    /// The flags that every start has.
    const COMMON: [&str; 7] = [
        "--name=db-1",
        "--data-dir=/var/lib/etcd/data",
        "--listen-peer-urls=http://0.0.0.0:2380",
        "--listen-client-urls=http://0.0.0.0:2379",
        "--listen-metrics-urls=http://0.0.0.0:2381",
        "--advertise-client-urls=http://db-1.db-peer.prod.svc.cluster.local:2379",
        "--initial-advertise-peer-urls=http://db-1.db-peer.prod.svc.cluster.local:2380",
    ];

    fn assert_flags(seat: SeatFlags<'_>, plan: &StartPlan, rest: &[&str]) {
        let expected: Vec<_> = COMMON.iter().chain(rest).copied().collect();
        assert_eq!(start_flags(seat, plan), expected);
    }

    #[test]
    fn a_new_cluster_has_this_seat_alone_and_the_token() {
        let plan = StartPlan::New { token: "db-42".into() };
        assert_flags(
            seat(),
            &plan,
            &[
                "--initial-cluster=db-1=http://db-1.db-peer.prod.svc.cluster.local:2380",
                "--initial-cluster-state=new",
                "--initial-cluster-token=db-42",
            ],
        );
    }

    #[test]
    fn a_joining_member_names_all_members_in_the_lists_order_byte_for_byte() {
        let plan = StartPlan::Existing {
            initial_cluster: vec![
                ("db-0".into(), "http://DB-0.db-peer:2380".into()),
                ("db-1".into(), PEER_URL.into()),
            ],
        };
        assert_flags(
            seat(),
            &plan,
            &[
                "--initial-cluster=db-0=http://DB-0.db-peer:2380,db-1=http://db-1.db-peer.prod.svc.cluster.local:2380",
                "--initial-cluster-state=existing",
            ],
        );
    }

    #[test]
    fn a_resume_never_says_new() {
        assert_flags(
            seat(),
            &StartPlan::Resume,
            &[
                "--initial-cluster=db-1=http://db-1.db-peer.prod.svc.cluster.local:2380",
                "--initial-cluster-state=existing",
            ],
        );
    }

    #[test]
    fn a_pod_of_ipv6_listens_on_every_address_of_ipv6() {
        let given = SeatFlags { ipv6: true, ..seat() };
        let flags = start_flags(given, &StartPlan::Resume);
        assert_eq!(
            flags[2..5],
            [
                "--listen-peer-urls=http://[::]:2380",
                "--listen-client-urls=http://[::]:2379",
                "--listen-metrics-urls=http://[::]:2381",
            ]
        );
    }

    #[test]
    fn further_options_stand_between_the_seats_flags_and_the_plans() {
        let options = ["--quota-backend-bytes=1".to_owned(), "--snapshot-count=2".to_owned()];
        let given = SeatFlags {
            options: &options,
            ..seat()
        };
        assert_flags(
            given,
            &StartPlan::Resume,
            &[
                "--quota-backend-bytes=1",
                "--snapshot-count=2",
                "--initial-cluster=db-1=http://db-1.db-peer.prod.svc.cluster.local:2380",
                "--initial-cluster-state=existing",
            ],
        );
    }

    #[test]
    fn the_host_of_a_peer_url_may_be_an_address_of_ipv6() {
        assert_eq!(host_of("http://[fd00::1]:2380"), "[fd00::1]");
        assert_eq!(host_of("nonsense"), "");
    }
}
