#!/usr/bin/env bash
# The test bed with this work tree's operator running in it. What is there
# already is kept; an operator of an older build is replaced.
set -euo pipefail
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAMESPACE=muster-system

# A tag stays the same from build to build: what tells the builds apart is the
# content of the archive, kept as an annotation.
install_operator() {
	local build
	build=$(cat out/images/agent.tar out/images/operator.tar | sha256sum | cut -c1-16)
	k apply --server-side --force-conflicts -f deploy/install.yaml >/dev/null
	k -n "$NAMESPACE" patch deployment muster-operator --type merge --patch \
		"{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"muster.test/build\":\"$build\"}}}}}" >/dev/null
	say "waiting for the operator (at most 120 s)"
	k -n "$NAMESPACE" rollout status deployment muster-operator --timeout 120s >&2 || {
		k -n "$NAMESPACE" get pods -o wide >&2 || true
		k -n "$NAMESPACE" logs deployment/muster-operator --tail 20 >&2 || true
		die "the operator did not become ready"
	}
	# The pod of an earlier build may still be ending, and the scenarios' faults look at each pod of the operator.
	await 60 "earlier pods of the operator to end" one_operator
	await 30 "the definition of EtcdCluster" k get etcdclusters --all-namespaces
}

one_operator() {
	[ "$(k -n "$NAMESPACE" get pods --no-headers | wc -l)" -eq 1 ]
}

say "the test bed (its programs are built once for this machine: a quarter of an hour on 2 cores)"
"$TESTBED" up
say "the images of agent and operator"
images/build.sh
say "loading the images into the nodes"
"$TESTBED" load out/images/agent.tar out/images/operator.tar
install_operator
