# shellcheck shell=bash
# Static binaries from the Go modules in build/, cached by the content of
# their sources: a changed go.sum or flag makes a new folder, nothing else does.

GO_FLAGS=(-trimpath -buildvcs=false)

# The build plan: one line for each target, "name module expectation".
# etcd of every version comes first: a test without Kubernetes needs only that.
build_targets() {
	local version
	for version in $(etcd_versions); do
		echo "etcd-$version etcd/$version one-minute"
	done
	echo "kubernetes kube ten-minutes"
	echo "coredns coredns two-minutes"
	echo "provisioner provisioner one-minute"
	echo "pause pause a-few-seconds"
}

# What `go build` is to make of a target: "output-name package" lines.
target_packages() {
	case $1 in
	etcd-*)
		echo "etcd go.etcd.io/etcd/server/v3"
		echo "etcdctl go.etcd.io/etcd/etcdctl/v3"
		echo "etcdutl go.etcd.io/etcd/etcdutl/v3"
		;;
	kubernetes) echo "kube ." ;;
	*) echo "$1 ." ;;
	esac
}

# Versions are compiled in, else each of these programs misstates its own.
target_ldflags() {
	local flags="-s -w" package minor
	case $1 in
	kubernetes)
		minor=${KUBERNETES_VERSION#v1.}
		for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1"
			flags+=" -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
		done
		;;
	etcd-*) flags+=" -X go.etcd.io/etcd/api/v3/version.GitSHA=${1#etcd-}" ;;
	coredns) flags+=" -X github.com/coredns/coredns/coremain.GitCommit=$COREDNS_VERSION" ;;
	esac
	echo "$flags"
}

# target_dir NAME MODULE: the cache folder for the sources as they are now
target_dir() {
	local key
	key=$({
		echo "${GO_FLAGS[*]} $(target_ldflags "$1")" "$(target_packages "$1")"
		cd "$BUILD_SOURCES/$2" && find . -type f | LC_ALL=C sort | xargs sha256sum
	} | sha256sum)
	echo "$CACHE/bin/$1-${key:0:12}"
}

# bin TARGET: the folder with that target's binaries
bin() {
	local name module _
	while read -r name module _; do
		[[ $name == "$1" ]] && target_dir "$name" "$module" && return
	done < <(build_targets)
	die "nothing here builds '$1'"
}

# build_missing [TARGET...]: all targets, or the named ones, that the cache lacks
build_missing() {
	local name module expected dir entry index=0 missing=()
	while read -r name module expected; do
		(($# == 0)) || [[ " $* " == *" $name "* ]] || continue
		[[ -d $(target_dir "$name" "$module") ]] || missing+=("$name $module $expected")
	done < <(build_targets)
	((${#missing[@]})) || return 0
	need_go
	mkdir -p "$CACHE/bin" "$CACHE/locks"
	for entry in "${missing[@]}"; do
		read -r name module expected <<<"$entry"
		index=$((index + 1))
		dir=$(target_dir "$name" "$module")
		build_one "$name" "$module" "$dir" "$index of ${#missing[@]}" "${expected//-/ }"
	done
}

# Two clones may build at once: the second waits, then finds the result.
build_one() {
	local name=$1 module=$2 dir=$3 which=$4 expected=$5 start=$EPOCHREALTIME
	(
		exec 8>"$CACHE/locks/$name"
		flock --nonblock 8 || { say "$name: another run is building it; waiting for that" && flock 8; }
		[[ -d $dir ]] && exit 0
		say "building $name ($which); on 2 cores a first build takes about $expected"
		rm -rf "$CACHE/bin/.$name".*
		compile "$name" "$module" "$CACHE/bin/.$name.$$" || exit 1
		mv "$CACHE/bin/.$name.$$" "$dir"
		say "built $name ($which) in $(seconds_since "$start") s"
	) 9>&- || die "building $name failed"
}

compile() {
	local name=$1 module=$2 out=$3 log output package all running
	mkdir -p "$out"
	cd "$BUILD_SOURCES/$module" || return 1
	export CGO_ENABLED=0 GOFLAGS=-mod=readonly
	log=$out/build.log
	say "$name: fetching modules"
	go mod download >"$log" 2>&1 || { cat "$log" >&2; return 1; }
	# Only feeds the progress line: a warm Go cache skips most of them.
	all=$(target_packages "$name" | cut -d' ' -f2 | xargs go list -deps 2>/dev/null | wc -l)
	while read -r output package; do
		nice go build "${GO_FLAGS[@]}" -v -ldflags "$(target_ldflags "$name")" -o "$out/$output" "$package" || exit 1
	done < <(target_packages "$name") >"$log" 2>&1 &
	running=$!
	report_progress "$name" "$log" "$all" "$running"
	wait "$running" || { tail -n 20 "$log" >&2; return 1; }
	rm -f "$log"
	if [[ $name == kubernetes ]]; then ln -s kube "$out/kubectl"; fi
}

# A line every 20 s while process $4 runs.
report_progress() {
	local name=$1 log=$2 all=$3 pid=$4 ticks=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		ticks=$((ticks + 1))
		((ticks % 40)) || say "$name: $(wc -l <"$log") of $all packages compiled, $((ticks / 2)) s"
	done
}

etcd_versions() { cut -d' ' -f2 "$BUILD_SOURCES/etcd/versions"; }

# The bed's own etcd is the newest.
newest_etcd() { sed -n 's/^newest-3.6 //p' "$BUILD_SOURCES/etcd/versions"; }

etcd_dir() {
	local version=v${1#v}
	etcd_versions | grep -qx "$version" ||
		die "no etcd $version here; there are: $(etcd_versions | xargs)"
	build_missing "etcd-$version"
	bin "etcd-$version"
}
