//! etcd versions, the supported range, and the steps of an upgrade.

use std::fmt;
use std::str::FromStr;

/// The version of a new cluster whose spec names none.
pub const DEFAULT: &str = "3.6.16";

/// The repository of upstream's images.
pub const DEFAULT_REPOSITORY: &str = "gcr.io/etcd-development/etcd";

/// The oldest version with `/livez` and `/readyz`, on which the probes rely.
pub const MINIMUM: Version = Version {
    major: 3,
    minor: 5,
    patch: 11,
};

/// The first version that is not supported any more.
pub const LIMIT: Version = Version {
    major: 3,
    minor: 7,
    patch: 0,
};

/// An etcd release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3, for every etcd of the last decade.
    pub major: u32,
    /// The minor version; clusters move one at a time, and never back.
    pub minor: u32,
    /// The patch version.
    pub patch: u32,
}

/// A reason to refuse a version, or a step from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is not a version.
    #[error("version {0:?} is not of the form 3.6.16 or v3.6.16")]
    Malformed(String),
    /// The version is outside the supported range.
    #[error("etcd {0} is not supported: versions from {MINIMUM} up to, but not including, {LIMIT} are")]
    Unsupported(Version),
    /// The step would be a downgrade.
    #[error("etcd cannot go back from {from} to {to}: a minor version cannot be downgraded")]
    Downgrade {
        /// The version that runs.
        from: Version,
        /// The version that is asked for.
        to: Version,
    },
    /// The step skips a minor version.
    #[error("etcd cannot go from {from} to {to} at once: upgrade one minor version at a time")]
    Skips {
        /// The version that runs.
        from: Version,
        /// The version that is asked for.
        to: Version,
    },
    /// The version that runs is too old for the step.
    #[error("upgrade etcd {from} to {required} or a later {major}.{minor} before you upgrade to {to}", major = required.major, minor = required.minor)]
    TooOld {
        /// The version that runs.
        from: Version,
        /// The version that is asked for.
        to: Version,
        /// The patch version that can take the step.
        required: Version,
    },
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Refuses a version that the agent or the probes cannot work with.
    ///
    /// # Errors
    /// The version is outside of [`MINIMUM`] to [`LIMIT`].
    pub fn supported(self) -> Result<Self, VersionError> {
        if self >= MINIMUM && self < LIMIT {
            Ok(self)
        } else {
            Err(VersionError::Unsupported(self))
        }
    }

    /// Refuses a step that etcd cannot take.
    ///
    /// # Errors
    /// The step goes down a minor version, skips one, or needs a later patch version first.
    pub fn follows(self, from: Self) -> Result<(), VersionError> {
        let to = self;
        let (old, new) = ((from.major, from.minor), (to.major, to.minor));
        if new < old {
            return Err(VersionError::Downgrade { from, to });
        }
        if new > (old.0, old.1 + 1) {
            return Err(VersionError::Skips { from, to });
        }
        let required = FIRST_THAT_UPGRADES_TO_3_6;
        if old == (3, 5) && new == (3, 6) && from < required {
            return Err(VersionError::TooOld { from, to, required });
        }
        Ok(())
    }

    /// A known defect of this version that matters here, in one sentence.
    pub fn advisory(self) -> Option<String> {
        let fixed = match (self.major, self.minor) {
            (3, 5) => Self::new(3, 5, 31),
            (3, 6) => Self::new(3, 6, 12),
            _ => return None,
        };
        (self < fixed).then(|| {
            format!(
                "etcd {self} has known defects around learners; {fixed} or a later {}.{} is recommended.",
                fixed.major, fixed.minor
            )
        })
    }
}

/// Older releases can leave membership behind that 3.6 refuses to start with.
const FIRST_THAT_UPGRADES_TO_3_6: Version = Version::new(3, 5, 26);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let malformed = || VersionError::Malformed(text.to_owned());
        let number = |part: Option<&str>| {
            part.filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|part| part.parse().ok())
                .ok_or_else(malformed)
        };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let version = Self::new(number(parts.next())?, number(parts.next())?, number(parts.next())?);
        if parts.next().is_some() {
            Err(malformed())
        } else {
            Ok(version)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_version_is_read_with_and_without_its_letter() {
        assert_eq!(v("3.5.21"), Version::new(3, 5, 21));
        assert_eq!(v("v3.5.21"), v("3.5.21"));
        for text in ["", "3", "3.5", "3.5.21.1", "3.5.x", "vv3.5.21", "3.5.+1", "3.5.21-rc.0"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_default_is_supported_and_needs_no_advice() {
        assert_eq!(v(DEFAULT).supported(), Ok(v(DEFAULT)));
        assert_eq!(v(DEFAULT).advisory(), None);
    }

    #[test]
    fn versions_outside_the_range_are_refused() {
        for text in ["3.4.40", "3.5.10", "3.7.0", "4.0.0"] {
            assert_eq!(v(text).supported(), Err(VersionError::Unsupported(v(text))));
        }
        for text in ["3.5.11", "3.5.21", "3.6.0", "3.6.99"] {
            assert!(v(text).supported().is_ok());
        }
    }

    #[test]
    fn a_cluster_moves_one_minor_version_at_a_time_and_not_back() {
        assert!(v("3.6.0").follows(v("3.5.26")).is_ok());
        assert!(v("3.5.20").follows(v("3.5.21")).is_ok());
        assert!(matches!(
            v("3.5.21").follows(v("3.6.0")),
            Err(VersionError::Downgrade { .. })
        ));
        assert!(matches!(
            v("3.7.0").follows(v("3.5.30")),
            Err(VersionError::Skips { .. })
        ));
        assert!(matches!(
            v("4.0.0").follows(v("3.6.12")),
            Err(VersionError::Skips { .. })
        ));
    }

    #[test]
    fn an_early_3_5_does_not_jump_to_3_6() {
        let error = v("3.6.16").follows(v("3.5.21")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "upgrade etcd 3.5.21 to 3.5.26 or a later 3.5 before you upgrade to 3.6.16"
        );
    }

    #[test]
    fn versions_with_defects_around_learners_come_with_advice() {
        for text in ["3.5.21", "3.5.30", "3.6.0", "3.6.11"] {
            assert!(v(text).advisory().is_some(), "{text}");
        }
        for text in ["3.5.31", "3.6.12", "3.6.16"] {
            assert!(v(text).advisory().is_none(), "{text}");
        }
    }
}
