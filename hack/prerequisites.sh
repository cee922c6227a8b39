#!/usr/bin/env bash
# Installs the Debian packages that building needs, if it may; otherwise, and
# for the rest, names what is missing. The test bed looks after its own.
set -euo pipefail
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGES=(
	make:make gcc:gcc cc:libc6-dev readelf:binutils curl:curl protoc:protobuf-compiler
	buildah:buildah shellcheck:shellcheck jq:jq git:git
)
GO=1.26

have() { command -v "$1" >/dev/null; }

missing_packages() {
	local entry
	for entry in "${PACKAGES[@]}"; do
		have "${entry%%:*}" || echo "${entry#*:}"
	done
	# The compiler of protocol buffers does without, etcd's definitions do not.
	[[ -f /usr/include/google/protobuf/descriptor.proto ]] || echo libprotobuf-dev
}

install_packages() {
	local log
	say "installing Debian packages: $*"
	log=$(mktemp)
	if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	fi
	rm -f "$log"
}

# at_least WANTED HAVE
at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# Go from 1.21 on fetches a newer one by itself, unless that is forbidden.
go_will_do() {
	local version
	version=$(go env GOVERSION) && version=${version#go}
	at_least "$GO" "$version" || { at_least 1.21 "$version" && [[ $(go env GOTOOLCHAIN) != local* ]]; }
}

mapfile -t wanted < <(missing_packages)
if ((${#wanted[@]})) && ((EUID == 0)) && have apt-get; then
	install_packages "${wanted[@]}"
	mapfile -t wanted < <(missing_packages)
fi

lacks=()
if ((${#wanted[@]})); then
	lacks+=("these packages, by their names in Debian (as root they are installed for you): ${wanted[*]}")
fi

rust=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
if ! have cargo; then
	lacks+=("cargo: install rustup (https://rustup.rs); it brings Rust $rust as rust-toolchain.toml asks")
elif ! cargo --version >/dev/null 2>&1; then
	lacks+=("Rust $rust: 'cargo --version' fails in this folder; try 'rustup toolchain install $rust'")
elif ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
	lacks+=("rustfmt and clippy: rustup component add rustfmt clippy")
fi

if ! have go; then
	lacks+=("go $GO or newer (https://go.dev/dl): the test bed builds Kubernetes and etcd with it")
elif ! go_will_do; then
	lacks+=("go $GO or newer (https://go.dev/dl): here is $(go env GOVERSION), and GOTOOLCHAIN forbids it to fetch another")
fi

if ((${#lacks[@]})); then
	echo "This machine lacks:" >&2
	printf '  - %s\n' "${lacks[@]}" >&2
	exit 1
fi
