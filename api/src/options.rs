//! etcd flags: those that a user may set, and those that belong to the agent.

/// Flags that the agent decides, or that would take from it what it needs to
/// know: identity, membership, addresses, certificates, and its view of etcd's
/// log. A trailing `*` stands for any ending.
pub const OWNED: &[&str] = &[
    "name",
    "data-dir",
    "wal-dir",
    "initial-*",
    "listen-*",
    "advertise-*",
    "discovery*",
    "proxy*",
    "force-new-cluster",
    "unsafe-*",
    "strict-reconfig-check",
    "config-file",
    "max-learners",
    "experimental-max-learners",
    "cert-file",
    "key-file",
    "trusted-ca-file",
    "client-*",
    "peer-*",
    "auto-tls",
    "logger",
    "log-outputs",
    "version",
    "help",
];

/// A reason to refuse an etcd option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The option is not written in the one form that is accepted.
    #[error("etcd option {0:?} must be written as --flag or --flag=value")]
    Malformed(String),
    /// The flag belongs to the agent.
    #[error("etcd option --{0} is decided by Muster and cannot be set")]
    Owned(String),
    /// The flag is there twice.
    #[error("etcd option --{0} is given more than once")]
    Repeated(String),
}

/// Refuses options that etcd would not understand as they are meant.
///
/// # Errors
/// An option is malformed, belongs to the agent, or is there twice.
pub fn check(options: &[String]) -> Result<(), OptionError> {
    let mut seen = std::collections::BTreeSet::new();
    for option in options {
        let flag = flag(option).ok_or_else(|| OptionError::Malformed(option.clone()))?;
        if OWNED.iter().any(|owned| covers(owned, flag)) {
            return Err(OptionError::Owned(flag.to_owned()));
        }
        if !seen.insert(flag) {
            return Err(OptionError::Repeated(flag.to_owned()));
        }
    }
    Ok(())
}

/// The regular expression that an option of an owned flag matches.
pub fn owned_pattern() -> String {
    let flags: Vec<_> = OWNED.iter().map(|flag| flag.replace('*', "[a-z0-9-]*")).collect();
    format!("^--({})(=.*)?$", flags.join("|"))
}

/// The regular expression that every option matches.
pub const WELL_FORMED: &str = "^--[a-z0-9][a-z0-9-]*(=.*)?$";

fn flag(option: &str) -> Option<&str> {
    let flag = option.strip_prefix("--")?;
    let flag = flag.split_once('=').map_or(flag, |(flag, _)| flag);
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = flag.bytes().next().is_some_and(letter) && flag.bytes().all(|b| letter(b) || b == b'-');
    good.then_some(flag)
}

fn covers(owned: &str, flag: &str) -> bool {
    match owned.strip_suffix('*') {
        Some(prefix) => flag.starts_with(prefix),
        None => owned == flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(options: &[&str]) -> Result<(), OptionError> {
        check(&options.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn tuning_flags_are_accepted() {
        assert!(
            checked(&[
                "--quota-backend-bytes=8589934592",
                "--pre-vote",
                "--auto-compaction-mode=periodic"
            ])
            .is_ok()
        );
    }

    #[test]
    fn flags_of_the_agent_are_refused() {
        for option in [
            "--name=x",
            "--initial-cluster=a=b",
            "--listen-client-urls=x",
            "--force-new-cluster",
            "--max-learners=4",
        ] {
            assert!(matches!(checked(&[option]), Err(OptionError::Owned(_))), "{option}");
        }
    }

    #[test]
    fn a_flag_that_only_begins_like_an_owned_one_is_accepted() {
        assert!(checked(&["--max-txn-ops=256", "--log-level=warn"]).is_ok());
    }

    #[test]
    fn other_spellings_of_a_flag_are_refused() {
        for option in [
            "-name=x",
            "name=x",
            "--",
            "--=x",
            "---name=x",
            "--Name=x",
            "value",
            "--na me=x",
        ] {
            assert!(matches!(checked(&[option]), Err(OptionError::Malformed(_))), "{option}");
        }
    }

    #[test]
    fn a_repeated_flag_is_refused() {
        assert!(matches!(
            checked(&["--pre-vote", "--pre-vote=false"]),
            Err(OptionError::Repeated(_))
        ));
    }
}
