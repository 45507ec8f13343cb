//! Checks validators and the pipelines of views, which a target parses again and may refuse.
//! MongoDB 6.1 and later take fewer regular expressions (PCRE2); they refuse `^[\\w-\\.]+@`, for
//! example. The target is asked before anything is written.

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};
use hindsight_oplog::time_series::BUCKETS_PREFIX;

use super::destination::{Definition, Destination, Verdict};
use super::documents::display_id;
use super::error::RestoreError;
use super::findings::{Findings, Obstacle};
use super::plan::{VIEWS, ViewDocuments, skip_reason};
use super::snapshot::CollectionState;

/// Asks the target about each validator and view. What the target refuses is a problem, or is taken
/// out of the state if `leave_out` is set.
///
/// # Errors
/// Returns [`RestoreError::Source`] for a catalog that is not BSON, and the destination's error
/// when it cannot be asked.
pub(super) async fn fit(
    destination: &dyn Destination,
    collections: &mut [CollectionState],
    views: &mut ViewDocuments,
    leave_out: bool,
) -> Result<Findings, RestoreError> {
    let mut findings = Findings::default();
    for state in collections {
        if skip_reason(&state.db, &state.name).is_some() {
            continue;
        }
        let namespace = state.namespace();
        let malformed = |error| malformed(&namespace, error);
        let Some(definition) = validator(&state.options).map_err(malformed)? else { continue };
        let verdict = destination.judge(&state.db, definition).await?;
        let what = "option validator".to_owned();
        if findings.hear(&namespace, what, verdict, leave_out) {
            state.options = without_validator(&state.options).map_err(malformed)?;
        }
    }
    for (db, documents) in views {
        let namespace = format!("{db}.{VIEWS}");
        let mut kept = Vec::with_capacity(documents.len());
        for document in std::mem::take(documents) {
            let definition = view(&document).map_err(|error| malformed(&namespace, error))?;
            let verdict = match definition {
                Some(definition) => destination.judge(db, definition).await?,
                None => Verdict::Taken,
            };
            let what = format!("the view with _id {}", display_id(&document));
            if !findings.hear(&namespace, what, verdict, leave_out) {
                kept.push(document);
            }
        }
        *documents = kept;
    }
    Ok(findings)
}

impl Findings {
    /// Records what the target says about a definition. Returns true when the definition is left
    /// out.
    fn hear(&mut self, namespace: &str, what: String, verdict: Verdict, leave_out: bool) -> bool {
        match verdict {
            Verdict::Taken => false,
            Verdict::Doubtful(reason) => {
                let warning = format!("{namespace}, {what}: the target may refuse it: {reason}");
                self.warnings.push(warning);
                false
            }
            Verdict::NotUnderstood(reason) => {
                let obstacle = Obstacle {
                    what,
                    reason: format!("the target does not understand it: {reason}"),
                    remedy: "change it on the source, or restore into the source's version"
                        .to_owned(),
                    removable: true,
                };
                self.tell(namespace, vec![obstacle], leave_out)
            }
        }
    }
}

fn malformed(namespace: &str, error: Malformed) -> RestoreError {
    RestoreError::Source { namespace: namespace.to_owned(), source: error.into() }
}

/// Returns the validator, or `None` when there is none or an empty one.
fn validator(options: &[u8]) -> Result<Option<Definition<'_>>, Malformed> {
    let validator = Doc::new(options)?.get(b"validator")?.and_then(Element::as_doc);
    Ok(validator.filter(|validator| !validator.is_empty()).map(Definition::Validator))
}

/// Returns what the target may refuse of a view, or `None` for the view of a time-series, whose
/// stage users may not send.
fn view(document: &[u8]) -> Result<Option<Definition<'_>>, Malformed> {
    let view = Doc::new(document)?;
    let view_on = view.get(b"viewOn")?.and_then(Element::as_str);
    let pipeline = view.get(b"pipeline")?.filter(|pipeline| pipeline.kind == kind::ARRAY);
    let (Some(view_on), Some(pipeline)) = (view_on, pipeline) else { return Ok(None) };
    if view_on.starts_with(BUCKETS_PREFIX) {
        return Ok(None);
    }
    let collation = view.get(b"collation")?.and_then(Element::as_doc);
    Ok(Some(Definition::View { pipeline, collation }))
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
    use hindsight_remedy::Remedy;

    use super::*;

    #[test]
    fn a_target_is_asked_about_what_it_parses() {
        let options = rawdoc! { "validator": { "a": { "$gt": 1 } }, "validationLevel": "off" };
        let asked = validator(options.as_bytes()).expect("well formed");
        assert!(matches!(asked, Some(Definition::Validator(_))), "{asked:?}");
        let without = without_validator(options.as_bytes()).expect("well formed");
        assert_eq!(without, rawdoc! {}.into_bytes());
        let empty = rawdoc! { "validator": {} };
        assert!(validator(empty.as_bytes()).expect("well formed").is_none());

        let plain = rawdoc! { "_id": "a.v", "viewOn": "c", "pipeline": [{ "$out": "d" }] };
        let asked = view(plain.as_bytes()).expect("well formed");
        assert!(matches!(asked, Some(Definition::View { collation: None, .. })), "{asked:?}");
        let series = rawdoc! { "_id": "a.w", "viewOn": "system.buckets.w", "pipeline": [] };
        assert!(view(series.as_bytes()).expect("well formed").is_none());
    }

    #[test]
    fn what_is_left_out_is_named_and_what_is_not_has_a_remedy() {
        let mut findings = Findings::default();
        let mut tell = |what: &str, verdict, leave_out| {
            let is_left_out = findings.hear("a.system.views", what.into(), verdict, leave_out);
            (
                is_left_out,
                findings.problems().len(),
                findings.left_out.len(),
                findings.warnings.len(),
            )
        };
        let refused = || Verdict::NotUnderstood("no".into());
        assert_eq!(tell("v", refused(), true), (true, 0, 1, 0));
        assert_eq!(tell("v", refused(), false), (false, 1, 1, 0));
        assert_eq!(tell("w", Verdict::Taken, true), (false, 1, 1, 0));
        assert_eq!(tell("x", Verdict::Doubtful("no".into()), true), (false, 1, 1, 1));
        assert!(findings.problems()[0].ends_with("; or leave it out"), "{findings:?}");
        assert_eq!(findings.remedies(), [Remedy::LeaveOutUnrestorable]);
        assert_eq!(findings.left_out[0].ns, "a.system.views (v)");
    }
}
