# shellcheck shell=bash
# `fault …`: failures as commands.

fault() {
	local kind=${1:-} node
	(($#)) && shift
	case $kind in
	cut) cut_traffic "$@" ;;
	heal) heal_traffic "$@" ;;
	heal-all)
		heal_all
		heal_slow_disks
		;;
	count) count_packets "$@" ;;
	count-traffic) count_traffic "$@" ;;
	list)
		show_faults
		show_slow_disks
		;;
	kill-node) for_node kill_node "$@" ;;
	start-node) for_node start_node "$@" ;;
	freeze-node) for_node cgroup_freeze "$@" ;;
	thaw-node) for_node cgroup_thaw "$@" ;;
	stop) signal_container "$(need "${1:-}")" "$(need "${2:-}")" STOP ;;
	cont) signal_container "$(need "${1:-}")" "$(need "${2:-}")" CONT ;;
	kill) kill_container "$@" ;;
	slow-disk) slow_disk "$@" ;;
	fast-disk) fast_disk "$@" ;;
	api-down) kill_daemon apiserver ;;
	api-up)
		ensure apiserver launch_apiserver
		wait_for_api 60
		;;
	*) die "no such fault: '$kind' (see '$0 help')" ;;
	esac
}

need() { [[ -n $1 ]] && echo "$1" || die "usage: fault stop|cont|kill|slow-disk|fast-disk NAMESPACE/POD CONTAINER"; }

for_node() {
	local node
	node=$(node_name "${2:-}") || exit 1
	[[ -d $NODES/$node ]] || die "there is no $node"
	"$1" "$node"
}

# kill NAMESPACE/POD CONTAINER [SIGNAL] [--main]: all processes, or only PID 1
kill_container() {
	local words=() whom=all word
	for word in "$@"; do
		if [[ $word == --main ]]; then whom=main; else words+=("$word"); fi
	done
	signal_container "$(need "${words[0]:-}")" "$(need "${words[1]:-}")" "${words[2]:-KILL}" "$whom"
}
