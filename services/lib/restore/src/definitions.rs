//! Checks validators and the pipelines of views, which a target parses again and may refuse.
//! MongoDB 6.1 and later take fewer regular expressions (PCRE2); they refuse `^[\\w-\\.]+@`, for
//! example. The target is asked before anything is written, with queries of a collection that does
//! not exist.

use hindsight_mongo::{Client, Failure, codes};
use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};
use hindsight_oplog::time_series::BUCKETS_PREFIX;

use super::command;
use super::documents::display_id;
use super::findings::{Findings, Obstacle};
use super::plan::{VIEWS, ViewDocuments, skip_reason};
use super::snapshot::CollectionState;

/// A name that no collection has.
const NO_COLLECTION: &str = "hindsight_no_such_collection";
/// The error codes of a pipeline that the target does not understand: an invalid regular
/// expression, an invalid option of a regular expression, an unknown stage, an unknown expression.
/// Other refusals may be due to the missing collection, and become warnings.
const NOT_UNDERSTOOD: [i32; 4] = [51091, 51108, 40324, 168];
/// The error codes of an explained pipeline that fails because the collection, or an index of the
/// collection, is missing.
const FOR_WANT_OF_DATA: [i32; 3] = [26, 27, 291];

/// Asks the target about each validator and view. What the target refuses is a problem, or is taken
/// out of the state if `leave_out` is set.
///
/// # Errors
/// Returns the failure when the target cannot be asked. A catalog that is not BSON is reported as a
/// refusal.
pub(super) async fn fit(
    client: &Client,
    collections: &mut [CollectionState],
    views: &mut ViewDocuments,
    leave_out: bool,
) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    for state in collections {
        if skip_reason(&state.db, &state.name).is_some() {
            continue;
        }
        let asked = validator_query(&state.options).map_err(malformed)?;
        let Some(query) = asked else { continue };
        // A filter of a missing collection is only parsed.
        if let Some(refusal) = refusal(client, &state.db, query).await? {
            let obstacle = obstacle("option validator".to_owned(), refusal.message());
            if findings.tell(&state.namespace(), vec![obstacle], leave_out) {
                state.options = without_validator(&state.options).map_err(malformed)?;
            }
        }
    }
    for (db, documents) in views {
        let mut kept = Vec::with_capacity(documents.len());
        for document in std::mem::take(documents) {
            let refusal = match view_query(&document).map_err(malformed)? {
                Some(query) => refusal(client, db, query).await?,
                None => None,
            };
            let is_left_out = refusal.is_some_and(|refusal| {
                let what = format!("the view with _id {}", display_id(&document));
                tell_view(&mut findings, &format!("{db}.{VIEWS}"), what, refusal, leave_out)
            });
            if !is_left_out {
                kept.push(document);
            }
        }
        *documents = kept;
    }
    Ok(findings)
}

/// Records what the target says about a view. Returns true when the view is left out.
fn tell_view(
    findings: &mut Findings,
    namespace: &str,
    what: String,
    refusal: Failure,
    leave_out: bool,
) -> bool {
    if NOT_UNDERSTOOD.contains(&refusal.code()) {
        return findings.tell(namespace, vec![obstacle(what, refusal.message())], leave_out);
    }
    if !FOR_WANT_OF_DATA.contains(&refusal.code()) {
        let warning =
            format!("{namespace}, {what}: the target may refuse it: {}", refusal.message());
        findings.warnings.push(warning);
    }
    false
}

fn obstacle(what: String, reason: &str) -> Obstacle {
    Obstacle {
        what,
        reason: format!("the target does not understand it: {reason}"),
        remedy: "change it on the source, or restore into the source's version".to_owned(),
        removable: true,
    }
}

fn malformed(error: Malformed) -> Failure {
    Failure::refused(error.to_string())
}

/// Builds a `find` with the validator as its filter. Returns `None` when there is no validator or
/// an empty one.
fn validator_query(options: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let validator = Doc::new(options)?.get(b"validator")?.and_then(Element::as_doc);
    Ok(validator.filter(|validator| !validator.is_empty()).map(|validator| {
        let mut query = DocWriter::new();
        query.string(b"find", NO_COLLECTION);
        query.value(kind::DOCUMENT, b"filter", validator.as_bytes());
        query.int32(b"limit", 1);
        query.finish()
    }))
}

/// Builds an `aggregate` of the view's pipeline that is explained and not run. Returns `None` for
/// the view of a time-series, whose stage users may not send.
fn view_query(view: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let view = Doc::new(view)?;
    let view_on = view.get(b"viewOn")?.and_then(Element::as_str);
    let pipeline = view.get(b"pipeline")?.filter(|pipeline| pipeline.kind == kind::ARRAY);
    let (Some(view_on), Some(pipeline)) = (view_on, pipeline) else { return Ok(None) };
    if view_on.starts_with(BUCKETS_PREFIX) {
        return Ok(None);
    }
    let mut query = DocWriter::new();
    query.string(b"aggregate", NO_COLLECTION);
    query.value(kind::ARRAY, b"pipeline", pipeline.value);
    if let Some(collation) = view.get(b"collation")?.and_then(Element::as_doc) {
        query.value(kind::DOCUMENT, b"collation", collation.as_bytes());
    }
    query.value(kind::BOOL, b"explain", &[1]);
    Ok(Some(query.finish()))
}

/// Returns the target's refusal of a query. Returns `None` when the target accepts the query, and
/// when we may not ask.
async fn refusal(client: &Client, db: &str, query: Vec<u8>) -> Result<Option<Failure>, Failure> {
    match command::run(client, db, query).await {
        Ok(_) => Ok(None),
        Err(failure) if failure.is(codes::UNAUTHORIZED) => Ok(None),
        Err(failure) if failure.is_passing() => Err(failure),
        Err(failure) => Ok(Some(failure)),
    }
}

fn without_validator(options: &[u8]) -> Result<Vec<u8>, Malformed> {
    const VALIDATION: [&[u8]; 3] = [b"validator", b"validationLevel", b"validationAction"];
    let mut fitted = DocWriter::with_capacity(options.len());
    fitted.copy_without(Doc::new(options)?, &VALIDATION)?;
    Ok(fitted.finish())
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn a_target_is_asked_with_queries_that_write_nothing() {
        let options = rawdoc! { "validator": { "a": { "$gt": 1 } }, "validationLevel": "off" };
        let query = validator_query(options.as_bytes()).expect("well formed");
        let expected =
            rawdoc! { "find": NO_COLLECTION, "filter": { "a": { "$gt": 1 } }, "limit": 1 };
        assert_eq!(query, Some(expected.into_bytes()));
        let without = without_validator(options.as_bytes()).expect("well formed");
        assert_eq!(without, rawdoc! {}.into_bytes());
        let empty = rawdoc! { "validator": {} };
        assert_eq!(validator_query(empty.as_bytes()).expect("well formed"), None);

        let view = rawdoc! { "_id": "a.v", "viewOn": "c", "pipeline": [{ "$out": "d" }] };
        let query = view_query(view.as_bytes()).expect("well formed");
        let expected = rawdoc! {
            "aggregate": NO_COLLECTION, "pipeline": [{ "$out": "d" }], "explain": true,
        };
        assert_eq!(query, Some(expected.into_bytes()));
        let series = rawdoc! { "_id": "a.w", "viewOn": "system.buckets.w", "pipeline": [] };
        assert_eq!(view_query(series.as_bytes()).expect("well formed"), None);
    }

    #[test]
    fn what_is_left_out_is_named_and_what_is_not_has_a_remedy() {
        let mut findings = Findings::default();
        let mut tell = |code, leave_out| {
            let refusal = Failure::from_server(code, "Name", "no");
            let is_left_out =
                tell_view(&mut findings, "a.system.views", format!("{code}"), refusal, leave_out);
            (
                is_left_out,
                findings.problems().len(),
                findings.left_out.len(),
                findings.warnings.len(),
            )
        };
        assert_eq!(tell(40324, true), (true, 0, 1, 0));
        assert_eq!(tell(40324, false), (false, 1, 1, 0));
        // The collection is missing, which says nothing about the view.
        assert_eq!(tell(26, true), (false, 1, 1, 0));
        assert_eq!(tell(7, true), (false, 1, 1, 1));
        assert!(findings.problems()[0].contains("--leave-out-unrestorable"), "{findings:?}");
        assert_eq!(findings.left_out[0].ns, "a.system.views (40324)");
    }
}
