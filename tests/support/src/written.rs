//! The keys that a writer wrote, and a check that all of them are there.

use std::collections::HashMap;

use anyhow::{Result, ensure};

/// The prefix of every write's key.
pub const PREFIX: &str = "writes/";

/// The key of the write `n`; its value is `n`.
pub fn key(n: u64) -> String {
    format!("{PREFIX}{n:08}")
}

/// Checks that every acknowledged write is among the keys that were `found`.
///
/// # Errors
/// Some are lost.
pub fn nothing_is_lost(acknowledged: &[u64], found: &HashMap<String, String>) -> Result<()> {
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|n| found.get(&key(**n)) != Some(&n.to_string()))
        .collect();
    ensure!(
        lost.is_empty(),
        "{} of {} acknowledged writes are lost: {:?}",
        lost.len(),
        acknowledged.len(),
        &lost[..lost.len().min(10)]
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_is_missing_or_another_is_lost_and_one_more_is_not() {
        let found = HashMap::from([
            (key(1), "1".to_owned()),
            (key(2), "2".to_owned()),
            (key(3), "7".to_owned()),
        ]);
        assert!(nothing_is_lost(&[1], &found).is_ok());
        assert!(nothing_is_lost(&[1, 3], &found).is_err());
        assert!(nothing_is_lost(&[1, 4], &found).is_err());
    }
}
