//! Checks whether the target's MongoDB version takes what the source held (docs/decisions/0016).

use hindsight_oplog::{FeatureVersion, Series, SourceVersion};

use super::super::facts::TargetFacts;

/// From this series on, `setFeatureCompatibilityVersion` must be confirmed.
const CONFIRMED_SINCE: Series = Series::new(7, 0);

/// Lists what speaks against the target's version and feature compatibility version. What could not
/// be compared goes into `warnings`.
pub(super) fn check(
    facts: &TargetFacts,
    source: &SourceVersion,
    problems: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let target = facts.version.parse::<Series>().ok();
    let fitting = source.targets();
    match target {
        _ if fitting.is_empty() => {
            warnings.push("the source's version is not known: not compared".to_owned());
        }
        None => warnings.push(format!(
            "the target says its version is {}, which cannot be compared",
            facts.version
        )),
        Some(target) if fitting.contains(&target) => {}
        Some(_) => problems.push(version_problem(facts, source, &fitting)),
    }
    match (source.feature_version, &facts.feature_version) {
        (Some(source), Some(found)) if !allows(source, found) => {
            problems.push(feature_problem(source, found, target));
        }
        (Some(_), Some(_)) => {}
        _ => warnings.push("feature compatibility versions are not known: not compared".to_owned()),
    }
}

/// Returns true if a target at version `found` fits the source. While the source's version was
/// changing, a target of the newer series may be at either of the two versions.
fn allows(source: FeatureVersion, found: &str) -> bool {
    let found = found.parse().ok();
    found == Some(source.version) || found.is_some() && found == source.changing_with
}

fn version_problem(facts: &TargetFacts, source: &SourceVersion, fitting: &[Series]) -> String {
    let feature_version = source.feature_version.map_or_else(String::new, |version| {
        format!(" at feature compatibility version {version} at that time")
    });
    let servers = source.seen.map_or_else(String::new, |seen| format!(" on servers of {seen}"));
    let fitting: Vec<String> = fitting.iter().map(ToString::to_string).collect();
    format!(
        "it runs MongoDB {}, and the source was{feature_version}{servers}; take a server of {}",
        facts.version,
        fitting.join(" or ")
    )
}

fn feature_problem(source: FeatureVersion, found: &str, target: Option<Series>) -> String {
    let confirm =
        if target.is_some_and(|target| target >= CONFIRMED_SINCE) { ", confirm: true" } else { "" };
    format!(
        "its feature compatibility version is {found}, the source's was {source}; run \
         db.adminCommand({{setFeatureCompatibilityVersion: \"{}\"{confirm}}}) on the target",
        source.version
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Returns the problems of a target with this version and feature compatibility version, and
    /// the number of warnings about what was not compared.
    fn said(source: &SourceVersion, version: &str, feature_version: &str) -> (String, usize) {
        let facts = TargetFacts {
            version: version.to_owned(),
            feature_version: Some(feature_version.to_owned()),
            ..TargetFacts::default()
        };
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        check(&facts, source, &mut problems, &mut warnings);
        (problems.join("; "), warnings.len())
    }

    fn source(feature_version: &str, changing_with: Option<&str>, seen: &str) -> SourceVersion {
        let feature_version = FeatureVersion {
            version: feature_version.parse().unwrap(),
            changing_with: changing_with.map(|text| text.parse().unwrap()),
        };
        SourceVersion::new(Some(feature_version), [seen.parse().unwrap()])
    }

    #[test]
    fn the_versions_at_the_time_decide_and_not_those_of_the_base() {
        let upgraded = source("6.0", None, "4.4");
        assert_eq!(upgraded.seen, None);
        assert_eq!(said(&upgraded, "6.0.27", "6.0"), (String::new(), 0));
        assert_eq!(said(&upgraded, "7.0.28", "6.0"), (String::new(), 0));
        let (problems, _) = said(&upgraded, "5.0.4", "5.0");
        for part in ["runs MongoDB 5.0.4", "version 6.0 at that time", "6.0 or 7.0", "\"6.0\"})"] {
            assert!(problems.contains(part), "{part} is not in {problems}");
        }
        let (problems, _) = said(&upgraded, "7.0.28", "7.0");
        assert!(problems.contains("{setFeatureCompatibilityVersion: \"6.0\", confirm: true}"));
        assert!(!problems.contains("runs MongoDB"), "{problems}");
    }

    /// The state may hold buckets of time-series that 6.0 compressed, which 5.0.4 cannot read.
    #[test]
    fn a_lowered_version_is_still_that_of_the_newer_servers() {
        let lowered = source("5.0", None, "6.0");
        assert_eq!(said(&lowered, "6.0.27", "5.0"), (String::new(), 0));
        let (problems, _) = said(&lowered, "5.0.4", "5.0");
        assert!(problems.contains("5.0 at that time on servers of 6.0; take"), "{problems}");
    }

    #[test]
    fn a_version_that_was_being_changed_is_that_of_the_newer_servers() {
        let changing = source("5.0", Some("6.0"), "5.0");
        for feature_version in ["5.0", "6.0"] {
            assert_eq!(said(&changing, "6.0.27", feature_version), (String::new(), 0));
        }
        assert!(said(&changing, "5.0.4", "5.0").0.contains("take a server of 6.0"));
        assert!(said(&changing, "6.0.27", "6.3").0.contains("changing to or from 6.0"));
    }

    #[test]
    fn what_is_not_known_is_not_compared_and_said() {
        assert_eq!(said(&SourceVersion::default(), "6.0.5", "6.0"), (String::new(), 2));
        assert_eq!(said(&source("6.0", None, "6.0"), "unknown", "6.0"), (String::new(), 1));
        let (problems, warnings) =
            said(&SourceVersion::new(None, [Series::new(6, 0)]), "5.0.4", "5.0");
        assert!(
            problems.contains("the source was on servers of 6.0; take") && warnings == 1,
            "{problems}"
        );
    }
}
