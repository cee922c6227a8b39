# shellcheck shell=bash
# Container images: FROM scratch, so an image is a tar of a folder and three
# JSON files (the OCI image layout); no image builder is needed.

# Every image the bed brings: "reference target"
bed_images() {
	local version
	echo "$PAUSE_IMAGE pause"
	echo "$COREDNS_IMAGE coredns"
	for version in $(etcd_versions); do
		echo "$ETCD_IMAGE:$version etcd-$version"
	done
}

etcd_images() {
	local version
	for version in $(etcd_versions); do echo "$ETCD_IMAGE:$version"; done
}

# image_archive TARGET: the cache file of a target's image. The recipe in this
# file is part of the key, as it decides what is in the image.
image_archive() {
	local key dir
	dir=$(bin "$1")
	key=$(sha256sum <"${BASH_SOURCE[0]}")
	echo "$CACHE/images/${dir##*/}-${key:0:6}.tar"
}

build_images() {
	local image target archive
	mkdir -p "$CACHE/images"
	rm -rf "$CACHE/images/".making.*
	while read -r image target; do
		archive=$(image_archive "$target")
		[[ -f $archive ]] || make_image "$image" "$target" "$archive"
	done < <(bed_images)
}

make_image() {
	local image=$1 target=$2 archive=$3 work
	say "making the image $image"
	work=$(mktemp -d "$CACHE/images/.making.XXXXXX")
	case $target in
	etcd-*) etcd_root "$target" "$work" ;;
	*) plain_root "$target" "$work" ;;
	esac
	oci_archive "$image" "$work/root" "$work/config" "$work/layout" "$work/archive"
	mv "$work/archive" "$archive"
	rm -rf "$work"
}

plain_root() {
	mkdir -p "$2/root"
	cp "$(bin "$1")/$1" "$2/root/$1"
	echo "{\"User\": \"65532:65532\", \"Entrypoint\": [\"/$1\"]}" >"$2/config"
}

# As upstream's image: three programs in /usr/local/bin on a base without a
# shell, which has a /tmp, the names of a few users, and root as the user.
etcd_root() {
	local root=$2/root name
	mkdir -p "$root/usr/local/bin" "$root/etc" "$root/var/etcd" "$root/var/lib/etcd"
	mkdir -m 1777 "$root/tmp"
	for name in etcd etcdctl etcdutl; do
		cp "$(bin "$1")/$name" "$root/usr/local/bin/"
	done
	printf '%s\n' 'root:x:0:0:root:/root:/sbin/nologin' \
		'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin' \
		'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'nobody:x:65534:' 'nonroot:x:65532:' >"$root/etc/group"
	echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
	cat >"$2/config" <<-JSON
		{"User": "0", "Cmd": ["/usr/local/bin/etcd"], "WorkingDir": "/var/lib/etcd/",
		 "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
		 "ExposedPorts": {"2379/tcp": {}, "2380/tcp": {}}}
	JSON
}

# oci_archive REFERENCE ROOT CONFIG LAYOUT ARCHIVE
oci_archive() {
	local image=$1 root=$2 config=$3 layout=$4 archive=$5 layer digest
	local oci=application/vnd.oci.image
	mkdir -p "$layout/blobs/sha256"
	tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$layout/layer" .
	layer=$(add_blob "$layout" "$layout/layer" "$oci.layer.v1.tar")
	jq -n --slurpfile c "$config" --arg digest "$(jq -r .digest <<<"$layer")" --arg arch "$(go env GOARCH)" \
		'{architecture: $arch, os: "linux", config: $c[0], rootfs: {type: "layers", diff_ids: [$digest]}}' >"$layout/config"
	digest=$(add_blob "$layout" "$layout/config" "$oci.config.v1+json")
	jq -n --argjson layer "$layer" --argjson config "$digest" --arg type "$oci.manifest.v1+json" \
		'{schemaVersion: 2, mediaType: $type, config: $config, layers: [$layer]}' >"$layout/manifest"
	digest=$(add_blob "$layout" "$layout/manifest" "$oci.manifest.v1+json")
	jq -n --argjson manifest "$digest" --arg name "$image" \
		'{schemaVersion: 2, manifests: [$manifest + {annotations:
			{"io.containerd.image.name": $name, "org.opencontainers.image.ref.name": $name}}]}' >"$layout/index.json"
	echo '{"imageLayoutVersion": "1.0.0"}' >"$layout/oci-layout"
	tar -C "$layout" -cf "$archive" oci-layout index.json blobs
}

# add_blob LAYOUT FILE TYPE: moves FILE in under its digest, prints its descriptor
add_blob() {
	local sum size
	sum=$(sha256sum <"$2")
	sum=${sum%% *}
	size=$(stat -c %s "$2")
	mv "$2" "$1/blobs/sha256/$sum"
	printf '{"mediaType":"%s","digest":"sha256:%s","size":%s}\n' "$3" "$sum" "$size"
}

# The bed's images, unpacked once into a containerd store that every new node
# starts from.
store_seed() {
	local image target archives=()
	while read -r image target; do
		archives+=("$(image_archive "$target")")
	done < <(bed_images)
	echo "$CACHE/store/$(printf '%s\n' "${archives[@]##*/}" "$(containerd --version)" | sha256sum | cut -c1-12)"
}

build_store() {
	local seed work image target
	seed=$(store_seed)
	[[ -d $seed ]] && return
	say "unpacking the images into a containerd store"
	mkdir -p "$CACHE/store"
	kill_daemon containerd-seed # of a run that was killed here
	rm -rf "$CACHE/store/".making.*
	work=$CACHE/store/.making.$$
	mkdir -p "$work"
	containerd_config "$work/root" "$work/state" "$work/sock" "$work" >"$work/config.toml"
	launch seed containerd-seed containerd -c "$work/config.toml"
	wait_for 20 "containerd for the image store" timeout 2 ctr -a "$work/sock" version ||
		{ show_log containerd-seed; die "cannot unpack the images"; }
	while read -r image target; do
		ctr -a "$work/sock" -n k8s.io images import "$(image_archive "$target")" >/dev/null
	done < <(bed_images)
	stop_daemon containerd-seed
	mv "$work/root" "$seed"
	rm -rf "$work"
}

# Blobs and unpacked files are never written in place (containers write to
# upper layers), so the nodes share them as hard links; the databases are copied.
copy_store() {
	local from to=$1
	from=$(store_seed)
	rm -rf "$to" "$to.making"
	cp -al "$from" "$to.making" 2>/dev/null || { rm -rf "$to.making" && cp -a "$from" "$to.making"; }
	find "$from" -name '*.db' -printf '%P\n' | while read -r database; do
		cp --remove-destination "$from/$database" "$to.making/$database"
	done
	mv "$to.making" "$to"
}

# load_images ARCHIVE...: into every running node at once
load_images() {
	local archive node failed=0 started=() pid
	(($#)) || die "usage: load IMAGE-ARCHIVE..."
	for archive in "$@"; do
		[[ -r $archive ]] || die "cannot read $archive"
	done
	for node in $(node_names); do
		if ! node_runs "$node"; then
			say "$node is down: it gets the images by another 'load' once it is up"
			continue
		fi
		import_on "$node" "$@" &
		started+=($!)
	done
	((${#started[@]})) || die "no node is up"
	for pid in "${started[@]}"; do wait "$pid" || failed=1; done
	((failed == 0)) || die "not every node could import"
}

import_on() {
	local node=$1 archive
	shift
	for archive in "$@"; do
		node_ctr "$node" images import "$archive" >/dev/null || return 1
	done
}
