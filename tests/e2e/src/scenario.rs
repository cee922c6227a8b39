//! The scenario: its name, its limits, and what it does.

use std::time::Duration;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::ctx::Ctx;

/// A scenario: something a user does, or that happens to them, and what must
/// be so afterwards.
pub(crate) struct Scenario {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The behaviour that it shows, in one line.
    pub(crate) about: &'static str,
    /// True if it disturbs others: nodes, the API server, the operator.
    pub(crate) alone: bool,
    /// True if it is also run with the newest etcd versions.
    pub(crate) every_version: bool,
    /// The timeout of all of it.
    pub(crate) limit: Duration,
    /// The function that plays it.
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

    /// The scenario, marked as one that disturbs others.
    pub(crate) const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The scenario, to be run with the newest etcd versions, too.
    pub(crate) const fn every_version(self) -> Self {
        Self {
            every_version: true,
            ..self
        }
    }

    /// The scenario with another timeout.
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
