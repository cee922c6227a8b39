//! The scenarios, one file for each theme.

mod addresses;
mod api_down;
mod bad_input;
mod claims;
mod copies;
mod create;
mod cycles;
mod deputy;
mod dns;
mod hostile;
mod joining;
mod leaving;
mod lifecycle;
mod mistakes;
mod no_operator;
mod partition;
mod reasons;
mod recovery;
mod rescue;
mod scale;
mod self_check;
mod storms;
mod template;
mod versions;
mod volumes;
mod writes;

use crate::scenario::Scenario;

/// The main scenarios: what a user does, and what happens to every cluster.
pub(crate) const MAIN: &[&[Scenario]] = &[
    self_check::SCENARIOS,
    create::SCENARIOS,
    scale::SCENARIOS,
    writes::SCENARIOS,
    lifecycle::SCENARIOS,
    rescue::SCENARIOS,
    no_operator::SCENARIOS,
    cycles::SCENARIOS,
    bad_input::SCENARIOS,
];

/// The hard ones: what breaks at the worst moment.
pub(crate) const HARD: &[&[Scenario]] = &[
    joining::SCENARIOS,
    leaving::SCENARIOS,
    deputy::SCENARIOS,
    volumes::SCENARIOS,
    claims::SCENARIOS,
    partition::SCENARIOS,
    recovery::SCENARIOS,
    storms::SCENARIOS,
    template::SCENARIOS,
    dns::SCENARIOS,
    addresses::SCENARIOS,
    api_down::SCENARIOS,
    reasons::SCENARIOS,
    mistakes::SCENARIOS,
    hostile::SCENARIOS,
    copies::SCENARIOS,
    versions::SCENARIOS,
];

/// All scenarios, in the order in which they are run.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    MAIN.iter().chain(HARD).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_make_namespaces() {
        let mut names: Vec<_> = all().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        }));
    }
}
