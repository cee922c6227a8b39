# shellcheck shell=bash
# up and down: the order of things.

# up [--nodes N] [--dns MODE]. Every step makes only what is missing, so this
# also completes what a killed run left.
up() {
	local nodes='' dns='' start
	while (($#)); do
		case $1 in
		--nodes) nodes=${2:?--nodes needs a number} && shift ;;
		--dns) dns=${2:?--dns needs modern or classic} && shift ;;
		*) die "usage: up [--nodes N] [--dns modern|classic]" ;;
		esac
		shift
	done
	[[ -z $dns ]] || need_dns_mode "$dns"
	[[ -z $nodes || $nodes =~ ^[1-9]$ ]] || die "--nodes is 1 to $MAX_NODES"
	need_machine
	build_all
	start=$EPOCHREALTIME
	mkdir -p "$STATE" "$RUN" "$LOGS" "$CONF" "$FAULTS"
	choose_size "$nodes"
	remember_sysctls
	make_network
	make_pki
	make_cni
	echo "nameserver 127.0.0.1" >"$CONF/resolv.node" # pods with dnsPolicy Default: there is no outside
	start_control_plane
	build_store
	wait_for_api 60
	start_nodes
	k apply -f "$MANIFESTS/storageclass.yaml" >/dev/null
	apply_dns "${dns:-$(cat "$STATE/dns" 2>/dev/null || echo modern)}"
	wait_for_nodes
	ensure cp-proxy launch_cp_proxy
	say "$(node_count) nodes Ready after $(seconds_since "$start") s"
	wait_for_dns
	say "up after $(seconds_since "$start") s (DNS: $(cat "$STATE/dns")); now: eval \"\$($0 env)\""
}

build_all() {
	build_missing
	build_images
}

need_machine() {
	need_root
	need_packages
	need_cgroups
	case $STATE/ in /run/* | /var/run/* | /var/log/* | /proc/* | /sys/*)
		die "the state folder cannot be $STATE: each node has a /run and a /var/log of its own" ;;
	esac
}

choose_size() {
	local now
	now=$(node_count)
	((${1:-3} >= now || now == 0)) || [[ -z $1 ]] || die "the bed has $now nodes, not $1: run '$0 down' first"
	if [[ -n $1 ]]; then echo "$1" >"$STATE/node-count"; elif ((now == 0)); then echo 3 >"$STATE/node-count"; fi
}

# What a kubelet sets on its machine, here the real one.
KUBELET_SYSCTLS=(vm.overcommit_memory kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

remember_sysctls() {
	[[ -f $STATE/sysctls ]] && return
	sysctl "${KUBELET_SYSCTLS[@]}" >"$STATE/sysctls.new" 2>/dev/null || true
	mv "$STATE/sysctls.new" "$STATE/sysctls"
}

down() {
	local mount
	need_root
	cgroup_kill "" || true
	kill_recorded
	[[ -f $STATE/sysctls ]] && sysctl -q -p "$STATE/sysctls" >/dev/null
	# Normally none: the nodes' mounts have gone with the nodes.
	while read -r _ mount _; do
		[[ $mount == "$STATE"/* ]] && umount -l "$mount"
	done </proc/mounts
	remove_network
	cgroup_remove
	rmdir /var/lib/cni 2>/dev/null || true
	rm -rf "$STATE"
}

# In case a pid is recorded and its cgroup was not: on a machine set up otherwise.
kill_recorded() {
	local file
	for file in "$RUN"/*.pid; do
		[[ ! -f $file ]] || { file=${file##*/} && kill_daemon "${file%.pid}"; }
	done
}

need_bed() { [[ -f $CONF/admin.kubeconfig && -d $RUN ]] || die "no bed is up: run '$0 up'"; }
