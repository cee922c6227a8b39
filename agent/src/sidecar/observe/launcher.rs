//! The launcher: the state of etcd's container, and the end of the last etcd.

use muster_membership::{Launcher, Reading};

use crate::etcd::corruption::tells_of_corruption;
use crate::sidecar::agent::Agent;
use crate::socket::protocol::{Exit, Lock};
use crate::socket::server::LauncherPhase;
use crate::volume::LastGood;

impl Agent {
    /// Notes the launcher's state, and whether etcd's container ends: a hook has asked in this run of the launcher. With
    /// the end of etcd, what was read from it is forgotten.
    pub(super) fn look_at_launcher(&mut self) {
        let state = self.launcher.state();
        let before = self.observed.launcher;
        self.observed.launcher = match (state.connected, state.phase) {
            (false, _) | (true, LauncherPhase::Unknown) => Launcher::Absent,
            (true, LauncherPhase::Idle) if matches!(state.lock, Some(Lock::Taken | Lock::Failed { .. })) => {
                Launcher::Blocked
            }
            (true, LauncherPhase::Idle) => Launcher::Absent,
            (true, LauncherPhase::AwaitingPlan) => Launcher::AwaitingPlan {
                corrupt: state.last_exit.as_ref().is_some_and(|exit| self.says_corrupt(exit)),
            },
            (true, LauncherPhase::Starting { .. } | LauncherPhase::Running { .. }) => Launcher::Running,
        };
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
