//! The stop hook of a pod whose agent is not there.
//!
//! The hook's process cannot know whether its seat is wanted: only the agent's container has a token
//! for the API server, and what other agents answer without one is no proof (any pod may have their
//! address by now). So it removes nobody. It hands leadership on and lets etcd serve for a while: an
//! agent that comes back decides as always, and if the seat is not wanted, the agent beside the
//! leader removes its member meanwhile, with everything that such a step needs.

use std::time::Duration;

use muster_api::Names;
use muster_api::names::CLIENT_PORT;
use muster_membership::{EtcdStatus, Identity, Member};
use tokio::time::sleep;

use crate::etcd::Etcd;

/// Time that a member gets to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval between two looks at the local etcd.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks without an answer after which the local etcd is taken not to serve.
const SILENT: u32 = 3;

/// Hands leadership on, and returns when the local etcd has stopped serving.
pub(crate) async fn serve_on() {
    let (etcd, local) = (Etcd::default(), format!("http://127.0.0.1:{CLIENT_PORT}"));
    let (mut silent, mut handed_over) = (0, false);
    while silent < SILENT {
        match etcd.status(&local, ANSWER_TIMEOUT).await {
            Ok((status, _)) => {
                silent = 0;
                // Once: two pods that end would hand it to each other and back.
                if !handed_over && status.leader == Some(status.identity.member) {
                    handed_over = hand_over(&etcd, &local, &status).await;
                }
            }
            Err(_) => silent += 1,
        }
        sleep(LOOK_INTERVAL).await;
    }
}

/// Hands leadership to the voter of the lowest seat that answers: that seat is wanted if any is. True if one took it.
async fn hand_over(etcd: &Etcd, local: &str, own: &EtcdStatus) -> bool {
    let Ok(list) = etcd.list(local, &Names::new("")).await else {
        return false;
    };
    let cluster = own.identity.cluster;
    let mut others: Vec<_> = list.voters().filter(|(id, _)| **id != own.identity.member).collect();
    others.sort_by_key(|(_, member)| seat(member));
    for (id, member) in others {
        let Some(host) = host(member) else { continue };
        let url = format!("http://{host}:{CLIENT_PORT}");
        let expected = Identity { member: *id, cluster };
        let alive = etcd
            .status(&url, ANSWER_TIMEOUT)
            .await
            .is_ok_and(|(s, _)| s.identity == expected);
        if alive && etcd.move_leader(local, cluster, *id).await.is_ok() {
            return true;
        }
    }
    false
}

/// The host in a member's peer URL.
fn host(member: &Member) -> Option<&str> {
    let mut urls = member.peer_urls.iter();
    urls.find_map(|url| Some(url.split_once("://")?.1.rsplit_once(':')?.0))
}

/// The number at the end of the host's first label. Those without one come last.
fn seat(member: &Member) -> u32 {
    let label = host(member).and_then(|host| host.split('.').next());
    let number = label.and_then(|label| label.rsplit_once('-')?.1.parse().ok());
    number.unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(url: &str) -> Member {
        Member {
            seat: None,
            name: String::new(),
            peer_urls: vec![url.to_owned()],
            learner: false,
        }
    }

    #[test]
    fn leadership_goes_to_the_lowest_seat_by_its_number() {
        let mut seats = [
            "http://10.0.0.1:2380",
            "http://my-db-10.my-db-peer.ns.svc.cluster.local:2380",
            "http://my-db-2.my-db-peer.ns.svc.cluster.local:2380",
        ]
        .map(|url| seat(&member(url)));
        seats.sort_unstable();
        assert_eq!(seats, [2, 10, u32::MAX]);
    }

    #[test]
    fn a_host_is_read_from_a_peer_url() {
        assert_eq!(
            host(&member("http://c-0.c-peer.ns.svc:2380")),
            Some("c-0.c-peer.ns.svc")
        );
        assert_eq!(host(&member("http://[fd00::1]:2380")), Some("[fd00::1]"));
        assert_eq!(host(&member("nonsense")), None);
    }
}
