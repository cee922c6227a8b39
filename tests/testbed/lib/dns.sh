# shellcheck shell=bash
# CoreDNS, as kubeadm sets it up today (modern) or as many clusters still run it
# (classic): the latter answers "no such name" for up to 30 s after a pod has
# got its name.

need_dns_mode() {
	[[ $1 == modern || $1 == classic ]] || die "DNS is 'modern' or 'classic', not '$1'"
}

# The mode is in the pod template (which ConfigMap it mounts): another mode is
# a roll-out, the same mode changes nothing.
apply_dns() {
	need_dns_mode "$1"
	sed -e "s|@MODE@|$1|; s|@IMAGE@|$COREDNS_IMAGE|; s|@ADDRESS@|$DNS_SERVICE_IP|" "$MANIFESTS/dns.yaml" |
		k apply -f "$MANIFESTS/dns-modern.yaml" -f "$MANIFESTS/dns-classic.yaml" -f - >/dev/null
	echo "$1" >"$STATE/dns"
}

wait_for_dns() {
	k -n kube-system rollout status deployment/coredns --timeout=90s >/dev/null ||
		die "CoreDNS does not become ready: see '$0 kubectl -n kube-system get pods'"
	# Only then have the old configuration's pods stopped answering.
	wait_for 40 "the former CoreDNS pods to be gone" dns_settled || die "former CoreDNS pods stay"
}

dns_settled() { [[ $(k -n kube-system get pods -l k8s-app=kube-dns -o name | wc -l) == 2 ]]; }

switch_dns() {
	apply_dns "$1"
	wait_for_dns
	say "DNS is $1"
}
