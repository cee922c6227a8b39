#!/usr/bin/env bash
# From a clean clone to an etcd cluster of three on a Kubernetes of its own, to
# five and back to three, with the members shown as they change. Can be run
# again: it goes on with what is there.
set -euo pipefail
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAMESPACE=demo
NAME=etcd
SAMPLE=deploy/samples/three-members.yaml
# For one step. The floor is the time that Kubernetes needs to start pods.
DEADLINE=${DEADLINE:-300}

kd() { k -n "$NAMESPACE" "$@"; }

command_line() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }

# Two lines of what Kubernetes counts, then a line for every pod or member.
table() {
	jq -r '
		(.status // {}) as $s
		| ($s.members // []) as $members
		| ($s.seats // []) as $seats
		| (.metadata.name + "-") as $stem
		| ([$members[] | .peerURL | sub("^[a-z]+://"; "") | split(".")[0]]
			+ [$seats[].name] | unique | sort_by(ltrimstr($stem) | tonumber? // 0)) as $pods
		| "size \(.spec.size)   pods \($s.replicas // 0)   ready \($s.readyReplicas // 0)   \($s.summary // "no status yet")",
		($pods[] as $pod
			| ($members | map(select(.peerURL | test("//" + $pod + "\\."))) | first) as $m
			| ($seats | map(select(.name == $pod)) | first) as $seat
			| "  \($pod)  "
				+ (if $m == null then "no member" + (" " * 18)
				   else "\($m.id)  \(if $m.role == "Voter" then "voter  " else "learner" end)"
					+ (if $m.started then "  " else " *" end) end)
				+ (if $s.leader == $pod then "  leader" else "        " end)
				+ "  " + ($seat.why // ""))'
}

# What has to be true at the end: only voters, that have started, one each pod.
settled() {
	jq -e --argjson size "$1" '
		.spec.size == $size and .status.observedGeneration == .metadata.generation
		and .status.replicas == $size and .status.readyReplicas == $size
		and (.status.members | length) == $size
		and all(.status.members[]; .role == "Voter" and .started)' >/dev/null
}

# watch_until SIZE: prints the table whenever it changes
watch_until() {
	local size=$1 start=$SECONDS cluster now shown=''
	echo "waiting for $size started voters and $size ready pods, at most $DEADLINE s"
	while :; do
		if cluster=$(kd get etcdcluster "$NAME" -o json 2>/dev/null); then
			now=$(table <<<"$cluster")
			if [[ $now != "$shown" ]]; then
				printf '\n%4d s  %s\n' $((SECONDS - start)) "$now"
				shown=$now
			fi
			if settled "$size" <<<"$cluster"; then break; fi
		fi
		if ((SECONDS - start >= DEADLINE)); then
			kd get etcdcluster,statefulset,pods -o wide >&2 || true
			kd get events --sort-by .lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
			die "after $DEADLINE s the cluster does not have $size voters; the bed is left up, so that you can look"
		fi
		sleep 0.5
	done
}

# etcd's own word for it, beside that of Kubernetes.
evidence() {
	command_line "kubectl -n $NAMESPACE get etcdcluster,pods"
	kd get etcdcluster,pods
	command_line "kubectl -n $NAMESPACE exec $NAME-0 -c etcd -- etcdctl member list -w table"
	kd exec "$NAME-0" -c etcd -- etcdctl member list -w table
}

# scale SIZE
scale() {
	command_line "kubectl -n $NAMESPACE scale etcdcluster $NAME --replicas=$1"
	kd scale etcdcluster "$NAME" --replicas="$1"
	watch_until "$1"
	evidence
}

hack/prerequisites.sh
hack/install.sh

k create namespace "$NAMESPACE" --dry-run=client -o yaml | k apply -f - >/dev/null
command_line "kubectl -n $NAMESPACE apply -f $SAMPLE"
kd apply -f "$SAMPLE"
watch_until 3
evidence
scale 5
scale 3

cat <<TEXT

The cluster is yours. To look around, in this folder:

  eval "\$($TESTBED env)"                    # kubectl talks to this Kubernetes
  kubectl -n $NAMESPACE get etcdcluster,statefulset,pods,pvc
  kubectl -n $NAMESPACE get etcdcluster $NAME -o yaml      # status: members, seats, conditions
  kubectl -n $NAMESPACE exec $NAME-0 -c etcd -- etcdctl member list -w table
  kubectl -n $NAMESPACE logs $NAME-1 -c agent              # what it decided, and why
  kubectl -n $NAMESPACE scale etcdcluster $NAME --replicas=1
  kubectl -n $NAMESPACE delete pod $NAME-0                 # comes back as the same member

To stop, and leave nothing behind:

  make clean-up
TEXT
