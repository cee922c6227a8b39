//! The agent's end of the socket, with launchers and hooks that only speak the protocol.

use std::io::Write;

use tokio::io::AsyncWriteExt;

use super::*;

/// A launcher, as far as the server can tell.
struct FakeLauncher {
    lines: Lines,
    to: OwnedWriteHalf,
}

impl FakeLauncher {
    async fn hello(path: &Path, id: u64, state: Activity) -> Self {
        let mut launcher = Self::connect(path).await;
        launcher
            .say(ToAgent::Hello {
                launch_id: LaunchId(id),
                lock: Lock::Held,
                state,
            })
            .await;
        launcher
    }

    async fn connect(path: &Path) -> Self {
        let (from, to) = UnixStream::connect(path).await.unwrap().into_split();
        Self {
            lines: Lines::new(from),
            to,
        }
    }

    async fn say(&mut self, message: ToAgent) {
        protocol::send(&mut self.to, &message).await.unwrap();
    }

    async fn hear(&mut self) -> Option<FromAgent> {
        tokio::time::timeout(Duration::from_secs(10), self.lines.next())
            .await
            .expect("nothing is said")
    }
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    (dir, path)
}

async fn state(server: &AgentSocket, wanted: impl FnMut(&LauncherState) -> bool) -> LauncherState {
    let mut watch = server.launcher.watch();
    let waited = tokio::time::timeout(Duration::from_secs(10), watch.wait_for(wanted));
    waited.await.expect("the state never came").unwrap().clone()
}

fn exit(plan: u64) -> Exit {
    Exit {
        plan,
        code: Some(1),
        signal: None,
        first_line: Some("no".to_owned()),
        stderr: vec!["no".to_owned()],
        had_wal: false,
    }
}

#[tokio::test]
async fn before_any_launcher_spoke_nothing_is_known_and_nothing_can_be_sent() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    assert_eq!(server.launcher.state().phase, LauncherPhase::Unknown);
    assert_eq!(server.launcher.send_start(1, vec![], "d".into()), Err(NotConnected));
    assert_eq!(server.launcher.state().phase, LauncherPhase::Unknown);
}

#[tokio::test]
async fn a_start_is_followed_to_its_end() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut launcher = FakeLauncher::hello(&path, 5, Activity::Idle).await;
    let said = state(&server, |state| state.connected).await;
    assert_eq!((said.launch_id, said.phase), (Some(LaunchId(5)), LauncherPhase::Idle));

    launcher.say(ToAgent::AskPlan { lock: Lock::Held }).await;
    state(&server, |state| state.phase == LauncherPhase::AwaitingPlan).await;
    server
        .launcher
        .send_start(8, vec!["--name=a".to_owned()], "d".into())
        .unwrap();
    assert_eq!(server.launcher.state().phase, LauncherPhase::Starting { plan: 8 });
    let start = FromAgent::Start {
        plan: 8,
        args: vec!["--name=a".to_owned()],
        data_dir: "d".into(),
    };
    assert_eq!(launcher.hear().await, Some(start));

    launcher.say(ToAgent::Started { pid: 77, plan: 8 }).await;
    state(&server, |state| {
        state.phase == LauncherPhase::Running { pid: 77, plan: 8 }
    })
    .await;
    server.launcher.send_stop().unwrap();
    assert_eq!(launcher.hear().await, Some(FromAgent::Stop));

    launcher.say(ToAgent::Exited(exit(8))).await;
    assert_eq!(launcher.hear().await, Some(FromAgent::Noted { plan: 8 }));
    let ended = server.launcher.state();
    assert_eq!(
        (ended.phase, ended.last_exit, ended.exits),
        (LauncherPhase::Idle, Some(exit(8)), 1)
    );
}

#[tokio::test]
async fn without_the_lock_no_plan_is_awaited() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut launcher = FakeLauncher::hello(&path, 5, Activity::Idle).await;
    launcher.say(ToAgent::AskPlan { lock: Lock::Taken }).await;
    let asked = state(&server, |state| state.lock == Some(Lock::Taken)).await;
    assert_eq!(asked.phase, LauncherPhase::Idle);
    launcher.say(ToAgent::AskPlan { lock: Lock::Held }).await;
    let asked = state(&server, |state| state.lock == Some(Lock::Held)).await;
    assert_eq!(asked.phase, LauncherPhase::AwaitingPlan);
}

#[tokio::test]
async fn a_lost_launcher_is_remembered_and_the_same_one_recognised() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let running = Activity::Running { pid: 3, plan: 2 };
    let mut launcher = FakeLauncher::hello(&path, 5, running).await;
    launcher.say(ToAgent::Exited(exit(1))).await;
    launcher.hear().await;
    drop(launcher);
    let lost = state(&server, |state| !state.connected && state.launch_id.is_some()).await;
    assert_eq!(lost.last_exit, Some(exit(1)));
    assert_eq!(server.launcher.send_stop(), Err(NotConnected));

    let _again = FakeLauncher::hello(&path, 5, running).await;
    let back = state(&server, |state| state.connected).await;
    assert_eq!(back.launch_id, lost.launch_id);
    assert_eq!(back.phase, LauncherPhase::Running { pid: 3, plan: 2 });
    assert_eq!(back.last_exit, Some(exit(1)));
}

#[tokio::test]
async fn a_new_launcher_takes_the_place_of_one_that_lingers() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut old = FakeLauncher::hello(&path, 5, Activity::Running { pid: 3, plan: 2 }).await;
    state(&server, |state| state.connected).await;
    let mut new = FakeLauncher::hello(&path, 6, Activity::Idle).await;
    state(&server, |state| state.launch_id == Some(LaunchId(6))).await;

    // What the old one says does not count any more, and its end is not the new one's.
    old.say(ToAgent::Started { pid: 4, plan: 4 }).await;
    assert_eq!(old.hear().await, None);
    server.launcher.send_stop().unwrap();
    assert_eq!(new.hear().await, Some(FromAgent::Stop));
    let now = server.launcher.state();
    assert!(now.connected);
    assert_eq!(now.phase, LauncherPhase::Idle);
}

#[tokio::test]
async fn a_dead_agents_socket_is_replaced_and_strangers_are_kept_out() {
    let (_dir, path) = socket();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _server = listen(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(UnixStream::connect(&path).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_removed() {
    let (_dir, path) = socket();
    fs::File::create(&path).unwrap().write_all(b"precious").unwrap();
    assert!(listen(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn nonsense_is_skipped_and_what_follows_is_heard() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut launcher = FakeLauncher::connect(&path).await;
    launcher
        .to
        .write_all(b"\n{\n{\"type\":\"fromTheFuture\"}\n")
        .await
        .unwrap();
    let hello = ToAgent::Hello {
        launch_id: LaunchId(1),
        lock: Lock::Held,
        state: Activity::Idle,
    };
    launcher.say(hello).await;
    state(&server, |state| state.connected).await;
}

#[tokio::test]
async fn a_message_with_an_unknown_key_is_heard() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut launcher = FakeLauncher::connect(&path).await;
    let lines = [
        r#"{"type":"hello","launchId":"0000000000000001","lock":"held","state":"idle","mood":"good"}"#,
        r#"{"type":"started","pid":3,"plan":2,"cgroup":{"path":"/"}}"#,
    ];
    launcher
        .to
        .write_all((lines.join("\n") + "\n").as_bytes())
        .await
        .unwrap();
    let running = LauncherPhase::Running { pid: 3, plan: 2 };
    state(&server, |state| state.phase == running).await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_connections() {
    let (_dir, path) = socket();
    let server = listen(&path).unwrap();
    let mut launcher = FakeLauncher::hello(&path, 5, Activity::Idle).await;
    state(&server, |state| state.connected).await;
    drop(server);
    assert_eq!(launcher.hear().await, None);
}

#[tokio::test]
async fn a_hook_hears_how_it_goes_and_its_end_is_noticed() {
    let (_dir, path) = socket();
    let mut server = listen(&path).unwrap();
    let mut hook = FakeLauncher::connect(&path).await;
    hook.say(ToAgent::Leave {}).await;
    let request = server.leaves.recv().await.unwrap();
    assert!(matches!(hook.hear().await, Some(FromAgent::LeaveProgress { .. })));
    request.progress("waiting for a leader");
    let progress = FromAgent::LeaveProgress {
        why: "waiting for a leader".to_owned(),
    };
    assert_eq!(hook.hear().await, Some(progress));
    assert!(!request.is_gone());
    request.done(true, "left");
    let done = FromAgent::LeaveDone {
        left: true,
        why: "left".to_owned(),
    };
    assert_eq!(hook.hear().await, Some(done));
    assert_eq!(hook.hear().await, None);

    let mut hook = FakeLauncher::connect(&path).await;
    hook.say(ToAgent::Leave {}).await;
    let request = server.leaves.recv().await.unwrap();
    drop(hook);
    request.gone().await;
    assert!(request.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_hook_hears_signs_of_life() {
    let (_dir, path) = socket();
    let mut server = listen(&path).unwrap();
    let mut hook = FakeLauncher::connect(&path).await;
    hook.say(ToAgent::Leave {}).await;
    let request = server.leaves.recv().await.unwrap();
    request.progress("waiting");
    let mut heard = 0;
    let waiting = FromAgent::LeaveProgress {
        why: "waiting".to_owned(),
    };
    while heard < 3 {
        heard += u32::from(hook.hear().await == Some(waiting.clone()));
    }
}
