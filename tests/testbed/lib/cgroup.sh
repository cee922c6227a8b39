# shellcheck shell=bash
# One tree of cgroups below /PREFIX: cp, and per node its daemons and its pods.
# Whoever is in the tree is ours; killing or freezing a node is one path.
#
# cgroup v1 has a hierarchy per controller, and the kubelet wants its root in
# each; processes are placed in pids and freezer, and counted in pids.
# cgroup v2 is one hierarchy that does all of it.

CGROUPS=${MUSTER_CGROUPS:-/sys/fs/cgroup}

cgroup_v2() { [[ -f $CGROUPS/cgroup.controllers ]]; }

# The hierarchies that daemons are placed in; the first is the one to list.
placing_hierarchies() {
	if cgroup_v2; then
		echo "$CGROUPS"
	else
		echo "$CGROUPS/pids" "$CGROUPS/freezer"
	fi
}

need_cgroups() {
	local controller
	cgroup_v2 && return
	for controller in pids freezer cpu cpuset memory devices; do
		[[ -d $CGROUPS/$controller/ ]] ||
			die "no cgroup controller '$controller' under $CGROUPS: it needs cgroup v2, or v1 with every controller mounted there"
	done
}

# cgroup_make PATH: for daemons
cgroup_make() {
	local top
	for top in $(placing_hierarchies); do mkdir -p "$top/$PREFIX/$1"; done
}

# cgroup_make_root PATH: for a kubelet, which wants every controller
cgroup_make_root() {
	local top folder part
	if cgroup_v2; then
		folder=$CGROUPS
		for part in "$PREFIX" ${1//\// }; do
			tr ' ' '\n' <"$folder/cgroup.controllers" | sed 's/^/+/' | while read -r controller; do
				echo "$controller" >"$folder/cgroup.subtree_control" 2>/dev/null || true
			done
			folder+=/$part
			mkdir -p "$folder"
		done
		return
	fi
	for top in "$CGROUPS"/*/; do
		[[ -f $top/tasks ]] || continue # `unified` has none, and is not the kubelet's
		mkdir -p "$top/$PREFIX/$1"
	done
	# A new cpuset is empty, and nothing can run in it.
	for folder in "$PREFIX" "$PREFIX/$1"; do
		for part in cpuset.cpus cpuset.mems; do
			cat "$CGROUPS/cpuset/$part" >"$CGROUPS/cpuset/$folder/$part"
		done
	done
}

# cgroup_join PATH: puts the calling shell there
cgroup_join() {
	local top
	for top in $(placing_hierarchies); do
		echo "$BASHPID" >"$top/$PREFIX/$1/cgroup.procs"
	done
}

# cgroup_pids [PATH]: every process at or below it
cgroup_pids() {
	local top
	read -r top _ <<<"$(placing_hierarchies)"
	find "$top/$PREFIX${1:+/$1}" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}

# cgroup_kill PATH: until nobody is left; new children die in the next round
cgroup_kill() {
	local pids round
	cgroup_thaw "$1"
	for ((round = 0; round < 100; round++)); do
		pids=$(cgroup_pids "$1")
		[[ -n $pids ]] || return 0
		# shellcheck disable=SC2086 # one argument a process
		kill -KILL $pids 2>/dev/null || true
		sleep 0.05
	done
	say "these processes under cgroup $PREFIX/$1 do not die: ${pids//$'\n'/ }"
	return 1
}

cgroup_freeze() {
	if cgroup_v2; then
		echo 1 >"$CGROUPS/$PREFIX/$1/cgroup.freeze"
	else
		echo FROZEN >"$CGROUPS/freezer/$PREFIX/$1/freezer.state"
	fi
}

# Also below: someone may have frozen a single container.
cgroup_thaw() {
	local file
	if cgroup_v2; then
		find "$CGROUPS/$PREFIX/$1" -name cgroup.freeze 2>/dev/null | while read -r file; do echo 0 >"$file"; done
	else
		find "$CGROUPS/freezer/$PREFIX/$1" -name freezer.state 2>/dev/null | while read -r file; do echo THAWED >"$file"; done
	fi
}

cgroup_frozen() {
	if cgroup_v2; then
		grep -qx 1 "$CGROUPS/$PREFIX/$1/cgroup.freeze" 2>/dev/null
	else
		grep -qx FROZEN "$CGROUPS/freezer/$PREFIX/$1/freezer.state" 2>/dev/null
	fi
}

# cgroup_remove [PATH]: the empty tree, everywhere
cgroup_remove() {
	local top
	for top in "$CGROUPS" "$CGROUPS"/*/; do
		[[ -d ${top%/}/$PREFIX${1:+/$1} ]] || continue
		find "${top%/}/$PREFIX${1:+/$1}" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}
