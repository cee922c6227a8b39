#!/usr/bin/env bash
# Runs a command of the end-to-end program on a bed with the operator in it.
#
#   hack/on-bed.sh COMMAND [ARGUMENTS...]
#
# BED says what becomes of the bed afterwards, also after a failure:
#   as-found   it is removed if it was not up before (default)
#   keep       it stays
#   down       it is removed
set -euo pipefail
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($#)) || die "usage: on-bed.sh COMMAND [ARGUMENTS...]"
after=${BED:-as-found}
case $after in
keep | down) ;;
as-found) if "$TESTBED" status >/dev/null 2>&1; then after=keep; else after=down; fi ;;
*) die "BED is as-found, keep or down, not '$after'" ;;
esac

put_back() {
	[[ $after == down ]] || return 0
	say "removing the test bed"
	"$TESTBED" down
}
trap put_back EXIT
trap 'exit 130' INT TERM

hack/prerequisites.sh
say "the end-to-end program"
cargo build --locked -q -p muster-e2e
# Here and not where it is used: inside the bed there is no way to the modules.
mkdir -p out
(cd tests/churn-check && go build -o "$ROOT/out/churn-check" .)
hack/install.sh
"$@"
