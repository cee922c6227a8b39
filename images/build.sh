#!/usr/bin/env bash
# Builds the images as archives in out/images: agent.tar and operator.tar, for
# `ctr images import`, `kind load image-archive` or `docker load`.
#
#   images/build.sh [agent|operator]...     default: both
#
# No daemon is needed: buildah is used if it is there, else docker.
# TAG         the images' tag            default: the workspace's version
# REGISTRY    what precedes their names  default: docker.io/muster
# BUILDER     buildah or docker          default: what is there
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
tag=${TAG:-$version}
registry=${REGISTRY:-docker.io/muster}
target=$(rustc -vV | sed -n 's/^host: //p')
out=$root/out/images
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(agent operator)

fail() {
	echo "images/build.sh: $*" >&2
	exit 1
}

case $target in
*-linux-gnu) ;;
*) fail "images are built on Linux with the gnu toolchain, not on $target" ;;
esac

builder() {
	if [ -n "${BUILDER:-}" ]; then
		echo "$BUILDER"
	elif command -v buildah >/dev/null; then
		echo buildah
	elif docker info >/dev/null 2>&1; then
		echo docker
	else
		fail "neither buildah nor a docker daemon is there (Debian: apt-get install buildah)"
	fi
}

# A binary without a C library beside it: the image has none.
compile() {
	local packages=()
	for part in "${parts[@]}"; do packages+=(-p "muster-$part"); done
	RUSTFLAGS="-C target-feature=+crt-static" \
		cargo build --locked --release --target "$target" "${packages[@]}"
}

# The folder that the container file sees holds the binary and nothing else.
stage() {
	local part=$1 context
	context=$out/context-$part
	rm -rf "$context"
	mkdir -p "$context"
	cp "${CARGO_TARGET_DIR:-target}/$target/release/muster-$part" "$context/"
	if readelf --program-headers "$context/muster-$part" | grep -q INTERP; then
		fail "muster-$part is not static"
	fi
	echo "$context"
}

archive() {
	local part=$1 context=$2 image=$registry/$1:$tag file=$out/$1.tar
	rm -f "$file"
	case $(builder) in
	buildah)
		local buildah=(buildah --storage-driver vfs --root "$out/storage" --runroot "$out/run")
		"${buildah[@]}" build --isolation chroot --format docker --timestamp 0 --quiet \
			--tag "$image" --file "images/$part/Containerfile" "$context" >/dev/null
		"${buildah[@]}" push --quiet "$image" "docker-archive:$file:$image"
		;;
	docker)
		docker build --quiet --tag "$image" --file "images/$part/Containerfile" "$context" >/dev/null
		docker save --output "$file" "$image"
		;;
	*) fail "BUILDER is buildah or docker" ;;
	esac
}

megabytes() {
	awk -v bytes="$(stat -c %s "$1")" 'BEGIN { printf "%.1f MB", bytes / 1000000 }'
}

mkdir -p "$out"
compile
for part in "${parts[@]}"; do
	context=$(stage "$part")
	archive "$part" "$context"
	echo "$registry/$part:$tag  binary $(megabytes "$context/muster-$part")  archive $(megabytes "$out/$part.tar")  $out/$part.tar"
	rm -rf "$context"
done
rm -rf "$out/storage" "$out/run"
