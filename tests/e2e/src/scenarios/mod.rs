//! The scenarios, one file for each theme.

mod create;
mod scale;

use crate::scenario::Scenario;

/// All scenarios, in the order in which they are run.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [create::SCENARIOS, scale::SCENARIOS].into_iter().flatten()
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
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')));
    }
}
