# shellcheck shell=bash
# Pods and containers as containerd knows them: found without the API server,
# so that faults can be set and healed while it is down.

# split_pod NAMESPACE/NAME: checks the form, sets POD_NAMESPACE and POD_NAME
split_pod() {
	[[ $1 =~ ^([a-z0-9.-]+)/([a-z0-9.-]+)$ ]] || die "'$1' is not a pod: write NAMESPACE/NAME"
	POD_NAMESPACE=${BASH_REMATCH[1]} POD_NAME=${BASH_REMATCH[2]}
}

# find_task NAMESPACE/POD KIND [CONTAINER]: prints "node id pid" of a running
# container, or of the pod's sandbox
find_task() {
	local node id filter
	split_pod "$1"
	filter="labels.\"io.kubernetes.pod.namespace\"==\"$POD_NAMESPACE\",labels.\"io.kubernetes.pod.name\"==\"$POD_NAME\""
	filter+=",labels.\"io.cri-containerd.kind\"==\"$2\""
	[[ -z ${3:-} ]] || filter+=",labels.\"io.kubernetes.container.name\"==\"$3\""
	for node in $(node_names); do
		node_runs "$node" || continue
		for id in $(node_ctr "$node" containers list -q "$filter"); do
			node_ctr "$node" tasks list | awk -v node="$node" -v id="$id" '$1 == id && $3 == "RUNNING" { print node, id, $2 }'
		done
	done | tail -n 1 | grep .
}

find_sandbox() { find_task "$1" sandbox || die "no running pod $1"; }
find_container() { find_task "$1" container "$2" || die "no running container $2 in pod $1"; }

# container_pids ID: every process in it
container_pids() {
	local top
	read -r top _ <<<"$(placing_hierarchies)"
	find "$top/$PREFIX" -type d -name "$1" -exec find {} -name cgroup.procs \; | xargs -r cat
}

# signal_container NAMESPACE/POD CONTAINER SIGNAL [main]
signal_container() {
	local found id pid
	found=$(find_container "$1" "$2") || exit 1
	read -r _ id pid <<<"$found"
	[[ ${4:-} == main ]] || pid=$(container_pids "$id")
	# shellcheck disable=SC2086 # one argument a process
	kill -"${3#SIG}" $pid
}
