use std::cell::{Cell, RefCell};

use super::*;
use crate::socket::server::listen;

fn config(socket: PathBuf) -> LeaveConfig {
    LeaveConfig {
        socket,
        deadline: Duration::from_secs(20),
        agent_wait: Duration::from_millis(500),
        silence: Duration::from_secs(10),
        patience: Duration::from_secs(60),
    }
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    (dir, path)
}

async fn unneeded() {
    panic!("the agent is there");
}

#[tokio::test]
async fn the_agent_is_asked_and_each_reason_said_once() {
    let (_dir, path) = socket();
    let mut server = listen(&path).unwrap();
    let agent = async {
        let request = server.leaves.recv().await.unwrap();
        for why in ["one", "one", "two"] {
            request.progress(why);
        }
        request.done(true, "member 1 has left");
    };
    let said = RefCell::new(Vec::new());
    let hook = leave(config(path), |why| said.borrow_mut().push(why.to_owned()), unneeded);
    let ((), end) = tokio::join!(agent, hook);
    assert_eq!(
        end,
        LeaveEnd::Done {
            left: true,
            why: "member 1 has left".to_owned()
        }
    );
    assert_eq!(said.into_inner(), ["the agent has been asked", "one", "two"]);
}

#[tokio::test]
async fn an_agent_that_dies_and_comes_back_is_asked_again() {
    let (_dir, path) = socket();
    let mut server = listen(&path).unwrap();
    let agent = async {
        let first = server.leaves.recv().await.unwrap();
        drop(server);
        drop(first);
        let mut server = listen(&path).unwrap();
        let second = server.leaves.recv().await.unwrap();
        second.done(false, "a restart");
        std::future::pending::<()>().await;
        drop(server);
    };
    let hook = leave(config(path.clone()), |_| {}, unneeded);
    let end = tokio::select! {
        end = hook => end,
        () = agent => unreachable!(),
    };
    assert_eq!(
        end,
        LeaveEnd::Done {
            left: false,
            why: "a restart".to_owned()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_agent_the_hook_does_it_itself() {
    let (_dir, path) = socket();
    let began = Instant::now();
    let done = Cell::new(false);
    let end = leave(config(path), |_| {}, || async { done.set(true) }).await;
    assert_eq!(end, LeaveEnd::WithoutAgent);
    assert!(done.get());
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn etcd_serves_on_for_a_while_without_an_agent() {
    let (_dir, path) = socket();
    let began = Instant::now();
    let config = LeaveConfig {
        patience: Duration::from_secs(15),
        ..config(path)
    };
    let end = leave(config, |_| {}, std::future::pending).await;
    assert_eq!(end, LeaveEnd::WithoutAgent);
    assert!((15..17).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_agent_that_comes_back_late_decides() {
    let (_dir, path) = socket();
    let alone = std::sync::Arc::new(tokio::sync::Notify::new());
    let (told, late) = (alone.clone(), path.clone());
    let agent = async move {
        alone.notified().await;
        let mut server = listen(&late).unwrap();
        server.leaves.recv().await.unwrap().done(true, "it has left");
        std::future::pending::<()>().await;
        drop(server);
    };
    let without = || async move {
        told.notify_one();
        std::future::pending().await
    };
    let end = tokio::select! {
        end = leave(config(path), |_| {}, without) => end,
        () = agent => unreachable!(),
    };
    let why = "it has left".to_owned();
    assert_eq!(end, LeaveEnd::Done { left: true, why });
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_is_not_waited_for_to_the_end() {
    let (_dir, path) = socket();
    let _hung = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let began = Instant::now();
    let end = leave(config(path), |_| {}, || async {}).await;
    assert_eq!(end, LeaveEnd::WithoutAgent);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_even_while_the_agent_talks() {
    let (_dir, path) = socket();
    let mut server = listen(&path).unwrap();
    let began = Instant::now();
    let hook = leave(config(path), |_| {}, unneeded);
    let agent = async {
        let request = server.leaves.recv().await.unwrap();
        request.gone().await;
    };
    let (end, ()) = tokio::join!(hook, agent);
    assert_eq!(end, LeaveEnd::Deadline);
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_off_what_is_done_without_the_agent() {
    let (_dir, path) = socket();
    let began = Instant::now();
    let end = leave(config(path), |_| {}, std::future::pending).await;
    assert_eq!(end, LeaveEnd::Deadline);
    assert_eq!(began.elapsed().as_secs(), 20);
}
