//! Runs scenarios, each in a namespace of its own, and says how they went.

use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use futures::StreamExt as _;
use futures::stream;

use crate::ctx::Ctx;
use crate::evidence;
use crate::namespace;
use crate::sampler;
use crate::scenario::Scenario;
use crate::scenarios;
use crate::world::World;

/// The version that every scenario is run with.
const PINNED: &str = "pinned";
/// The versions that some scenarios are run with as well.
const NEWEST: [&str; 2] = ["newest-3.5", "newest-3.6"];

/// The plan of a run.
pub(crate) struct Plan {
    /// Names of scenarios; all of the suite when empty.
    pub(crate) names: Vec<String>,
    /// The suite, when no scenario is named.
    pub(crate) suite: Suite,
    /// The etcd version to run with, instead of the usual ones.
    pub(crate) etcd: Option<String>,
    /// True to keep the namespaces.
    pub(crate) keep: bool,
    /// The number of scenarios at a time.
    pub(crate) jobs: usize,
}

/// A collection of scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// The main scenarios: what a user does, and what happens to every cluster.
    Main,
    /// The hard scenarios: what breaks at the worst moment.
    Hard,
    /// The main scenarios and the hard ones.
    All,
    /// The suite of `make test`: the main ones, and of the hard ones a choice that takes a few minutes.
    Ci,
}

/// The hard scenarios that `make test` runs too.
const CI: [&str; 9] = [
    "crash-while-joining",
    "learner-dies",
    "leader-leaves",
    "hook-killed",
    "founder-loses-volume",
    "empty-volume-isolated",
    "corrupt-minority",
    "quorum-lost",
    "isolated-leader-goes",
];

impl Suite {
    fn scenarios(self) -> impl Iterator<Item = &'static Scenario> {
        let main = if self == Self::Hard { &[] } else { scenarios::MAIN };
        let hard = if self == Self::Main { &[] } else { scenarios::HARD };
        let chosen = move |scenario: &&Scenario| {
            let is_main = scenarios::MAIN
                .iter()
                .copied()
                .flatten()
                .any(|it| it.name == scenario.name);
            self != Self::Ci || is_main || CI.contains(&scenario.name)
        };
        main.iter().chain(hard).copied().flatten().filter(chosen)
    }
}

/// A scenario with a version.
struct Item {
    scenario: &'static Scenario,
    title: String,
    version: String,
}

/// The outcome of a scenario.
struct Outcome {
    title: String,
    took: Duration,
    notes: Vec<String>,
    problems: Vec<String>,
}

/// Runs the plan; true if everything passed.
pub(crate) async fn run(world: World, plan: &Plan) -> Result<bool> {
    let items = items(&world, plan)?;
    let world = Rc::new(world);
    world.operator_traffic.start_count().await?;
    let (alone, together): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.scenario.alone);
    let mut outcomes = Vec::new();
    for (items, jobs) in [(together, plan.jobs.max(1)), (alone, 1)] {
        let mut results = stream::iter(items.iter())
            .map(|item| run_one(&world, item, plan.keep))
            .buffer_unordered(jobs);
        while let Some(outcome) = results.next().await {
            print_outcome(&outcome);
            outcomes.push(outcome);
        }
    }
    Ok(print_summary(&outcomes))
}

/// Prints the names and descriptions of all scenarios, in one piece: a reader such as `head` may stop early.
pub(crate) fn list() {
    let mut text = String::new();
    for (heading, suite) in [("main", Suite::Main), ("hard", Suite::Hard)] {
        let _ = writeln!(text, "{heading}:");
        for scenario in suite.scenarios() {
            let versions = if scenario.every_version {
                " (every etcd version)"
            } else {
                ""
            };
            let _ = writeln!(text, "  {:24} {}{versions}", scenario.name, scenario.about);
        }
    }
    print!("{text}");
}

fn items(world: &World, plan: &Plan) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    if plan.names.is_empty() {
        for scenario in plan.suite.scenarios() {
            items.push((scenario, None));
            if scenario.every_version && plan.etcd.is_none() {
                items.extend(NEWEST.map(|version| (scenario, Some(version.to_owned()))));
            }
        }
    }
    for name in &plan.names {
        let (name, version) = name.split_once('@').map_or((name.as_str(), None), |(name, version)| {
            (name, Some(version.to_owned()))
        });
        match scenarios::all().find(|scenario| scenario.name == name) {
            Some(scenario) => items.push((scenario, version)),
            None => bail!("there is no scenario {name}; `muster-e2e list` prints them"),
        }
    }
    items
        .into_iter()
        .map(|(scenario, version)| {
            let version = version.or_else(|| plan.etcd.clone());
            let title = version.as_ref().map_or(scenario.name.to_owned(), |version| {
                format!("{}@{version}", scenario.name)
            });
            let version = world.versions.resolve(version.as_deref().unwrap_or(PINNED))?;
            Ok(Item {
                scenario,
                title,
                version,
            })
        })
        .collect()
}

async fn run_one(world: &Rc<World>, item: &Item, keep: bool) -> Outcome {
    println!("=== {} (etcd {}): {}", item.title, item.version, item.scenario.about);
    let cx = Ctx::new(Rc::clone(world), &item.title, &item.version);
    let start = Instant::now();
    let mut problems = Vec::new();
    match namespace::create(&cx).await {
        Ok(()) => problems.extend(watched(&cx, item.scenario).await),
        Err(error) => problems.push(format!("namespace {}: {error:#}", cx.namespace)),
    }
    let took = start.elapsed();
    if !problems.is_empty() {
        for problem in &problems {
            println!("  ✗ {problem}");
        }
        match evidence::collect(&cx, &problems).await {
            Ok(folder) => println!("  evidence: {}", folder.display()),
            Err(error) => println!("  evidence could not be collected: {error:#}"),
        }
    }
    problems.extend(
        cx.repair()
            .await
            .into_iter()
            .map(|failure| format!("putting things right: {failure}")),
    );
    if !keep && let Err(error) = namespace::remove(&cx).await {
        problems.push(format!("cleaning up: {error:#}"));
    }
    Outcome {
        title: item.title.clone(),
        took,
        notes: cx.notes(),
        problems,
    }
}

/// Runs the scenario while the sampler watches; returns what went wrong.
async fn watched(cx: &Ctx, scenario: &Scenario) -> Vec<String> {
    let sampler = tokio::task::spawn_local(sampler::run(
        cx.world.client.clone(),
        cx.namespace.clone(),
        Rc::clone(&cx.watch),
    ));
    let limit = scenario.limit;
    let result = tokio::time::timeout(limit, (scenario.run)(cx))
        .await
        .unwrap_or_else(|_| {
            Err(anyhow!(
                "not done after {:.0} s; the last step was at {}",
                limit.as_secs_f64(),
                cx.last_step()
            ))
        });
    sampler.abort();
    let mut problems: Vec<_> = result.err().map(|error| format!("{error:#}")).into_iter().collect();
    problems.extend(
        cx.watch
            .violations()
            .into_iter()
            .map(|what| format!("invariant: {what}")),
    );
    if cx.watch.samples() == 0 {
        problems.push("not a single sample was taken".to_owned());
    }
    if let Err(error) = cx.world.operator_traffic.ensure_none().await {
        problems.push(format!("{error:#}"));
        if let Err(error) = cx.world.operator_traffic.start_count().await {
            problems.push(format!("{error:#}"));
        }
    }
    problems
}

fn print_outcome(outcome: &Outcome) {
    let verdict = if outcome.problems.is_empty() {
        "passed"
    } else {
        "FAILED"
    };
    println!("--- {} {verdict} in {:.1} s", outcome.title, outcome.took.as_secs_f64());
}

fn print_summary(outcomes: &[Outcome]) -> bool {
    println!();
    for outcome in outcomes {
        let mark = if outcome.problems.is_empty() { "✓" } else { "✗" };
        println!(
            "{mark} {:32} {:6.1} s  {}",
            outcome.title,
            outcome.took.as_secs_f64(),
            outcome.notes.join("; ")
        );
        for problem in &outcome.problems {
            println!("    {problem}");
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.problems.is_empty()).count();
    println!();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_make_test_chooses_exists() {
        let hard: Vec<_> = Suite::Hard.scenarios().map(|scenario| scenario.name).collect();
        assert!(CI.iter().all(|name| hard.contains(name)), "{hard:?}");
        let chosen = Suite::Ci.scenarios().count();
        assert_eq!(chosen, Suite::Main.scenarios().count() + CI.len());
    }
}
