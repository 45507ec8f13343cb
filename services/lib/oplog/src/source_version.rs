//! Which MongoDB a state comes from: the feature compatibility version at its time, and the version
//! that a server that held the state can have run (docs/decisions/0016).

use std::fmt;
use std::str::FromStr;

use crate::raw::{Doc, Element, Malformed};

/// The `_id` of the document in `admin.system.version` that holds the feature compatibility
/// version.
pub const FEATURE_VERSION_ID: &str = "featureCompatibilityVersion";

/// A release series, such as `6.0` of `6.0.27`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The first number of the version.
    pub major: u16,
    /// The second number of the version.
    pub minor: u16,
}

/// Long-lived series in the order of upgrades. Each series between two of them lives for a few
/// months.
const LONG_LIVED: [Series; 9] = [
    Series::new(3, 6),
    Series::new(4, 0),
    Series::new(4, 2),
    Series::new(4, 4),
    Series::new(5, 0),
    Series::new(6, 0),
    Series::new(7, 0),
    Series::new(8, 0),
    Series::new(9, 0),
];

impl Series {
    /// Returns the series with these two numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        Series { major, minor }
    }

    /// Returns the long-lived series to which servers of this series are upgraded; `None` where we
    /// know of none.
    pub fn next_long_lived(self) -> Option<Series> {
        LONG_LIVED.into_iter().find(|&known| known > self)
    }

    /// Returns whether servers of this series run on data of a feature compatibility version. They
    /// run on their own version, and on that of an earlier series, back to the previous long-lived
    /// one.
    pub fn runs(self, feature_version: Series) -> bool {
        let newest = feature_version.next_long_lived().unwrap_or(feature_version);
        feature_version <= self && self <= newest
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A text that is not a version of MongoDB.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of MongoDB: it begins with two numbers, as 6.0 or 6.0.27")]
pub struct NoVersion(String);

impl FromStr for Series {
    type Err = NoVersion;

    /// Reads `6.0` and everything that begins like it: `6.0.27`, `8.0.0-rc1`.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let mut parts = text.splitn(3, '.').map(str::parse);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Series { major, minor }),
            _ => Err(NoVersion(text.to_owned())),
        }
    }
}

/// A feature compatibility version as `admin.system.version` holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureVersion {
    /// The version in force. While the version is being changed, this is the lower of the two.
    pub version: Series,
    /// The higher version while the version is being raised or lowered, or after a failed attempt
    /// to do so. Only a server of that series can be in this state.
    pub changing_with: Option<Series>,
}

impl FeatureVersion {
    /// Returns a version that is not being changed.
    pub const fn settled(version: Series) -> Self {
        FeatureVersion { version, changing_with: None }
    }

    /// Reads a document of `admin.system.version`. Returns `None` for another document of that
    /// collection, and for a document without a version that can be understood. Servers write
    /// `version`. While the version is raised they also write `targetVersion`; while it is lowered
    /// they write `previousVersion` as well (seen on 4.4 to 7.0).
    ///
    /// # Errors
    /// Returns [`Malformed`] when the document is malformed.
    pub fn read(document: Doc<'_>) -> Result<Option<Self>, Malformed> {
        let text = |name: &[u8]| document.get(name).map(|found| found.and_then(Element::as_str));
        if text(b"_id")? != Some(FEATURE_VERSION_ID) {
            return Ok(None);
        }
        let series = |text: Option<&str>| text.and_then(|text| text.parse::<Series>().ok());
        let Some(version) = series(text(b"version")?) else { return Ok(None) };
        let others = [series(text(b"targetVersion")?), series(text(b"previousVersion")?)];
        let changing_with = others.into_iter().flatten().find(|&other| other > version);
        Ok(Some(FeatureVersion { version, changing_with }))
    }
}

impl fmt::Display for FeatureVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changing_with {
            None => write!(f, "{}", self.version),
            Some(other) => write!(f, "{} (changing to or from {other})", self.version),
        }
    }
}

/// The version of the source at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceVersion {
    /// The feature compatibility version. Exact, because the oplog reports every change of it.
    /// `None` where the state does not hold it.
    pub feature_version: Option<FeatureVersion>,
    /// The newest known series that can have held the state. `None` where servers have been
    /// upgraded or replaced since.
    pub seen: Option<Series>,
}

impl SourceVersion {
    /// Returns the version of the source. `seen` holds the series that the source is known to have
    /// run until then: the series of the member from which the base was copied, and the series of
    /// the feature compatibility versions from there on. A version that was lowered leaves things
    /// behind that only the newer servers can use (time-series buckets that 6.0 compressed, which
    /// 5.0.4 cannot read), and no oplog says which version the members run.
    pub fn new(
        feature_version: Option<FeatureVersion>,
        seen: impl IntoIterator<Item = Series>,
    ) -> Self {
        let can_have_held = |series: &Series| match feature_version {
            None => true,
            Some(FeatureVersion { changing_with: Some(other), .. }) => *series == other,
            Some(FeatureVersion { version, .. }) => series.runs(version),
        };
        SourceVersion { feature_version, seen: seen.into_iter().filter(can_have_held).max() }
    }

    /// Returns the series to use where only one is possible: the series that was seen, else the
    /// oldest series that can have held the state. `None` where nothing is known.
    pub fn series(&self) -> Option<Series> {
        let told = || self.feature_version.map(|it| it.changing_with.unwrap_or(it.version));
        self.seen.or_else(told)
    }

    /// Returns the series of servers that accept what the source held, oldest first: the source's
    /// own series, and one upgrade on. Most feature compatibility versions belong to two series;
    /// where it is known which of the two the source was, that series decides. Empty where nothing
    /// is known.
    pub fn targets(&self) -> Vec<Series> {
        let Some(series) = self.series() else { return Vec::new() };
        let held = self.feature_version.map_or(series, |it| it.version);
        let next = held.next_long_lived().filter(|_| LONG_LIVED.contains(&held));
        std::iter::once(series).chain(next.filter(|&next| next > series)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::raw::DocWriter;

    fn series(text: &str) -> Series {
        text.parse().unwrap()
    }

    fn feature(version: &str) -> Option<FeatureVersion> {
        Some(FeatureVersion::settled(series(version)))
    }

    fn read(fields: &[(&str, &str)]) -> Option<FeatureVersion> {
        let mut document = DocWriter::new();
        for (name, value) in fields {
            document.string(name.as_bytes(), value);
        }
        let document = document.finish();
        FeatureVersion::read(Doc::new(&document).unwrap()).unwrap()
    }

    #[test]
    fn a_version_is_read_by_its_first_two_numbers() {
        for (text, wanted) in
            [("6.0.27", (6, 0)), ("4.4", (4, 4)), ("8.0.0-rc1", (8, 0)), ("10.2.3", (10, 2))]
        {
            assert_eq!(text.parse(), Ok(Series::new(wanted.0, wanted.1)), "{text}");
        }
        for text in ["", "6", "6.x.1", "unknown", "-1.0", "70000.1"] {
            assert!(text.parse::<Series>().is_err(), "{text}");
        }
        assert!(series("10.0") > series("9.0"));
    }

    /// As 4.4.2, 5.0.4, 6.0.27 and 7.0.28 wrote these documents.
    #[test]
    fn every_form_of_the_feature_version_is_read() {
        let id = ("_id", FEATURE_VERSION_ID);
        assert_eq!(read(&[id, ("version", "4.4")]), feature("4.4"));
        let changing =
            Some(FeatureVersion { version: series("4.4"), changing_with: Some(series("5.0")) });
        assert_eq!(read(&[id, ("version", "4.4"), ("targetVersion", "5.0")]), changing);
        let lowered = [("version", "4.4"), ("targetVersion", "4.4"), ("previousVersion", "5.0")];
        assert_eq!(read(&[id, lowered[0], lowered[1], lowered[2]]), changing);
        assert_eq!(read(&[("_id", "authSchema"), ("version", "5.0")]), None);
        assert_eq!(read(&[id, ("version", "newest")]), None);
        assert_eq!(read(&[id]), None);
    }

    fn source(feature_version: Option<FeatureVersion>, seen: &str) -> SourceVersion {
        SourceVersion::new(feature_version, seen.split_whitespace().map(series))
    }

    #[test]
    fn what_was_seen_counts_while_it_can_have_held_the_state() {
        let seen = |feature_version, seen| source(feature_version, seen).seen;
        assert_eq!(seen(feature("4.4"), "4.4"), Some(series("4.4")));
        assert_eq!(seen(feature("4.4"), "4.4 5.0 4.4"), Some(series("5.0")));
        assert_eq!(seen(feature("6.0"), "4.4"), None);
        assert_eq!(seen(feature("5.0"), "7.0"), None);
        assert_eq!(seen(feature("6.0"), "6.3"), Some(series("6.3")));
        assert_eq!(seen(feature("6.0"), ""), None);
        assert_eq!(seen(None, "4.4"), Some(series("4.4")));
        let changing =
            Some(FeatureVersion { version: series("5.0"), changing_with: Some(series("6.0")) });
        assert_eq!(seen(changing, "5.0"), None);
        assert_eq!(source(changing, "5.0").series(), Some(series("6.0")));
    }

    #[test]
    fn targets_are_of_the_series_that_held_the_state_or_one_upgrade_on() {
        let targets = |feature_version: Option<FeatureVersion>, seen: &str| {
            let targets = source(feature_version, seen).targets();
            targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        for (feature_version, seen, wanted) in [
            // The source has been upgraded from 4.4 through 5.0 since its base.
            ("6.0", "4.4 5.0", "6.0 7.0"),
            ("5.0", "4.4", "5.0 6.0"),
            ("4.4", "4.4", "4.4 5.0"),
            // Its members already ran 5.0.
            ("4.4", "5.0 4.4", "5.0"),
            // Lowered after it had been raised.
            ("5.0", "4.4 5.0 6.0 5.0", "6.0"),
            // Replaced by older servers since.
            ("5.0", "7.0", "5.0 6.0"),
            // Versions between two long-lived ones: only the very same version is known to work.
            ("6.3", "6.3", "6.3"),
            ("6.0", "6.3", "6.3 7.0"),
            ("9.0", "9.0", "9.0"),
        ] {
            let found = targets(feature(feature_version), seen);
            assert_eq!(found, wanted, "{feature_version}, seen {seen}");
        }
        assert_eq!(targets(None, ""), "");
        assert_eq!(targets(None, "6.0"), "6.0 7.0");
        assert_eq!(targets(feature("6.0"), ""), "6.0 7.0");
    }

    #[test]
    fn while_the_feature_version_changes_the_target_is_of_the_newer_series() {
        let changing =
            FeatureVersion { version: series("5.0"), changing_with: Some(series("6.0")) };
        assert_eq!(source(Some(changing), "4.4").targets(), [series("6.0")]);
        assert_eq!(changing.to_string(), "5.0 (changing to or from 6.0)");
    }
}
