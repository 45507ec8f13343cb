//! Fits the spec of an index to a target.

use hindsight_form::{IndexKind, index_name, is_foreign, is_nan, kind_of, repaired};
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed};

use super::super::version::Version;
use super::options::collation_obstacle;
use super::{Fitted, Limits, Obstacle};

/// The newest major version whose index options are known here.
const NEWEST_KNOWN: u32 = 7;

/// Index options that servers up to [`NEWEST_KNOWN`] take.
const KNOWN: [&[u8]; 25] = [
    b"v",
    b"key",
    b"name",
    b"background",
    b"unique",
    b"sparse",
    b"hidden",
    b"prepareUnique",
    b"expireAfterSeconds",
    b"partialFilterExpression",
    b"collation",
    b"storageEngine",
    b"wildcardProjection",
    b"weights",
    b"default_language",
    b"language_override",
    b"textIndexVersion",
    b"2dsphereIndexVersion",
    b"coarsestIndexedLevel",
    b"finestIndexedLevel",
    b"bits",
    b"min",
    b"max",
    b"bucketSize",
    b"originalSpec",
];

/// Returns the spec as the target will list it, or why the target cannot have the index.
pub(super) fn fit(
    options: Doc<'_>,
    spec: Doc<'_>,
    limits: Limits,
) -> Result<Result<Fitted, Obstacle>, Malformed> {
    let index_kind = kind_of(spec)?;
    if let Some(obstacle) = obstacle(options, spec, &index_kind, limits)? {
        return Ok(Err(obstacle));
    }
    // 4.4 lists a spec as it was given.
    let listed = match limits.version >= Version(5, 0, 0) {
        true => repaired(Doc::new(&without_nan(spec, limits)?)?)?,
        false => spec.as_bytes().to_vec(),
    };
    let mut fitted = Fitted { bytes: Vec::new(), dropped: Vec::new() };
    let mut writer = DocWriter::with_capacity(listed.len());
    for element in Doc::new(&listed)?.elements() {
        let element = element?;
        if element.name == b"ns" || is_refused(&index_kind, element.name, limits) {
            continue;
        }
        if limits.version.0 <= NEWEST_KNOWN && !KNOWN.contains(&element.name) {
            fitted.dropped.push(String::from_utf8_lossy(element.name).into_owned());
            continue;
        }
        writer.element(element);
    }
    fitted.bytes = writer.finish();
    Ok(Ok(fitted))
}

/// Returns true for an option of another kind of index that the target refuses instead of ignoring:
/// `weights` from 5.0 on, and `bucketSize` on 5.0.4 and 6.0.5, but not on 6.0.27 and 7.0.28, which
/// list it again.
fn is_refused(index_kind: &IndexKind, option: &[u8], limits: Limits) -> bool {
    let version = limits.version;
    let is_refused = match option {
        b"weights" => version >= Version(5, 0, 0),
        b"bucketSize" => (Version(5, 0, 0)..Version(6, 0, 27)).contains(&version),
        _ => false,
    };
    is_refused && is_foreign(index_kind, option)
}

fn obstacle(
    options: Doc<'_>,
    spec: Doc<'_>,
    index_kind: &IndexKind,
    limits: Limits,
) -> Result<Option<Obstacle>, Malformed> {
    let version = limits.version;
    let no = |reason: String, remedy: &str| {
        let what = format!("index {}", index_name(spec.as_bytes()));
        Some(Obstacle { what, reason, remedy: remedy.to_owned(), removable: true })
    };
    match index_kind {
        IndexKind::Haystack if version >= Version(5, 0, 0) => {
            let reason = format!("MongoDB {version} has no geoHaystack indexes");
            return Ok(no(reason, "restore into MongoDB 4.4"));
        }
        IndexKind::Other(plugin) => {
            let reason = format!("MongoDB {version} makes no indexes of kind {plugin} on request");
            return Ok(no(reason, "restore into a server that does"));
        }
        _ => {}
    }
    if let Some(v) = spec.get(b"v")?.and_then(Element::as_integer).filter(|v| !(1..3).contains(v)) {
        let reason = format!("MongoDB {version} makes no indexes of version {v}");
        return Ok(no(reason, "restore into a server that does"));
    }
    if let Some(seconds) = spec.get(b"expireAfterSeconds")? {
        let capped = options.get(b"capped")?.is_some_and(|flag| flag.as_bool() == Some(true));
        if capped && version >= Version(6, 0, 0) {
            let reason = format!("MongoDB {version} makes no TTL index on a capped collection");
            return Ok(no(reason, "restore into MongoDB 5.0, if the source was no newer"));
        }
        let at_once = limits.source_feature_major == Some(5);
        if is_nan(seconds) && !at_once && expires_at_nan(version) {
            let reason = format!(
                "its expireAfterSeconds is NaN, by which the source never expires a document, and MongoDB \
                 {version} would expire all at once"
            );
            return Ok(no(
                reason,
                "restore into MongoDB 4.4, a 5.0 from 5.0.14 on, or 6.0.2 or later",
            ));
        }
    }
    if let Some(reason) = seconds_refused(spec, limits)? {
        return Ok(no(reason, "restore into MongoDB 5.0.14 or later, or change it on the source"));
    }
    let wildcard_compound = *index_kind == IndexKind::Wildcard && {
        let key = spec.get(b"key")?.and_then(Element::as_doc).unwrap_or(Doc::EMPTY);
        key.elements().count() > 1
    };
    if wildcard_compound && version < Version(7, 0, 0) {
        let reason = format!("MongoDB {version} has no compound wildcard indexes");
        return Ok(no(reason, "restore into MongoDB 7.0 or later"));
    }
    let collation = spec.get(b"collation")?.and_then(Element::as_doc);
    let what = || format!("index {}", index_name(spec.as_bytes()));
    collation.map_or(Ok(None), |collation| collation_obstacle(collation, what, true, limits))
}

/// Returns why the target refuses the seconds of a TTL index, or `None` if it takes them. The
/// `collMod` of 4.4.2 and 5.0.4 takes any number of seconds; their `createIndexes` takes only
/// numbers that, counted back from now, lead to a time after 1970.
fn seconds_refused(spec: Doc<'_>, limits: Limits) -> Result<Option<String>, Malformed> {
    let version = limits.version;
    let seconds = spec.get(b"expireAfterSeconds")?.filter(|seconds| !is_nan(*seconds));
    let seconds = seconds.and_then(Element::as_integer);
    let is_taken = |seconds: &i64| (0..=limits.now.unwrap_or(i64::MAX)).contains(seconds);
    Ok(seconds.filter(|it| version < Version(5, 0, 14) && !is_taken(it)).map(|seconds| {
        format!("its expireAfterSeconds is {seconds}, which createIndexes of MongoDB {version} does not take")
    }))
}

/// Returns true if the target would expire all documents at once for NaN. 5.0.14 and 6.0.2 take NaN
/// for "never", as 4.4 does, and store the largest number instead.
fn expires_at_nan(version: Version) -> bool {
    (Version(5, 0, 0)..Version(5, 0, 14)).contains(&version)
        || (Version(6, 0, 0)..Version(6, 0, 2)).contains(&version)
}

/// Returns the spec with NaN seconds replaced by what the source took them for: 5.0.4 took them for
/// 0 (later 5.0 servers log and list a number), and the others for "never".
fn without_nan(spec: Doc<'_>, limits: Limits) -> Result<Vec<u8>, Malformed> {
    let mut writer = DocWriter::with_capacity(spec.as_bytes().len());
    for element in spec.elements() {
        let element = element?;
        match element.name {
            b"expireAfterSeconds" if is_nan(element) => {
                let at_once = limits.source_feature_major == Some(5);
                writer.int32(element.name, if at_once { 0 } else { i32::MAX });
            }
            _ => drop(writer.element(element)),
        }
    }
    Ok(writer.finish())
}
