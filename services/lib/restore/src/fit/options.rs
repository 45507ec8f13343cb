//! Fits the options of a collection to a target.

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed};

use super::super::version::Version;
use super::{Limits, Obstacle};

/// The version of the collations of every server from 4.4 to 7.0, as their specs name it.
const COLLATIONS: &str = "57.1";
/// The newest major version whose collection options and collations are known here.
const NEWEST_KNOWN: u32 = 7;

/// Options that `create` takes on servers up to [`NEWEST_KNOWN`], and options that are known but
/// not meant for `create`.
const KNOWN: [&[u8]; 23] = [
    b"capped",
    b"size",
    b"max",
    b"autoIndexId",
    b"flags",
    b"temp",
    b"uuid",
    b"idIndex",
    b"storageEngine",
    b"indexOptionDefaults",
    b"validator",
    b"validationLevel",
    b"validationAction",
    b"collation",
    b"clusteredIndex",
    b"expireAfterSeconds",
    b"timeseries",
    b"recordPreImages",
    b"changeStreamPreAndPostImages",
    b"encryptedFields",
    b"viewOn",
    b"pipeline",
    b"comment",
];

/// Returns the options without what the target cannot hold, and the obstacles that were found.
pub(super) fn fit(options: Doc<'_>, limits: Limits) -> Result<(Vec<u8>, Vec<Obstacle>), Malformed> {
    let mut fitted = DocWriter::with_capacity(options.as_bytes().len());
    let mut obstacles = Vec::new();
    for element in options.elements() {
        let element = element?;
        // The upgrade to 7.0 dropped this option without an entry.
        if element.name == b"recordPreImages" && limits.source_feature_major >= Some(7) {
            continue;
        }
        // Without a size, a collection has neither a cap nor a limit of documents.
        let is_of_cap = matches!(element.name, b"capped" | b"max");
        match obstacle(options, element, limits)? {
            Some(obstacle) => obstacles.push(obstacle),
            None if is_of_cap && is_of_no_size(options, limits.version)? => {}
            None => drop(fitted.element(element)),
        }
    }
    Ok((fitted.finish(), obstacles))
}

fn obstacle(
    options: Doc<'_>,
    element: Element<'_>,
    limits: Limits,
) -> Result<Option<Obstacle>, Malformed> {
    let version = limits.version;
    let what = || format!("option {}", String::from_utf8_lossy(element.name));
    let no = |removable: bool, reason: String, remedy: &str| {
        Some(Obstacle { what: what(), reason, remedy: remedy.to_owned(), removable })
    };
    let needs = |first: Version, name: &str| {
        let reason = format!("MongoDB {version} does not know it");
        (version < first)
            .then(|| no(false, reason, &format!("restore into MongoDB {name} or later")))
    };
    Ok(match element.name {
        b"timeseries" => needs(Version(5, 0, 0), "5.0").flatten(),
        b"clusteredIndex" if options.get(b"timeseries")?.is_none() => {
            needs(Version(5, 3, 0), "6.0").flatten()
        }
        b"encryptedFields" if limits.standalone => no(
            false,
            "a standalone server takes no encrypted collections".into(),
            "restore into a replica set",
        ),
        b"encryptedFields" => needs(Version(6, 0, 0), "6.0").flatten(),
        b"changeStreamPreAndPostImages" if version < Version(6, 0, 0) => no(
            true,
            format!("MongoDB {version} does not know it"),
            "restore into MongoDB 6.0 or later",
        ),
        b"recordPreImages" if version >= Version(6, 2, 0) => no(
            true,
            format!("MongoDB {version} no longer knows it, and an upgrade drops it too"),
            "restore into the source's version",
        ),
        b"recordPreImages" if options.get(b"changeStreamPreAndPostImages")?.is_some() => no(
            true,
            "a server makes no collection with changeStreamPreAndPostImages besides".into(),
            "",
        ),
        b"autoIndexId" if element.as_bool() == Some(false) => no(
            false,
            "a collection without an index on _id was replicated only by servers before 4.0".into(),
            "no remedy is known",
        ),
        b"size" if is_of_no_size(options, version)? => no(
            true,
            format!("a capped collection of size 0 can be made by MongoDB 4.4, not by {version}"),
            "restore into MongoDB 4.4, if the source was no newer",
        ),
        b"storageEngine" if version >= Version(7, 0, 0) && names_other_engine(element)? => no(
            true,
            format!("MongoDB {version} has no storage engine of that name"),
            "restore into MongoDB 6.0",
        ),
        b"collation" => match element.as_doc() {
            Some(collation) => collation_obstacle(collation, what, false, limits)?,
            None => None,
        },
        name if version.0 <= NEWEST_KNOWN && !KNOWN.contains(&name) => no(
            true,
            format!("MongoDB {version} does not know it"),
            "restore into the source's version",
        ),
        _ => None,
    })
}

/// Returns true if there are settings for an engine other than WiredTiger and the in-memory engine.
/// Such settings are for an engine for tests; servers up to 6.0 take settings for any engine that
/// they know.
fn names_other_engine(engines: Element<'_>) -> Result<bool, Malformed> {
    for engine in engines.as_doc().unwrap_or(Doc::EMPTY).elements() {
        if !matches!(engine?.name, b"wiredTiger" | b"inMemory") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true for a capped collection that holds nothing (of size 0), which this target cannot
/// create. Without `capped`, a size bounds nothing.
fn is_of_no_size(options: Doc<'_>, version: Version) -> Result<bool, Malformed> {
    let capped = options.get(b"capped")?.and_then(Element::as_bool) == Some(true);
    let size = options.get(b"size")?.and_then(Element::as_integer);
    Ok(capped && size == Some(0) && version >= Version(5, 0, 0))
}

/// Returns an obstacle for a collation whose rules this target does not have.
pub(super) fn collation_obstacle(
    collation: Doc<'_>,
    what: impl Fn() -> String,
    removable: bool,
    limits: Limits,
) -> Result<Option<Obstacle>, Malformed> {
    let version = collation.get(b"version")?.and_then(Element::as_str);
    let Some(version) = version.filter(|version| *version != COLLATIONS) else { return Ok(None) };
    if limits.version.0 > NEWEST_KNOWN {
        return Ok(None);
    }
    Ok(Some(Obstacle {
        what: what(),
        reason: format!(
            "its collation is of version {version}, and MongoDB {} has {COLLATIONS}",
            limits.version
        ),
        remedy: "restore into the source's version".to_owned(),
        removable,
    }))
}
