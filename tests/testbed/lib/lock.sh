# shellcheck shell=bash
# One command at a time may change the bed. The kernel drops the lock with its
# holder, so a killed run leaves none behind.

# The lock's file descriptor must not survive in daemons: they close it.
lock_bed() {
	exec 9>"$LOCK"
	flock --nonblock 9 && return
	say "another run is changing the bed; waiting for it"
	flock --timeout 1800 9 || die "the other run has held $LOCK for half an hour"
}
