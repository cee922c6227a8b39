//! The launcher: the state of etcd's container, and the end of the last etcd.

use muster_membership::{Launcher, Reading};

use crate::etcd::corruption::tells_of_corruption;
use crate::one_line::one_line;
use crate::sidecar::agent::Agent;
use crate::socket::protocol::{Exit, Lock};
use crate::socket::server::{LauncherPhase, LauncherState};
use crate::volume::LastGood;

impl Agent {
    /// Notes the launcher's state, and whether etcd's container ends: a hook has asked in this run of the launcher. With
    /// the end of etcd, what was read from it is forgotten.
    pub(super) fn look_at_launcher(&mut self) {
        let state = self.launcher.state();
        let next = launcher(&state, |exit| self.says_corrupt(exit));
        let before = std::mem::replace(&mut self.observed.launcher, next);
        self.count_failed_start(&state);
        if before == Launcher::Running && self.observed.launcher != Launcher::Running {
            // What was read from the etcd that ended says nothing about the one to come.
            self.observed.local = Reading::default();
            self.observed.local_list = None;
            self.confirmed = None;
            self.observed.leaderless_since = None;
            self.requests.forget_status(&self.local_url());
            self.forget_list();
        }
        let run = state.launch_id;
        if self.observed.hook_waits {
            self.asked_in = run;
        }
        self.observed.container_ends = self.observed.hook_waits || (run.is_some() && self.asked_in == run);
    }

    /// True if etcd could not open data that it opened before, with the same image and settings.
    fn says_corrupt(&self, exit: &Exit) -> bool {
        let known = exit.stderr.iter().any(|line| tells_of_corruption(line));
        let good = self.volume.as_ref().and_then(|v| v.identity().last_good.clone());
        let full = exit.stderr.iter().any(|line| line.contains("no space left on device"));
        known && !full && exit.signal.is_none() && good == Some(self.settings())
    }

    /// The image and the further options that etcd is started with.
    pub(crate) fn settings(&self) -> LastGood {
        LastGood {
            image: self.config.etcd_image.clone(),
            options: self.config.options().unwrap_or_default(),
        }
    }
}

/// The launcher as the core sees it; `corrupt` judges the end of an etcd.
fn launcher(state: &LauncherState, corrupt: impl Fn(&Exit) -> bool) -> Launcher {
    match (state.connected, &state.phase, &state.lock) {
        (false, ..) | (true, LauncherPhase::Unknown, _) => Launcher::Absent,
        (true, LauncherPhase::Idle, Some(Lock::Taken)) => Launcher::Blocked,
        (true, LauncherPhase::Idle, Some(Lock::Failed { why })) => Launcher::LockFails { why: one_line(why) },
        (true, LauncherPhase::Idle, Some(Lock::Held) | None) => Launcher::Absent,
        (true, LauncherPhase::AwaitingPlan, _) => Launcher::AwaitingPlan {
            corrupt: state.last_exit.as_ref().is_some_and(corrupt),
        },
        (true, LauncherPhase::Starting { .. } | LauncherPhase::Running { .. }, _) => Launcher::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_fails_is_not_a_lock_that_another_pod_has() {
        let idle = |lock| LauncherState {
            connected: true,
            phase: LauncherPhase::Idle,
            lock,
            ..LauncherState::default()
        };
        let failed = Lock::Failed {
            why: "cannot open /var/lib/etcd/lock:\nRead-only file system".into(),
        };
        let why = "cannot open /var/lib/etcd/lock: Read-only file system".to_owned();
        for (lock, expected) in [
            (None, Launcher::Absent),
            (Some(Lock::Held), Launcher::Absent),
            (Some(Lock::Taken), Launcher::Blocked),
            (Some(failed), Launcher::LockFails { why }),
        ] {
            assert_eq!(launcher(&idle(lock), |_| false), expected);
        }
    }
}
