# shellcheck shell=bash
# The bed's network, apart from the machine's: a namespace `fabric` with a
# bridge and no way out, one for the control plane, one for each node.
#
#   PREFIX-cp eth0 ──┐
#   PREFIX-node1 eth0 ──┤ bridge in PREFIX-fabric (10.200.0.0/24)
#   PREFIX-node2 eth0 ──┘        pods behind each node: 10.244.N.0/24
#
# The cables' far ends are in the fabric namespace, so that the machine's own
# namespace has no end of them, and pulling one is `ip link set … down` there.

netns_file() { echo "/run/netns/$PREFIX-$1"; }

# in_net NAME COMMAND...; nsenter, as `ip netns exec` would mount a new /sys
# over the cgroups.
in_net() {
	local file
	file=$(netns_file "$1")
	shift
	nsenter --net="$file" "$@"
}

netns_works() { in_net "$1" true 2>/dev/null; }

make_netns() {
	if ! netns_works "$1"; then
		# What a run killed half-way leaves is a file that is no mount.
		ip netns del "$PREFIX-$1" 2>/dev/null || rm -f "$(netns_file "$1")"
		ip netns add "$PREFIX-$1"
	fi
	in_net "$1" ip link set lo up
}

make_fabric() {
	make_netns fabric
	in_net fabric ip link show br0 >/dev/null 2>&1 || in_net fabric ip link add br0 type bridge
	in_net fabric ip link set br0 up
	# Bridged frames are not the fabric's to filter.
	in_net fabric sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true
}

# plug NAME ADDRESS: a namespace with a cable into the fabric
plug() {
	local name=$1 address=$2
	make_netns "$name"
	if ! in_net "$name" ip link show eth0 >/dev/null 2>&1; then
		in_net fabric ip link del "$PREFIX-$name" 2>/dev/null || true
		in_net fabric ip link add "$PREFIX-$name" type veth peer name eth0 netns "$(netns_file "$name")"
	fi
	in_net fabric ip link set "$PREFIX-$name" master br0 up
	in_net "$name" ip address replace "$address/24" dev eth0
	in_net "$name" ip link set eth0 up
	# A dead end, but with it packets for service addresses get as far as the
	# OUTPUT hook, where kube-proxy redirects them.
	in_net "$name" ip route replace default dev eth0
	in_net "$name" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
	# Pods of one node talk over its bridge; kube-proxy and the faults must see that.
	in_net "$name" sysctl -qw net.bridge.bridge-nf-call-iptables=1 ||
		die "the kernel lacks br_netfilter: load it with 'modprobe br_netfilter'"
}

make_network() {
	local node other
	make_fabric
	plug cp "$CONTROL_PLANE_IP"
	for node in $(node_names); do plug "$node" "$(node_ip "$node")"; done
	for node in $(node_names); do
		for other in cp $(node_names); do
			[[ $other == "$node" ]] || in_net "$other" ip route replace "$(pod_subnet "$node")" via "$(node_ip "$node")"
		done
	done
}

pull_cable() { in_net fabric ip link set "$PREFIX-$1" down; }
plug_cable() { in_net fabric ip link set "$PREFIX-$1" up; }

remove_network() {
	local file
	for file in /run/netns/"$PREFIX"-*; do
		[[ -e $file ]] || continue
		ip netns del "${file##*/}" 2>/dev/null || rm -f "$file"
	done
}

# The ordinary shell's way in: a port on 127.0.0.1 of the machine, joined over a
# unix socket to the API server's port inside.
open_loopback() {
	local socket=$RUN/api.sock port
	ensure loopback-inside launch_loopback_inside "$socket"
	runs loopback-outside && return
	port=$(free_port)
	launch cp loopback-outside \
		socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128" "UNIX-CONNECT:$socket"
	echo "$port" >"$STATE/port"
	wait_for 5 "the loopback port $port" loopback_listens "$port" || { show_log loopback-outside; die "no way in from the shell"; }
}

launch_loopback_inside() {
	rm -f "$1"
	launch cp loopback-inside nsenter "--net=$(netns_file cp)" \
		socat "UNIX-LISTEN:$1,fork,mode=600,backlog=128" "TCP:127.0.0.1:$API_PORT,nodelay"
}

# Keeps the port of an earlier run, as a shell may still have its address.
free_port() {
	local port
	port=$(cat "$STATE/port" 2>/dev/null || echo "$LOOPBACK_PORT")
	while loopback_listens "$port"; do port=$((port + 1)); done
	echo "$port"
}

loopback_listens() { [[ -n $(ss -Hltn "sport = :$1") ]]; }
