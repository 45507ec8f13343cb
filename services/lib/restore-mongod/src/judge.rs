//! Asks a target about validators and the pipelines of views, with queries of a collection that
//! does not exist.

use hindsight_mongo::{Client, Failure, codes};
use hindsight_oplog::raw::{DocWriter, kind};
use hindsight_restore::{Definition, RestoreError, Verdict};

use super::{blame, command};

/// A name that no collection has.
const NO_COLLECTION: &str = "hindsight_no_such_collection";
/// The error codes of a pipeline that the target does not understand: an invalid regular
/// expression, an invalid option of a regular expression, an unknown stage, an unknown expression.
/// Other refusals may be due to the missing collection, and become warnings.
const NOT_UNDERSTOOD: [i32; 4] = [51091, 51108, 40324, 168];
/// The error codes of an explained pipeline that fails because the collection, or an index of the
/// collection, is missing.
const FOR_WANT_OF_DATA: [i32; 3] = [26, 27, 291];

pub(super) async fn judge(
    client: &Client,
    db: &str,
    definition: Definition<'_>,
) -> Result<Verdict, RestoreError> {
    match command::run(client, db, query(definition)).await {
        Ok(_) => Ok(Verdict::Taken),
        // We may not ask.
        Err(failure) if failure.is(codes::UNAUTHORIZED) => Ok(Verdict::Taken),
        Err(failure) if failure.is_passing() => {
            Err(blame::reading(&failure, "which validators and views it understands"))
        }
        Err(refusal) => Ok(verdict(definition, &refusal)),
    }
}

/// Says what a refusal means. A filter of a missing collection is only parsed, so every refusal of
/// a validator counts.
fn verdict(definition: Definition<'_>, refusal: &Failure) -> Verdict {
    let reason = || refusal.message().to_owned();
    match definition {
        Definition::Validator(_) => Verdict::NotUnderstood(reason()),
        Definition::View { .. } if NOT_UNDERSTOOD.contains(&refusal.code()) => {
            Verdict::NotUnderstood(reason())
        }
        Definition::View { .. } if FOR_WANT_OF_DATA.contains(&refusal.code()) => Verdict::Taken,
        Definition::View { .. } => Verdict::Doubtful(reason()),
    }
}

/// Builds a `find` with the validator as its filter, or an `aggregate` of the view's pipeline that
/// is explained and not run.
fn query(definition: Definition<'_>) -> Vec<u8> {
    let mut query = DocWriter::new();
    match definition {
        Definition::Validator(validator) => {
            query.string(b"find", NO_COLLECTION);
            query.value(kind::DOCUMENT, b"filter", validator.as_bytes());
            query.int32(b"limit", 1);
        }
        Definition::View { pipeline, collation } => {
            query.string(b"aggregate", NO_COLLECTION);
            query.value(kind::ARRAY, b"pipeline", pipeline.value);
            if let Some(collation) = collation {
                query.value(kind::DOCUMENT, b"collation", collation.as_bytes());
            }
            query.value(kind::BOOL, b"explain", &[1]);
        }
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;
    use hindsight_oplog::raw::Doc;

    use super::*;

    #[test]
    fn a_target_is_asked_with_queries_that_write_nothing() {
        let validator = rawdoc! { "a": { "$gt": 1 } };
        let asked = query(Definition::Validator(Doc::new(validator.as_bytes()).expect("BSON")));
        let expected =
            rawdoc! { "find": NO_COLLECTION, "filter": { "a": { "$gt": 1 } }, "limit": 1 };
        assert_eq!(asked, expected.into_bytes());

        let view = rawdoc! { "pipeline": [{ "$out": "d" }] };
        let view = Doc::new(view.as_bytes()).expect("BSON");
        let pipeline = view.get(b"pipeline").expect("BSON").expect("a pipeline");
        let expected = rawdoc! {
            "aggregate": NO_COLLECTION, "pipeline": [{ "$out": "d" }], "explain": true,
        };
        let asked = query(Definition::View { pipeline, collation: None });
        assert_eq!(asked, expected.into_bytes());
    }

    #[test]
    fn a_missing_collection_says_nothing_about_a_view() {
        let view = rawdoc! { "pipeline": [] };
        let view = Doc::new(view.as_bytes()).expect("BSON");
        let pipeline = view.get(b"pipeline").expect("BSON").expect("a pipeline");
        let view = Definition::View { pipeline, collation: None };
        let said =
            |definition, code| verdict(definition, &Failure::from_server(code, "Name", "no"));
        assert_eq!(said(view, 40324), Verdict::NotUnderstood("no".into()));
        assert_eq!(said(view, 26), Verdict::Taken);
        assert_eq!(said(view, 7), Verdict::Doubtful("no".into()));
        let validator = Definition::Validator(Doc::EMPTY);
        assert_eq!(said(validator, 7), Verdict::NotUnderstood("no".into()));
    }
}
