# shellcheck shell=bash
# What the machine must bring: Linux, root, Debian packages, Go.

# command:package of everything the bed calls
NEEDED=(
	containerd:containerd runc:runc iptables:iptables conntrack:conntrack
	socat:socat strace:strace jq:jq openssl:openssl ip:iproute2 nsenter:util-linux
	flock:util-linux mount:mount sysctl:procps xxd:xxd tar:tar
)

need_root() {
	[[ $(uname -s) == Linux ]] || die "this needs Linux: it is made of network namespaces and cgroups"
	((EUID == 0)) || die "this needs root (namespaces, mounts, cgroups): run it with sudo -E"
}

need_packages() {
	local entry missing=()
	for entry in "${NEEDED[@]}"; do
		command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}")
	done
	cni_plugins >/dev/null || missing+=(containernetworking-plugins)
	((${#missing[@]})) || return 0
	install_packages "${missing[@]}"
	for entry in "${NEEDED[@]}"; do
		command -v "${entry%%:*}" >/dev/null || die "still no command '${entry%%:*}' after installing ${entry#*:}"
	done
	cni_plugins >/dev/null || die "still no CNI plugins (bridge, host-local, portmap) after installing containernetworking-plugins"
}

install_packages() {
	local log
	command -v apt-get >/dev/null ||
		die "missing here, and there is no apt-get to install them with (Debian's names): $*"
	say "installing Debian packages: $*"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
		>"$log" 2>&1 </dev/null 9>&-; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	fi
	rm -f "$log"
}

# The folder of the CNI plugins: Debian's, or upstream's usual one.
cni_plugins() {
	local folder
	for folder in /usr/lib/cni /opt/cni/bin; do
		[[ -x $folder/bridge && -x $folder/host-local && -x $folder/portmap ]] && echo "$folder" && return
	done
	return 1
}

# Go's own rules say whether this Go can build the modules.
need_go() {
	local answer module
	command -v go >/dev/null ||
		die "Go is missing: install Go 1.26 or newer (Debian 12's golang package is too old)"
	for module in "$BUILD_SOURCES"/kube "$BUILD_SOURCES"/etcd/v*/; do
		answer=$(cd "$module" && go list -m 2>&1) || die "this Go cannot build $module: $answer"
	done
}
