# shellcheck shell=bash
# Daemons: started in their cgroup and namespaces, known by recorded pid.

# launch CGROUP NAME COMMAND...: starts a daemon in the machine's own namespaces
launch() {
	local cgroup=$1 name=$2
	shift 2
	cgroup_make "$cgroup"
	mkdir -p "$RUN" "$LOGS"
	rm -f "$RUN/$name.pid"
	# The child records itself before it becomes the daemon, and lets go of the
	# lock only then: a run that is killed here leaves no unknown daemon.
	(
		cgroup_join "$cgroup"
		record_pid "$name"
		cd /
		exec 8>&- 9>&-
		exec env -u http_proxy -u https_proxy -u no_proxy -u all_proxy \
			-u HTTP_PROXY -u HTTPS_PROXY -u NO_PROXY -u ALL_PROXY setsid "$@"
	) >>"$LOGS/$name.log" 2>&1 </dev/null &
	wait_for 10 "$name to start" test -s "$RUN/$name.pid"
}

# log_file NAME: where the log of a program, or the API server's audit log, is
log_file() {
	local file=$LOGS/$1.log
	[[ $1 != audit ]] || file=$AUDIT_LOG
	[[ -f $file ]] || die "there is no log of $1; the names are audit and: $(cd "$LOGS" && echo *.log | sed 's/\.log//g')"
	echo "$file"
}

# Pids are used again; a pid together with its start time is not.
record_pid() {
	local pid=$BASHPID # in $(...) it would be another
	echo "$pid $(start_time "$pid")" >"$RUN/$1.pid"
}

start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The name in field 2 may hold blanks: count from behind it.
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	echo "${20}"
}

# pid_of NAME: prints the daemon's pid if it runs
pid_of() {
	local pid started
	read -r pid started 2>/dev/null <"$RUN/$1.pid" || return 1
	[[ $(start_time "$pid") == "$started" ]] && grep -q "/$PREFIX/" "/proc/$pid/cgroup" 2>/dev/null || return 1
	echo "$pid"
}

runs() { pid_of "$1" >/dev/null; }

# ensure NAME LAUNCH-COMMAND...: starts what does not run
ensure() {
	local name=$1
	shift
	runs "$name" || "$@"
}

# stop_daemon NAME: asks, and after 5 s insists
stop_daemon() {
	local pid
	if pid=$(pid_of "$1"); then
		kill -TERM "$pid" 2>/dev/null || true
		wait_for 5 "$1 to stop" not_running "$1" || kill_daemon "$1"
	fi
	rm -f "$RUN/$1.pid"
}

kill_daemon() {
	local pid
	if pid=$(pid_of "$1"); then
		kill -KILL "$pid" 2>/dev/null || true
		wait_for 5 "$1 to die" not_running "$1" || true
	fi
	rm -f "$RUN/$1.pid"
}

not_running() { ! runs "$1"; }
