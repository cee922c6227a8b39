//! What a scenario is.

use std::time::Duration;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::ctx::Ctx;

/// A scenario: something a user does, or that happens to them, and what must
/// be so afterwards.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) about: &'static str,
    /// Whether it disturbs others: nodes, the API server, the operator.
    pub(crate) alone: bool,
    /// Whether it is also run with the newest etcd versions.
    pub(crate) every_version: bool,
    /// How long all of it may take.
    pub(crate) limit: Duration,
    /// What it does.
    pub(crate) run: for<'a> fn(&'a Ctx) -> LocalBoxFuture<'a, Result<()>>,
}

impl Scenario {
    /// A scenario with the usual settings.
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        run: for<'a> fn(&'a Ctx) -> LocalBoxFuture<'a, Result<()>>,
    ) -> Self {
        Self {
            name,
            about,
            alone: false,
            every_version: false,
            limit: Duration::from_secs(420),
            run,
        }
    }

    /// It disturbs others.
    pub(crate) const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// It is also run with the newest etcd versions.
    pub(crate) const fn every_version(self) -> Self {
        Self {
            every_version: true,
            ..self
        }
    }

    /// It may take this long.
    pub(crate) const fn within(self, seconds: u64) -> Self {
        Self {
            limit: Duration::from_secs(seconds),
            ..self
        }
    }
}

/// Makes a scenario of an async function.
macro_rules! scenario {
    ($name:literal, $about:literal, $function:path) => {
        $crate::scenario::Scenario::new($name, $about, |cx| Box::pin($function(cx)))
    };
}
pub(crate) use scenario;
