# shellcheck shell=bash
# What the program says, and how it waits.

# Progress goes to stderr: stdout is for what a command was asked to print.
say() { echo "testbed: $*" >&2; }

die() {
	say "$*"
	exit 1
}

# The proxy variables of the caller's shell are for downloads. A component that
# sees them sends requests for the bed's own addresses there.
without_proxy() {
	env -u http_proxy -u https_proxy -u no_proxy -u all_proxy \
		-u HTTP_PROXY -u HTTPS_PROXY -u NO_PROXY -u ALL_PROXY "$@"
}

seconds_since() { awk -v t="$1" -v now="$EPOCHREALTIME" 'BEGIN { printf "%.1f", now - t }'; }

# wait_for SECONDS WHAT COMMAND...: polls COMMAND until it succeeds
wait_for() {
	local seconds=$1 what=$2 end
	shift 2
	end=$((SECONDS + seconds))
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			say "waited $seconds s in vain for: $what"
			return 1
		fi
		sleep 0.1
	done
}

# show_log NAME: the end of a daemon's log, for a failure's message
show_log() {
	[[ -f $LOGS/$1.log ]] || return 0
	say "the end of $LOGS/$1.log:"
	tail -n 15 "$LOGS/$1.log" >&2
}
