# shellcheck shell=bash
# A node: containerd, kubelet and kube-proxy in one network namespace, one mount
# namespace and one cgroup, together with all their containers.
#
# A first process (`init`) holds the mount namespace. With the node's last
# process its mounts vanish, its /run too: as when a machine loses power.

# Private mounts, so that what kubelet, containerd and CNI leave at fixed paths
# (/run/containerd, /var/log/containers, /var/lib/cni) is each node's own, and
# no pod's mount is ever seen by the machine.
# shellcheck disable=SC2016 # expands in the node
NODE_INIT='set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mount --bind "$1" /var/lib/cni
mount --make-rshared /
touch /run/node-is-set-up
exec sleep infinity'

in_node_mounts() {
	local pid
	pid=$(pid_of "$1-init") || return 1
	shift
	nsenter --mount="/proc/$pid/ns/mnt" "$@"
}

# launch_on NODE NAME COMMAND...
launch_on() {
	local node=$1 name=$2 init
	shift 2
	init=$(pid_of "$node-init") || die "$node has no mount namespace"
	launch "$node/daemons/$name" "$node-$name" \
		nsenter "--mount=/proc/$init/ns/mnt" "--net=$(netns_file "$node")" "$@"
}

node_ctr() {
	local node=$1
	shift
	ctr --address "$NODES/$node/containerd.sock" --namespace k8s.io "$@"
}

node_runs() { runs "$1-init" && runs "$1-containerd" && ! cgroup_frozen "$1"; }

make_node() {
	local node=$1 folder=$NODES/$1
	mkdir -p "$folder"/{cni,cni-results,cni-addresses,kubelet,plugins,pod-logs,manifests,volumes} /var/lib/cni
	cgroup_make_root "$node"
	containerd_config "$folder/containerd" /run/containerd "$folder/containerd.sock" "$folder" >"$folder/containerd.toml"
	cni_config "$node" >"$folder/cni/10-bridge.conflist"
	kubelet_config "$node" >"$folder/kubelet.yaml"
	proxy_config "$node" >"$folder/proxy.yaml"
	[[ -d $folder/containerd ]] || copy_store "$folder/containerd"
}

start_node() {
	local node=$1 folder=$NODES/$1 kube
	kube=$(bin kubernetes)/kube
	cgroup_thaw "$node"
	if ! runs "$node-init"; then
		cgroup_kill "$node"
		launch "$node/daemons/init" "$node-init" unshare --mount --propagation private \
			bash -c "$NODE_INIT" "$node-init" "$folder/cni-results"
	fi
	plug_cable "$node"
	wait_for 5 "$node's mounts" in_node_mounts "$node" test -e /run/node-is-set-up ||
		{ show_log "$node-init"; die "$node does not start"; }
	ensure "$node-containerd" launch_on "$node" containerd containerd -c "$folder/containerd.toml"
	# A kubelet that finds no container runtime exits.
	wait_for 20 "$node's containerd" timeout 2 ctr -a "$folder/containerd.sock" version ||
		{ show_log "$node-containerd"; die "$node does not start"; }
	ensure "$node-kubelet" launch_on "$node" kubelet "$kube" kubelet --config="$folder/kubelet.yaml" \
		--kubeconfig="$CONF/$node.kubeconfig" --hostname-override="$node" --node-ip="$(node_ip "$node")" \
		--root-dir="$folder/kubelet" --cert-dir="$folder/kubelet/pki"
	ensure "$node-proxy" launch_on "$node" proxy "$kube" proxy --config="$folder/proxy.yaml"
}

start_nodes() {
	local node pid started=()
	for node in $(node_names); do make_node "$node"; done
	for node in $(node_names); do
		start_node "$node" &
		started+=($!)
	done
	for pid in "${started[@]}"; do wait "$pid" || die "not every node started"; done
}

# Nobody hears of it: first the cable, so that no FIN or RST gets out.
kill_node() {
	pull_cable "$1"
	cgroup_kill "$1"
	rm -f "$RUN/$1"-*.pid
}

node_ready() { [[ $(k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }

wait_for_nodes() {
	local node
	for node in $(node_names); do
		wait_for 90 "$node to be Ready" node_ready "$node" || { show_log "$node-kubelet"; die "$node does not become Ready"; }
	done
	for node in $(node_names); do
		k patch node "$node" -p "{\"spec\":{\"podCIDR\":\"$(pod_subnet "$node")\",\"podCIDRs\":[\"$(pod_subnet "$node")\"]}}" >/dev/null
	done
}

# containerd_config ROOT STATE SOCKET FOLDER
containerd_config() {
	cat <<-TOML
		version = 2
		root = "$1"
		state = "$2"
		[grpc]
		  address = "$3"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$4/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "$PAUSE_IMAGE"
		  # Without CAP_SYS_RESOURCE (a root in a container, say) a lower score is refused.
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "$STATE/cni/bin"
		    conf_dir = "$4/cni"
	TOML
}

cni_config() {
	cat <<-JSON
		{"cniVersion": "0.4.0", "name": "$PREFIX-$1", "plugins": [
		  {"type": "$PREFIX-bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
		   "ipam": {"type": "host-local", "dataDir": "$NODES/$1/cni-addresses",
		            "ranges": [[{"subnet": "$(pod_subnet "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	JSON
}

# The distribution's plugins beside the bed's own.
make_cni() {
	local plugin
	mkdir -p "$STATE/cni/bin"
	for plugin in "$(cni_plugins)"/*; do ln -sf "$plugin" "$STATE/cni/bin/"; done
	install -m 755 "$BED/lib/cni-bridge" "$STATE/cni/bin/$PREFIX-bridge"
}

kubelet_config() {
	local folder=$NODES/$1
	# Images never age out: nothing here could pull one again.
	cat <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
		authorization: {mode: Webhook}
		clusterDomain: cluster.local
		clusterDNS: [$DNS_SERVICE_IP]
		containerRuntimeEndpoint: unix://$folder/containerd.sock
		cgroupDriver: cgroupfs
		cgroupRoot: /$PREFIX/$1
		failCgroupV1: false
		failSwapOn: false
		podLogsDir: $folder/pod-logs
		staticPodPath: $folder/manifests
		volumePluginDir: $folder/plugins
		resolvConf: $CONF/resolv.node
		evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
		imageGCHighThresholdPercent: 100
		maxPods: 200
		serializeImagePulls: false
		registryPullQPS: 0
		syncFrequency: 10s
	YAML
}
