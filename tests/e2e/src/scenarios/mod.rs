//! The scenarios, one file for each theme.

mod bad_input;
mod create;
mod cycles;
mod lifecycle;
mod no_operator;
mod rescue;
mod scale;
mod self_check;
mod writes;

use crate::scenario::Scenario;

/// All scenarios, in the order in which they are run.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        self_check::SCENARIOS,
        create::SCENARIOS,
        scale::SCENARIOS,
        writes::SCENARIOS,
        lifecycle::SCENARIOS,
        rescue::SCENARIOS,
        no_operator::SCENARIOS,
        cycles::SCENARIOS,
        bad_input::SCENARIOS,
    ]
    .into_iter()
    .flatten()
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
