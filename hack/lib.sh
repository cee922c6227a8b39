# shellcheck shell=bash
# What the scripts here share. Each is started from anywhere and works in the
# work tree that it lies in.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # for those who source this
TESTBED=tests/testbed/testbed
cd "$ROOT" || exit 1

say() { printf '==> %s\n' "$*" >&2; }

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

k() { "$TESTBED" kubectl "$@"; }

# await SECONDS WHAT COMMAND...: until the command succeeds
await() {
	local seconds=$1 what=$2 end=$((SECONDS + $1))
	shift 2
	say "waiting for $what (at most $seconds s)"
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || {
			"$@" >&2 || true
			die "waited $seconds s in vain for $what"
		}
		sleep 0.5
	done
}
