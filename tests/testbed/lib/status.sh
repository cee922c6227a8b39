# shellcheck shell=bash

show_status() {
	local name node state memory
	if ! [[ -d $RUN ]]; then
		echo "no bed is up"
		return 1
	fi
	for name in etcd apiserver controller-manager scheduler provisioner cp-proxy loopback-inside loopback-outside; do
		if runs "$name"; then state="runs (pid $(pid_of "$name"))"; else state="does not run"; fi
		printf '%-20s %s\n' "$name" "$state"
	done
	for node in $(node_names); do
		state=
		for name in containerd kubelet proxy; do runs "$node-$name" || state+=" $name"; done
		if [[ -n $state ]]; then state="does not run:$state"; else state=runs; fi
		cgroup_frozen "$node" && state+=", frozen"
		printf '%-20s %s\n' "$node" "$state"
	done
	memory=$(cgroup_pids | xargs -r -I{} cat /proc/{}/smaps_rollup 2>/dev/null | awk '/^Pss:/ { s += $2 } END { printf "%d", s / 1024 }')
	printf '%-20s %s\n' "memory" "$memory MiB (with all pods)"
	printf '%-20s %s\n' "DNS" "$(cat "$STATE/dns" 2>/dev/null || echo unknown)"
	printf '%-20s %s\n' "kubeconfig" "$STATE/kubeconfig"
	show_faults | sed 's/^/fault                /'
	k get nodes -o wide 2>/dev/null || true
}
