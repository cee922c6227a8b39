# shellcheck shell=bash
# Cutting and counting traffic with iptables' raw table: before kube-proxy's
# redirections and before connection tracking, so that open connections are cut
# as well. A packet is dropped where it arrives: its sender notices nothing.
#
# A cut between pods lies in the pods' own network namespaces, works on one node
# as between nodes, and vanishes with the pods. Every rule has the comment
# `muster:KEY`, KEY being a digest of the two ends; FAULTS/cuts/KEY lists where
# the rules are.

fault_key() { printf '%s\n' "$@" | LC_ALL=C sort | sha256sum | cut -c1-12; }

# An end of a cut, as "kind where addresses" lines. `where` says how to get into
# the network namespace that its packets arrive in:
#   net:NAME          a namespace of the bed
#   pid:PID:START     a process's (the pod's sandbox), while that lives
resolve_end() {
	local part kind=
	for part in ${1//,/ }; do
		[[ $part != *:* && -n $kind ]] && part=$kind:$part # pod:a/b,c/d
		kind=${part%%:*}
		case $part in
		api) echo "api net:cp $CONTROL_PLANE_IP" ;;
		node:*) resolve_node "${part#node:}" ;;
		pod:*) resolve_pod "${part#pod:}" ;;
		*) die "'$part' is no end of a cut: write pod:NAMESPACE/NAME, node:NAME or api" ;;
		esac || return 1
	done
}

resolve_node() {
	local node
	node=$(node_name "$1") || return 1
	netns_works "$node" || die "there is no $node"
	echo "node net:$node $(node_ip "$node") $(pod_subnet "$node")"
}

resolve_pod() {
	local found node pid address
	found=$(find_sandbox "$1") || return 1
	read -r node _ pid <<<"$found"
	[[ $(readlink "/proc/$pid/ns/net") != "$(in_net "$node" readlink /proc/self/ns/net)" ]] ||
		die "pod $1 is in its node's network: cut node:$node instead"
	address=$(nsenter --net="/proc/$pid/ns/net" ip -4 -o address show dev eth0 | awk '{ sub("/.*", "", $4); print $4 }')
	echo "pod pid:$pid:$(start_time "$pid") $address"
}

# in_where WHERE COMMAND...
in_where() {
	local where=$1 pid
	shift
	case $where in
	net:*) in_net "${where#net:}" "$@" ;;
	pid:*)
		pid=${where#pid:}
		[[ $(start_time "${pid%:*}") == "${pid#*:}" ]] || return 0 # gone, and its rules with it
		nsenter --net="/proc/${pid%:*}/ns/net" "$@"
		;;
	esac
}

# raw_add WHERE KEY MATCH...: a rule, once
raw_add() {
	local where=$1 rule=()
	rule=("${@:3}" -m comment --comment "$PREFIX:$2")
	in_where "$where" iptables -w -t raw -C PREROUTING "${rule[@]}" -j DROP 2>/dev/null ||
		in_where "$where" iptables -w -t raw -I PREROUTING "${rule[@]}" -j DROP
}

# raw_rules WHERE TAG and raw_packets WHERE TAG: what is there, and how often it matched
raw_rules() { in_where "$1" iptables -w -t raw -S PREROUTING 2>/dev/null | grep -F "$PREFIX:$2" || true; }
raw_packets() {
	in_where "$1" iptables -w -t raw -nvxL PREROUTING 2>/dev/null |
		awk -v tag="$PREFIX:$2" 'index($0, tag) { print $1 }'
}

raw_remove() {
	local rule
	raw_rules "$1" "$2" | while read -r rule; do
		rule=${rule//\"/} # iptables -S quotes the comment
		# shellcheck disable=SC2086 # one word an argument
		in_where "$1" iptables -w -t raw -D ${rule#-A }
	done
}

# drop_direction KEY FROM TO PORTS: FROM and TO are lines of resolve_end
drop_direction() {
	local key=$1 ports=$4 source target from_kind to_kind where sources targets match
	read -r from_kind _ sources <<<"$2"
	read -r to_kind where targets <<<"$3"
	for source in $sources; do
		for target in $targets; do
			match=(-s "$source" -d "$target")
			if [[ -n $ports ]]; then
				match+=(-p tcp -m multiport --dports "$ports")
			elif [[ $to_kind == api ]]; then
				match+=(-p tcp --dport "$API_PORT")
			elif [[ $from_kind == api ]]; then
				match+=(-p tcp --sport "$API_PORT")
			fi
			raw_add "$where" "$key" "${match[@]}"
		done
	done
	# A pod knows the API server by its service address.
	if [[ $from_kind == api && -z $ports ]]; then
		raw_add "$where" "$key" -s "$API_SERVICE_IP" -p tcp --sport 443
	fi
	echo "$where" >>"$FAULTS/cuts/$key"
}

# cut A B [--ports LIST] [--one-way]
cut_traffic() {
	local ends=() ports='' one_way='' key a b end_a end_b
	while (($#)); do
		case $1 in
		--ports) ports=${2:?--ports needs a list} && shift ;;
		--one-way) one_way=yes ;;
		-*) die "unknown option $1" ;;
		*) ends+=("$1") ;;
		esac
		shift
	done
	((${#ends[@]} == 2)) || die "usage: fault cut A B [--ports LIST] [--one-way]"
	a=$(resolve_end "${ends[0]}") || exit 1
	b=$(resolve_end "${ends[1]}") || exit 1
	key=$(fault_key "${ends[@]}")
	mkdir -p "$FAULTS/cuts"
	[[ -f $FAULTS/cuts/$key ]] || echo "${ends[0]} ${ends[1]}" >"$FAULTS/cuts/$key"
	while read -r end_a; do
		while read -r end_b; do
			drop_direction "$key" "$end_a" "$end_b" "$ports"
			[[ -n $one_way ]] || drop_direction "$key" "$end_b" "$end_a" "$ports"
		done <<<"$b"
	done <<<"$a"
}

cut_places() { tail -n +2 "$FAULTS/cuts/$1" 2>/dev/null | sort -u; }

heal_key() {
	local where
	for where in $(cut_places "$1"); do raw_remove "$where" "$1"; done
	rm -f "$FAULTS/cuts/$1"
}

heal_traffic() {
	case $# in
	1) remove_counter "$(fault_key "$1")" ;;
	2) heal_key "$(fault_key "$@")" ;;
	*) die "usage: fault heal A B (a cut) or fault heal A (a counter)" ;;
	esac
}

heal_all() {
	local file
	for file in "$FAULTS"/cuts/*; do [[ ! -f $file ]] || heal_key "${file##*/}"; done
	for file in "$FAULTS"/counters/*; do [[ ! -d $file ]] || remove_counter "${file##*/}"; done
}

count_packets() {
	local key where
	key=$(fault_key "$@")
	if [[ -d $FAULTS/counters/$key ]]; then
		{
			cat "$FAULTS/counters/$key/tally"
			for where in $(node_names); do raw_packets "net:$where" "$key"; done
		} | sum
	elif [[ -f $FAULTS/cuts/$key ]]; then
		for where in $(cut_places "$key"); do raw_packets "$where" "$key"; done | sum
	else
		die "nothing cuts or counts: $*"
	fi
}

sum() { awk '{ s += $1 } END { print s + 0 }'; }

# count-traffic POD --ports LIST [--drop]: POD's name may be a pattern. The rules
# are on the nodes, by the pods' addresses; lib/cni-bridge sets them for pods
# that start later, and keeps the count of those that go.
count_traffic() {
	local end='' ports='' target=RETURN key namespace pattern pod
	while (($#)); do
		case $1 in
		--ports) ports=${2:?--ports needs a list} && shift ;;
		--drop) target=DROP ;;
		-*) die "unknown option $1" ;;
		*) end=$1 ;;
		esac
		shift
	done
	[[ $end == pod:*/* && -n $ports ]] || die "usage: fault count-traffic pod:NAMESPACE/PATTERN --ports LIST [--drop]"
	IFS=/ read -r namespace pattern <<<"${end#pod:}"
	key=$(fault_key "$end")
	remove_counter "$key"
	mkdir -p "$FAULTS/counters"
	mkdir "$FAULTS/counters/$key"
	: >"$FAULTS/counters/$key/tally"
	echo "$end $ports $target" >"$FAULTS/counters/$key/about"
	echo "$namespace $pattern $ports $target" >"$FAULTS/counters/$key/spec.new"
	mv "$FAULTS/counters/$key/spec.new" "$FAULTS/counters/$key/spec"
	for pod in $(k -n "$namespace" get pods --field-selector=status.phase!=Succeeded,status.phase!=Failed -o 'jsonpath={.items[*].metadata.name}'); do
		# shellcheck disable=SC2053 # a pattern
		[[ $pod == $pattern ]] || continue
		count_running_pod "$namespace/$pod" "$key" "$ports" "$target"
	done
}

count_running_pod() {
	local found node id end address rule
	found=$(find_task "$1" sandbox) || return 0 # starting: the CNI plugin sees to it
	read -r node id _ <<<"$found"
	end=$(resolve_pod "$1") || exit 1
	read -r _ _ address <<<"$end"
	rule=(-s "$address" -p tcp -m multiport --dports "$3" -m comment --comment "$PREFIX:$2:${id:0:12}" -j "$4")
	in_net "$node" iptables -w -t raw -C PREROUTING "${rule[@]}" 2>/dev/null ||
		in_net "$node" iptables -w -t raw -A PREROUTING "${rule[@]}"
}

remove_counter() {
	local node
	rm -rf "${FAULTS:?}/counters/$1"
	for node in $(node_names); do raw_remove "net:$node" "$1"; done
}

show_faults() {
	local file
	for file in "$FAULTS"/cuts/*; do [[ ! -f $file ]] || echo "cut $(head -n 1 "$file")"; done
	for file in "$FAULTS"/counters/*/about; do [[ ! -f $file ]] || echo "count-traffic $(cat "$file")"; done
}
