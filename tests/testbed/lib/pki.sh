# shellcheck shell=bash
# One CA, the API server's certificates, and a static token for every client.

make_pki() {
	mkdir -p "$PKI" "$CONF"
	chmod 700 "$PKI" "$CONF"
	[[ -f $PKI/ca.crt ]] || once "$PKI/ca.key" "$PKI/ca.crt" openssl req -x509 -newkey ec \
		-pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$PREFIX-testbed" -keyout KEY -out CERT
	certificate api kube-apiserver \
		"DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$CONTROL_PLANE_IP"
	certificate kubelet-client "kube-apiserver-kubelet-client/O=system:masters" "DNS:kube-apiserver"
	if [[ ! -f $PKI/service-accounts.pub ]]; then
		openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/service-accounts.key"
		openssl ec -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub.new" 2>/dev/null
		mv "$PKI/service-accounts.pub.new" "$PKI/service-accounts.pub"
	fi
	make_clients
}

# once KEY CERT COMMAND...: the certificate appears last, and whole: it is the
# sign that the pair is complete
once() {
	local key=$1 cert=$2 arguments
	shift 2
	arguments=("${@/#KEY/$key}")
	arguments=("${arguments[@]/#CERT/$cert.new}")
	"${arguments[@]}" 2>/dev/null
	mv "$cert.new" "$cert"
}

# certificate NAME CN[/O=...] ALTERNATIVE-NAMES
certificate() {
	[[ -f $PKI/$1.crt ]] && return
	once "$PKI/$1.key" "$PKI/$1.crt" openssl req -x509 -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -newkey ec \
		-pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$2" \
		-addext "subjectAltName=$3" -addext basicConstraints=critical,CA:FALSE -keyout KEY -out CERT
}

# Tokens for every node there can be, as the API server reads the file only once.
make_clients() {
	local n
	client admin admin system:masters
	client controller-manager system:kube-controller-manager
	client scheduler system:kube-scheduler
	client proxy system:kube-proxy
	client provisioner "$PREFIX-provisioner" system:masters
	for ((n = 1; n <= MAX_NODES; n++)); do client "node$n" "system:node:node$n" system:nodes; done
}

# client NAME USER [GROUP]: a token, and a kubeconfig that carries it
client() {
	local token
	if ! grep -q ",$1," "$PKI/tokens.csv" 2>/dev/null; then
		echo "$(openssl rand -hex 16),$2,$1,${3:-}" >>"$PKI/tokens.csv"
	fi
	token=$(sed -n "s/^\([^,]*\),[^,]*,$1,.*/\1/p" "$PKI/tokens.csv")
	kubeconfig "https://$CONTROL_PLANE_IP:$API_PORT" "$token" "$CONF/$1.kubeconfig"
}

kubeconfig() {
	(
		umask 077
		cat >"$3.new" <<-YAML
			apiVersion: v1
			kind: Config
			clusters: [{name: $PREFIX, cluster: {server: "$1", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
			users: [{name: $PREFIX, user: {token: $2}}]
			contexts: [{name: $PREFIX, context: {cluster: $PREFIX, user: $PREFIX}}]
			current-context: $PREFIX
		YAML
		mv "$3.new" "$3"
	)
}

# The ordinary shell's kubeconfig: the same administrator, through the loopback port.
shell_kubeconfig() {
	local token
	token=$(sed -n 's/^\([^,]*\),[^,]*,admin,.*/\1/p' "$PKI/tokens.csv")
	kubeconfig "https://127.0.0.1:$(cat "$STATE/port")" "$token" "$STATE/kubeconfig"
}
