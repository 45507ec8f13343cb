//! Which server wrote an entry. The same words make different catalogs on different versions.

/// What depends on the version of the source at an entry. The feature compatibility version is
/// known at every entry, the exact version only at the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era {
    /// The major number of the feature compatibility version.
    feature_major: u32,
    /// Major, minor and patch of the member from which the base was copied.
    base: Option<(u32, u32, u32)>,
}

/// Sizes of capped collections are multiples of this, in bytes.
const CAPPED_UNIT: i64 = 256;
/// The major number for a base that has neither a feature compatibility version nor a known
/// version.
const UNKNOWN: u32 = 6;

impl Era {
    pub(super) fn of(feature_major: Option<u32>, base_version: Option<&str>) -> Self {
        let base = base_version.and_then(numbers);
        let major = feature_major.or(base.map(|(major, ..)| major));
        Era { feature_major: major.unwrap_or(UNKNOWN), base }
    }

    /// Whether servers list specs in their own words, not in the user's.
    pub(super) fn lists_repaired(self) -> bool {
        self.feature_major >= 5
    }

    /// Returns the size that is kept for a capped collection when `size` is asked for. Servers up
    /// to 6.0 round the size up (7.0.28 does so too, as long as its feature compatibility version
    /// is 6.0).
    pub(super) fn capped_size(self, size: i64) -> Result<i64, &'static str> {
        if self.feature_major >= 7 {
            return Ok(size);
        }
        let rounded = size.checked_add(CAPPED_UNIT - 1).ok_or("its cappedSize is absurd")?;
        Ok(rounded / CAPPED_UNIT * CAPPED_UNIT)
    }

    /// Whether the option `recordPreImages` exists.
    pub(super) fn records_pre_images(self) -> bool {
        self.feature_major < 7
    }

    /// Whether a `collMod` that does not name `recordPreImages` switches it off. The entry of such
    /// a `collMod` does not say so. Seen on 5.0.4 and 6.0.5; 4.4.2 and 6.0.27 leave the option on.
    /// No version between them was available; a later `collMod` reveals what happened.
    pub(super) fn forgets_pre_images(self) -> bool {
        match self.base {
            Some(base) if base.0 >= self.feature_major => ((5, 0, 0)..(6, 0, 27)).contains(&base),
            _ => (5..7).contains(&self.feature_major),
        }
    }
}

/// Returns `(6, 0, 5)` for `6.0.5` and for `6.0.5-rc1`.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let release = version.split('-').next()?;
    let mut numbers = release.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_version_decides_until_the_source_was_upgraded() {
        let forgets = |feature, base| Era::of(Some(feature), base).forgets_pre_images();
        assert!(!forgets(4, Some("4.4.2")) && forgets(5, Some("5.0.4")));
        assert!(forgets(4, Some("5.0.4")), "5.0.4 that still has the features of 4.4");
        assert!(forgets(6, Some("6.0.5")) && !forgets(6, Some("6.0.27")));
        assert!(!forgets(7, Some("7.0.28")));
        assert!(forgets(5, Some("4.4.2")) && forgets(6, None) && !forgets(7, Some("6.0.5")));
    }

    #[test]
    fn capped_sizes_are_rounded_up_before_7_0() {
        let size = |feature, size| Era::of(Some(feature), None).capped_size(size);
        assert_eq!((size(6, 5000), size(6, 1), size(6, 4096)), (Ok(5120), Ok(256), Ok(4096)));
        assert_eq!(size(7, 5000), Ok(5000));
        assert!(size(6, i64::MAX).is_err());
    }

    #[test]
    fn a_version_is_read_with_or_without_a_suffix() {
        assert_eq!(numbers("6.0.5-rc1"), Some((6, 0, 5)));
        assert_eq!(numbers("4.4.2"), Some((4, 4, 2)));
        assert_eq!(numbers("unknown"), None);
        assert!(Era::of(None, Some("4.4.2")) == Era::of(Some(4), Some("4.4.2")));
        assert!(Era::of(None, None).lists_repaired());
    }
}
