//! Ordered versions of servers.

use std::fmt;

/// Major, minor and patch, as in `6.0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl Version {
    /// Parses `6.0.5`, and `6.0.5-rc1` as well. Returns `None` for a version of another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let release = text.split('-').next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next()??))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(Version::parse("6.0.5"), Some(Version(6, 0, 5)));
        assert_eq!(Version::parse("7.0.0-rc12"), Some(Version(7, 0, 0)));
        assert_eq!(Version::parse("unknown"), None);
        assert!(Version(6, 0, 27) > Version(6, 0, 5) && Version(5, 0, 31) < Version(6, 0, 0));
    }
}
