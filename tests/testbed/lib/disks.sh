# shellcheck shell=bash
# Slow disks: each sync of a container's processes takes longer. A tracer holds
# the system call's answer back; program, data and disk are what they were.

# slow_disk NAMESPACE/POD CONTAINER MILLISECONDS
slow_disk() {
	local found name id pid pids=()
	[[ ${3:-} =~ ^[1-9][0-9]*$ ]] || die "usage: fault slow-disk NAMESPACE/POD CONTAINER MILLISECONDS"
	found=$(find_container "$1" "$2") || exit 1
	name=$(slow_disk_name "$1" "$2")
	fast_disk "$1" "$2"
	read -r _ id _ <<<"$found"
	for pid in $(container_pids "$id"); do pids+=(-p "$pid"); done
	launch disks "$name" strace -f -qq -o /dev/null "${pids[@]}" \
		-e trace=fsync,fdatasync -e "inject=fsync,fdatasync:delay_exit=${3}ms"
	# shellcheck disable=SC2046 # one argument a process
	wait_for 10 "the tracer to hold every process" all_traced $(container_pids "$id") || exit 1
}

# fast_disk NAMESPACE/POD CONTAINER: does not mind a disk that is not slow
fast_disk() {
	split_pod "$(need "${1:-}")"
	stop_daemon "$(slow_disk_name "$1" "$(need "${2:-}")")"
}

slow_disk_name() { echo "slow-disk-${1/\//_}_$2"; }

all_traced() {
	local pid
	for pid in "$@"; do
		grep -q '^TracerPid:.*[1-9]' "/proc/$pid/status" || [[ ! -d /proc/$pid ]] || return 1
	done
}

slow_disks() {
	local file
	for file in "$RUN"/slow-disk-*.pid; do
		[[ ! -f $file ]] || basename "$file" .pid
	done
}

show_slow_disks() {
	local name where
	for name in $(slow_disks); do
		where=${name#slow-disk-}
		where=${where/_//}
		! runs "$name" || echo "slow-disk ${where/_/ }"
	done
}

heal_slow_disks() {
	local name
	for name in $(slow_disks); do stop_daemon "$name"; done
}
