//! The launcher with a shell in the place of etcd: starts, ends, signals, the lock, the agent that comes and goes.

use std::ffi::OsString;
use std::path::Path;

use tokio::task::JoinHandle;

use super::*;
use crate::socket::server::{AgentSocket, LauncherPhase, LauncherState, listen};

/// A pod's directories, a launcher in it, and `sh` in the place of etcd.
struct Pod {
    dir: tempfile::TempDir,
    signals: mpsc::UnboundedSender<SignalKind>,
    launcher: JoinHandle<io::Result<u8>>,
}

/// Commands that make a data directory one with a log.
const MAKE_WAL: &str = "mkdir -p $0/member/wal && : > $0/member/wal/0-0.wal";

impl Pod {
    fn new() -> Self {
        Self::with_etcd("sh")
    }

    fn with_etcd(etcd: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::launch(dir, etcd)
    }

    fn launch(dir: tempfile::TempDir, etcd: &str) -> Self {
        let config = LaunchConfig {
            socket: dir.path().join("agent.sock"),
            root: dir.path().to_owned(),
            etcd: etcd.into(),
        };
        let (signals, received) = mpsc::unbounded_channel();
        let launcher = tokio::spawn(run(config, LaunchId(1), received));
        Self { dir, signals, launcher }
    }

    fn agent(&self) -> AgentSocket {
        listen(&self.dir.path().join("agent.sock")).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Has a script run; it finds the data directory in `$0`.
    async fn start(&self, agent: &AgentSocket, plan: u64, script: &str) {
        wait(agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
        let data = self.data();
        let args = vec!["-c".to_owned(), script.to_owned(), data.to_str().unwrap().to_owned()];
        agent.launcher.send_start(plan, args, data).unwrap();
    }

    /// A script that does what `on_term` says when it is told to end; it is ready on return.
    async fn start_patient(&self, agent: &AgentSocket, on_term: &str) -> LauncherPhase {
        let script = format!("trap '{on_term}' TERM; {MAKE_WAL}; while :; do sleep 0.02; done");
        self.start(agent, 1, &script).await;
        let running = wait(agent, |state| matches!(state.phase, LauncherPhase::Running { .. })).await;
        while !wal::has_wal(&self.data()).unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.phase
    }

    /// A script that has a log and runs until [`Pod::end_with`].
    async fn start_until_told(&self, agent: &AgentSocket, plan: u64) {
        _ = std::fs::remove_dir_all(self.data());
        let script = format!("{MAKE_WAL}; while [ ! -e $0/go ]; do sleep 0.02; done; exit $(cat $0/go)");
        self.start(agent, plan, &script).await;
        wait(
            agent,
            |state| matches!(state.phase, LauncherPhase::Running { plan: p, .. } if p == plan),
        )
        .await;
        while !wal::has_wal(&self.data()).unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has that script end with this status.
    fn end_with(&self, status: &str) {
        let new = self.data().with_file_name("go");
        std::fs::write(&new, status).unwrap();
        std::fs::rename(new, self.data().join("go")).unwrap();
    }

    async fn status(self) -> u8 {
        within("the launcher does not end", self.launcher)
            .await
            .unwrap()
            .unwrap()
    }
}

async fn wait(agent: &AgentSocket, wanted: impl FnMut(&LauncherState) -> bool) -> LauncherState {
    let mut watch = agent.launcher.watch();
    within("the state does not come", watch.wait_for(wanted))
        .await
        .unwrap()
        .clone()
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect(what)
}

#[tokio::test]
async fn until_there_is_a_log_a_failed_start_asks_for_another_plan() {
    let pod = Pod::new();
    let agent = pod.agent();
    for plan in 1..=3 {
        pod.start(
            &agent,
            plan,
            "echo starting >&2; echo member count is unequal >&2; exit 4",
        )
        .await;
        let state = wait(&agent, |state| state.exits == plan).await;
        let stderr = vec!["starting".to_owned(), "member count is unequal".to_owned()];
        let exit = Exit {
            plan,
            code: Some(4),
            signal: None,
            first_line: Some("starting".to_owned()),
            stderr,
            had_wal: false,
        };
        assert_eq!(state.last_exit, Some(exit));
        assert_eq!(state.launch_id, Some(LaunchId(1)));
    }
    assert!(!pod.launcher.is_finished());
}

#[tokio::test]
async fn once_there_is_a_log_the_container_ends_with_etcds_status() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start(&agent, 5, &format!("{MAKE_WAL}; echo panic >&2; exit 7"))
        .await;
    assert_eq!(pod.status().await, 7);
    // The agent knew before the launcher ended.
    let exit = agent.launcher.state().last_exit.unwrap();
    assert_eq!((exit.plan, exit.code, exit.had_wal), (5, Some(7), true));
    assert_eq!(exit.stderr, ["panic"]);
}

#[tokio::test]
async fn an_etcd_that_a_signal_ends_is_reported_as_a_shell_would() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start(&agent, 1, &format!("{MAKE_WAL}; kill -9 $$")).await;
    assert_eq!(pod.status().await, 128 + 9);
    let exit = agent.launcher.state().last_exit.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
}

#[tokio::test]
async fn an_etcd_that_cannot_be_run_is_reported_with_the_reason() {
    let pod = Pod::with_etcd("./no-such-etcd");
    let agent = pod.agent();
    pod.start(&agent, 1, "").await;
    let exit = wait(&agent, |state| state.exits == 1).await.last_exit.unwrap();
    assert_eq!((exit.code, exit.signal), (None, None));
    assert!(
        exit.stderr[0].contains("cannot run ./no-such-etcd: No such file"),
        "{exit:?}"
    );
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
}

#[tokio::test]
async fn signals_are_passed_on_and_etcds_answer_is_the_containers() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "exit 3").await;
    pod.signals.send(SignalKind::terminate()).unwrap();
    assert_eq!(pod.status().await, 3);
}

/// etcd stops cleanly, and then sends itself the signal that it caught.
#[tokio::test]
async fn an_etcd_that_ends_as_it_was_told_is_no_failure() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "trap - TERM; kill -TERM $$").await;
    pod.signals.send(SignalKind::terminate()).unwrap();
    assert_eq!(pod.status().await, 0);
    assert_eq!(agent.launcher.state().last_exit.unwrap().signal, Some(15));
}

#[tokio::test]
async fn an_etcd_that_is_killed_while_it_ends_is_a_failure() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "kill -KILL $$").await;
    pod.signals.send(SignalKind::terminate()).unwrap();
    assert_eq!(pod.status().await, 128 + 9);
}

#[tokio::test]
async fn an_etcd_without_a_log_that_was_told_to_end_is_not_started_again() {
    let pod = Pod::new();
    let agent = pod.agent();
    let ready = pod.data().with_file_name("ready");
    let script = "trap 'exit 3' TERM; : > $0/../ready; while :; do sleep 0.02; done";
    std::fs::create_dir(pod.data()).unwrap();
    pod.start(&agent, 1, script).await;
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pod.signals.send(SignalKind::terminate()).unwrap();
    assert_eq!(pod.status().await, 3);
}

#[tokio::test]
async fn while_it_waits_a_signal_ends_it_at_once() {
    for with_agent in [false, true] {
        let pod = Pod::new();
        let agent = with_agent.then(|| pod.agent());
        if let Some(agent) = &agent {
            wait(agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
        }
        pod.signals.send(SignalKind::terminate()).unwrap();
        assert_eq!(pod.status().await, 0);
    }
}

#[tokio::test]
async fn what_is_no_request_to_end_does_not_end_it() {
    let pod = Pod::new();
    pod.signals.send(SignalKind::hangup()).unwrap();
    let agent = pod.agent();
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
}

#[tokio::test]
async fn on_the_agents_order_etcd_ends_and_that_is_no_failure() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "exit 3").await;
    agent.launcher.send_stop().unwrap();
    assert_eq!(pod.status().await, 0);
    assert_eq!(agent.launcher.state().last_exit.unwrap().code, Some(3));
}

#[tokio::test]
async fn an_etcd_that_ends_because_its_member_left_does_not_end_the_container() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_until_told(&agent, 1).await;
    agent.launcher.send_leaving().unwrap();
    pod.end_with("0");
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
    assert_eq!(agent.launcher.state().last_exit.unwrap().code, Some(0));

    // That held for this etcd only.
    pod.start_until_told(&agent, 2).await;
    pod.end_with("0");
    assert_eq!(pod.status().await, 0);
}

#[tokio::test]
async fn an_etcd_that_fails_while_its_member_leaves_ends_the_container() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_until_told(&agent, 1).await;
    agent.launcher.send_leaving().unwrap();
    pod.end_with("7");
    assert_eq!(pod.status().await, 7);
}

#[tokio::test]
async fn an_etcd_that_ignores_the_order_is_killed() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "").await;
    tokio::time::pause();
    let ordered = Instant::now();
    agent.launcher.send_stop().unwrap();
    // In a clock that jumps to what is due next.
    assert_eq!(pod.launcher.await.unwrap().unwrap(), 0);
    assert!(ordered.elapsed() >= STOP_PATIENCE);
}

#[tokio::test]
async fn an_etcd_that_does_not_end_at_a_signal_is_killed() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "").await;
    tokio::time::pause();
    let asked = Instant::now();
    pod.signals.send(SignalKind::terminate()).unwrap();
    assert_eq!(pod.launcher.await.unwrap().unwrap(), 137);
    assert!(asked.elapsed() >= STOP_PATIENCE);
}

#[tokio::test]
async fn an_order_to_stop_ends_a_launcher_that_runs_nothing() {
    let pod = Pod::new();
    let agent = pod.agent();
    wait(&agent, |state| state.connected).await;
    agent.launcher.send_stop().unwrap();
    assert_eq!(pod.status().await, 0);
}

#[tokio::test]
async fn nothing_runs_until_the_other_process_leaves_the_volume() {
    let dir = tempfile::tempdir().unwrap();
    let other = VolumeLock::try_acquire(dir.path()).unwrap().unwrap();
    let pod = Pod::launch(dir, "sh");
    let agent = pod.agent();
    let state = wait(&agent, |state| state.connected).await;
    assert_eq!((state.lock, state.phase), (Some(Lock::Taken), LauncherPhase::Idle));
    let started = pod.data().with_file_name("started");
    let args = vec!["-c".to_owned(), format!(": > {}", started.display())];
    agent.launcher.send_start(1, args, pod.data()).unwrap();
    drop(other);
    wait(&agent, |state| state.lock == Some(Lock::Held)).await;
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
    assert!(!started.exists());
    assert_eq!(agent.launcher.state().exits, 0);
}

#[tokio::test]
async fn a_volume_that_cannot_be_locked_is_said_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lock")).unwrap();
    let pod = Pod::launch(dir, "sh");
    let agent = pod.agent();
    let state = wait(&agent, |state| state.connected).await;
    let Some(Lock::Failed { why }) = state.lock else {
        panic!("{state:?}")
    };
    assert!(why.contains("lock") && why.contains("directory"), "{why}");
    std::fs::remove_dir(pod.dir.path().join("lock")).unwrap();
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
}

#[tokio::test]
async fn etcd_outlives_the_agent_and_the_next_one_hears_of_it() {
    let pod = Pod::new();
    let agent = pod.agent();
    let running = pod.start_patient(&agent, "exit 3").await;
    drop(agent);
    let agent = pod.agent();
    let state = wait(&agent, |state| state.connected).await;
    assert_eq!(state.phase, running);
    assert_eq!(state.launch_id, Some(LaunchId(1)));
    agent.launcher.send_stop().unwrap();
    assert_eq!(pod.status().await, 0);
}

#[tokio::test]
async fn an_exit_that_no_agent_heard_of_is_reported_to_the_next_one() {
    let pod = Pod::new();
    let agent = pod.agent();
    std::fs::create_dir(pod.data()).unwrap();
    let script = "while [ ! -e $0/go ]; do sleep 0.02; done; echo unheard >&2; exit 4";
    pod.start(&agent, 1, script).await;
    let state = wait(&agent, |state| matches!(state.phase, LauncherPhase::Running { .. })).await;
    let LauncherPhase::Running { pid, .. } = state.phase else {
        unreachable!()
    };
    drop(agent);
    std::fs::write(pod.data().join("go"), "").unwrap();
    // The launcher knows that etcd has ended once it has collected it.
    while Path::new("/proc").join(pid.to_string()).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let agent = pod.agent();
    let state = wait(&agent, |state| state.exits == 1).await;
    assert_eq!(state.last_exit.unwrap().stderr, ["unheard"]);
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
}

#[tokio::test]
async fn a_missing_agent_does_not_keep_a_dead_etcds_container_alive() {
    let pod = Pod::new();
    let agent = pod.agent();
    pod.start_patient(&agent, "exit 3").await;
    drop(agent);
    pod.signals.send(SignalKind::terminate()).unwrap();
    let ended = Instant::now();
    assert_eq!(pod.status().await, 3);
    assert!(ended.elapsed() < REPORT_PATIENCE * 5, "{:?}", ended.elapsed());
}

const SOCKET_FOR_PROCESS: &str = "MUSTER_TEST_DIR";

/// Not a test: what [`a_real_process_passes_on_a_real_signal`] runs.
#[test]
#[ignore = "runs in a process of its own, for another test"]
fn as_a_process() {
    let Some(dir) = std::env::var_os(SOCKET_FOR_PROCESS) else {
        return;
    };
    let dir = Path::new(&dir);
    let config = LaunchConfig {
        socket: dir.join("agent.sock"),
        root: dir.to_owned(),
        etcd: "sh".into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let status = runtime.block_on(launch(config)).unwrap();
    std::process::exit(status.into());
}

#[tokio::test]
async fn a_real_process_passes_on_a_real_signal_and_no_settings_for_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let agent = listen(&dir.path().join("agent.sock")).unwrap();
    let launcher = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "launcher::launch::tests::as_a_process"])
        .env(SOCKET_FOR_PROCESS, dir.path())
        .env("ETCD_NAME", "somebody")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    wait(&agent, |state| state.phase == LauncherPhase::AwaitingPlan).await;
    let seen = dir.path().join("seen");
    let script = format!(
        "trap 'exit 3' TERM; env > $0/../env; mv $0/../env {}; while :; do sleep 0.02; done",
        seen.display()
    );
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let args = vec!["-c".to_owned(), script, data.to_str().unwrap().to_owned()];
    agent.launcher.send_start(1, args, data).unwrap();
    while !seen.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let environment = std::fs::read_to_string(seen).unwrap();
    assert!(environment.contains(SOCKET_FOR_PROCESS), "{environment}");
    assert!(!environment.contains("ETCD_NAME"), "{environment}");

    let pid = Pid::from_raw(i32::try_from(launcher.id().unwrap()).unwrap()).unwrap();
    child::kill(pid, SignalKind::terminate().as_raw_value());
    let mut launcher = launcher;
    let status = within("the process does not end", launcher.wait()).await.unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn the_environment_names_another_etcd() {
    // The name is an interface: the tests with real etcd processes use it.
    assert_eq!(OsString::from(ETCD_BINARY), "MUSTER_ETCD_BINARY");
    assert_eq!(LaunchConfig::from_env().root, Path::new("/var/lib/etcd"));
}
