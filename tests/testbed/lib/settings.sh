# shellcheck shell=bash
# Names, addresses and folders. Everything the bed makes carries PREFIX or lies
# below STATE or CACHE, so that `down` can find it all without remembering it.

PREFIX=muster
KUBERNETES_VERSION=v1.35.4
COREDNS_VERSION=v1.14.7

BUILD_SOURCES=$BED/build
MANIFESTS=$BED/manifests

# Binaries and images, by content; shared by all clones on this machine.
CACHE=${MUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/muster}
# The one bed of this machine.
STATE=${MUSTER_TESTBED_STATE:-/var/lib/muster-testbed}
PKI=$STATE/pki
CONF=$STATE/conf
LOGS=$STATE/log
RUN=$STATE/run
NODES=$STATE/nodes
FAULTS=$STATE/faults
AUDIT_LOG=$STATE/audit.log

# Outside STATE, because `down` removes that while it holds the lock.
LOCK=/run/muster-testbed.lock

# All of these exist inside the bed's network namespaces only.
CONTROL_PLANE_IP=10.200.0.10
API_PORT=6443
API_SERVICE_IP=10.96.0.1
DNS_SERVICE_IP=10.96.0.10
SERVICE_CIDR=10.96.0.0/16
POD_CIDR=10.244.0.0/16
MAX_NODES=9

# The port of the ordinary shell's way in; the next free one if this is taken.
LOOPBACK_PORT=${MUSTER_TESTBED_PORT:-16443}

PAUSE_IMAGE=muster.testbed/pause:1
COREDNS_IMAGE=muster.testbed/coredns:$COREDNS_VERSION
ETCD_IMAGE=gcr.io/etcd-development/etcd

node_ip() { echo "10.200.0.$((20 + ${1#node}))"; }
pod_subnet() { echo "10.244.${1#node}.0/24"; }

# node_name N: accepts both `2` and `node2`
node_name() {
	local number=${1#node}
	[[ $number =~ ^[1-9]$ ]] || die "'$1' is not a node: nodes are node1 to node$MAX_NODES"
	echo "node$number"
}

# The nodes that this bed has been told to have.
node_names() {
	local n
	for ((n = 1; n <= $(node_count); n++)); do echo "node$n"; done
}

node_count() { cat "$STATE/node-count" 2>/dev/null || echo 0; }
