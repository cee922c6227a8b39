//! Identifiers: seats, members, clusters, and points in time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha1::{Digest, Sha1};

/// One ordinal of the StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u32);

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seat {}", self.0)
    }
}

/// A point in time: milliseconds on the caller's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// The moment that is `duration` later; the end of time if that is beyond it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time that has passed since `earlier`; none if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

macro_rules! etcd_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u64::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

etcd_id!(
    /// An etcd member's ID; shown as 16 hexadecimal digits.
    MemberId
);
etcd_id!(
    /// An etcd cluster's ID; shown as 16 hexadecimal digits.
    ClusterId
);

fn first_eight_bytes(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// The ID that etcd gives the founding member with this peer URL and cluster token: the first
/// eight bytes of SHA-1 over both (etcd's `membership.NewMember`; measured on 3.5.21).
#[must_use]
pub fn founding_member_id(peer_url: &str, token: &str) -> MemberId {
    MemberId(first_eight_bytes(&[peer_url.as_bytes(), token.as_bytes()]))
}

/// The cluster ID that a one-member founding yields, known before etcd starts: the first eight
/// bytes of SHA-1 over the member's ID (etcd's `RaftCluster.genID`).
#[must_use]
pub fn founding_cluster_id(peer_url: &str, token: &str) -> ClusterId {
    let member = founding_member_id(peer_url, token);
    ClusterId(first_eight_bytes(&[&member.0.to_be_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_and_read_as_sixteen_hex_digits() {
        let id = MemberId(0x00ab);
        assert_eq!(id.to_string(), "00000000000000ab");
        assert_eq!("ab".parse::<MemberId>().unwrap(), id);
        assert!("xyz".parse::<MemberId>().is_err());
    }

    #[test]
    fn the_default_single_member_cluster_has_etcds_well_known_ids() {
        // What every etcd started without flags reports: member 8e9e05c52164694d in cluster cdf818194e3a8c32.
        assert_eq!(
            founding_member_id("http://localhost:2380", "etcd-cluster").to_string(),
            "8e9e05c52164694d"
        );
        assert_eq!(
            founding_cluster_id("http://localhost:2380", "etcd-cluster").to_string(),
            "cdf818194e3a8c32"
        );
    }
}
