# shellcheck shell=bash
# etcd, API server, controller manager, scheduler, volume provisioner, and a
# kube-proxy, so that service addresses work for `exec` as they do on a node.

in_cp() { nsenter --net="$(netns_file cp)" "$@"; }

# k ARGUMENTS...: kubectl as the administrator, from inside
k() { without_proxy nsenter --net="$(netns_file cp)" "$(bin kubernetes)/kubectl" --kubeconfig "$CONF/admin.kubeconfig" "$@"; }

launch_cp() {
	local name=$1
	shift
	launch cp "$name" nsenter "--net=$(netns_file cp)" "$@"
}

# Enough to count each client's requests, without their bodies.
audit_policy() {
	cat <<-YAML
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [RequestReceived]
		rules: [{level: Metadata, omitManagedFields: true}]
	YAML
}

launch_etcd() {
	# A bed's data need not outlive the machine's power, and syncs are what is slow here.
	launch_cp etcd "$(bin "etcd-$(newest_etcd)")/etcd" --data-dir "$STATE/etcd" \
		--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster default=http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn
}

launch_apiserver() {
	audit_policy >"$CONF/audit-policy.yaml"
	launch_cp apiserver "$(bin kubernetes)/kube" apiserver \
		--etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range="$SERVICE_CIDR" \
		--advertise-address="$CONTROL_PLANE_IP" --bind-address=0.0.0.0 --secure-port="$API_PORT" \
		--tls-cert-file="$PKI/api.crt" --tls-private-key-file="$PKI/api.key" \
		--client-ca-file="$PKI/ca.crt" --token-auth-file="$PKI/tokens.csv" \
		--service-account-key-file="$PKI/service-accounts.pub" \
		--service-account-signing-key-file="$PKI/service-accounts.key" \
		--service-account-issuer=https://kubernetes.default.svc \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
		--kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
		--kubelet-preferred-address-types=InternalIP --enable-aggregator-routing=true \
		--audit-policy-file="$CONF/audit-policy.yaml" --audit-log-path="$AUDIT_LOG" \
		--audit-log-maxsize=200 --audit-log-maxbackup=2
}

# Of these two there is one each, but they are elected as everywhere: without an API server for ten seconds they lose
# their lease, end, and begin anew. One that lives on keeps its pauses from the outage, up to a quarter of an hour for a
# Service's endpoints, which no real cluster waits for.
launch_elected() {
	local name=$1
	shift
	# shellcheck disable=SC2016 # expands in the inner shell
	launch_cp "$name" bash -c 'while :; do "$@"; sleep 1; done' "$name" \
		"$(bin kubernetes)/kube" "$name" "$@" --leader-elect=true
}

launch_controller_manager() {
	launch_elected controller-manager \
		--kubeconfig="$CONF/controller-manager.kubeconfig" --use-service-account-credentials \
		--service-account-private-key-file="$PKI/service-accounts.key" --root-ca-file="$PKI/ca.crt" \
		--cluster-cidr="$POD_CIDR" --allocate-node-cidrs=false
}

launch_scheduler() {
	launch_elected scheduler --kubeconfig="$CONF/scheduler.kubeconfig"
}

launch_provisioner() {
	launch_cp provisioner "$(bin provisioner)/provisioner" --kubeconfig="$CONF/provisioner.kubeconfig" --base="$NODES"
}

# It asks for a Node object of its own name; the control plane has none, and
# node1's will do, as only the rules for node-local traffic depend on it.
launch_cp_proxy() {
	proxy_config node1 >"$CONF/cp-proxy.yaml"
	launch_cp cp-proxy "$(bin kubernetes)/kube" proxy --config="$CONF/cp-proxy.yaml"
}

proxy_config() {
	cat <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: iptables
		clientConnection: {kubeconfig: $CONF/proxy.kubeconfig}
		clusterCIDR: $POD_CIDR
		hostnameOverride: $1
		conntrack: {maxPerCore: 0, min: 0}
		iptables: {minSyncPeriod: 0s, syncPeriod: 30s}
	YAML
}

api_ready() { k get --raw /readyz; }

wait_for_api() {
	wait_for "$1" "the API server to be ready" api_ready ||
		{ show_log apiserver; show_log etcd; die "the API server does not come up"; }
}

start_control_plane() {
	ensure etcd launch_etcd
	ensure apiserver launch_apiserver
	ensure controller-manager launch_controller_manager
	ensure scheduler launch_scheduler
	ensure provisioner launch_provisioner
	open_loopback
	shell_kubeconfig
}

# A resolv.conf as a pod in the default namespace has it.
cluster_resolv_conf() {
	cat <<-TEXT
		nameserver $DNS_SERVICE_IP
		search default.svc.cluster.local svc.cluster.local cluster.local
		options ndots:5
	TEXT
}

# run_inside COMMAND...: in the control plane's network, with the cluster's DNS.
# The mount namespace is for /etc/resolv.conf alone.
run_inside() {
	cluster_resolv_conf >"$CONF/resolv.cluster"
	export KUBECONFIG=$CONF/admin.kubeconfig
	# shellcheck disable=SC2016 # expands in the inner shell
	exec env -u http_proxy -u https_proxy -u no_proxy -u all_proxy \
		-u HTTP_PROXY -u HTTPS_PROXY -u NO_PROXY -u ALL_PROXY \
		nsenter --net="$(netns_file cp)" unshare --mount --propagation private \
		bash -c 'mount --bind "$0" "$(realpath /etc/resolv.conf)" && exec "$@"' "$CONF/resolv.cluster" "$@"
}
