//! Collections that compare strings by a collation. The comparisons here are by bytes, so a request
//! is refused when a restored server could answer it differently.

use hindsight_history::CollectionState;
use hindsight_oplog::raw::{Doc, Element};
use hindsight_query::{Filter, holds_strings};
use hindsight_refusal::invalid;
use tonic::Status;

/// Refuses a filter that compares strings in one of these collections.
pub(crate) fn check_filter<'a>(
    filter: Option<&Filter>,
    states: impl IntoIterator<Item = &'a CollectionState>,
) -> Result<(), Status> {
    if !filter.is_some_and(Filter::compares_strings) {
        return Ok(());
    }
    match states.into_iter().find_map(collated) {
        None => Ok(()),
        Some((ns, collation)) => Err(invalid(
            "filter",
            format!(
                "it compares strings, and {ns} compares them by a collation ({collation}), which is not applied here: \
                 filter by values of other types or by $regex, which no collation changes, or ask for all documents"
            ),
        )),
    }
}

/// Refuses to report that no document has this id, when the collection has a collation. The id was
/// looked up by its bytes, and a document whose id is spelled differently may be equal.
pub(crate) fn check_absent<'a>(
    id: Element<'_>,
    states: impl IntoIterator<Item = &'a CollectionState>,
) -> Result<(), Status> {
    if !holds_strings(id) {
        return Ok(());
    }
    match states.into_iter().find_map(collated) {
        None => Ok(()),
        Some((ns, collation)) => Err(invalid(
            "id",
            format!(
                "no document has exactly this _id, and {ns} compares strings by a collation ({collation}): another \
                 spelling may be equal, and only the exact string can be looked up"
            ),
        )),
    }
}

/// Returns the name and the collation of a collection, or `None` when it has no collation.
fn collated(state: &CollectionState) -> Option<(&str, String)> {
    Some((&state.ns, shown(state.collation()?)))
}

fn shown(collation: Doc<'_>) -> String {
    let field = |name: &[u8]| collation.get(name).ok().flatten();
    let locale = field(b"locale").and_then(Element::as_str).unwrap_or("unknown");
    match field(b"strength").and_then(Element::as_integer) {
        Some(strength) => format!("locale {locale}, strength {strength}"),
        None => format!("locale {locale}"),
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocument, RawDocumentBuf, rawdoc};
    use hindsight_query::Series;
    use tonic_types::StatusExt;

    use super::*;

    fn states() -> [CollectionState; 3] {
        let state = |ns: &str, options: RawDocumentBuf| CollectionState {
            options: options.into_bytes(),
            ..CollectionState::new([7; 16], ns)
        };
        [
            state("shop.plain", rawdoc! {"capped": true}),
            state("shop.simple", rawdoc! {"collation": {"locale": "simple"}}),
            state("shop.french", rawdoc! {"collation": {"locale": "fr", "strength": 1}}),
        ]
    }

    #[track_caller]
    fn refuses(refused: Result<(), Status>, field: &str) {
        let status = refused.expect_err("it is refused");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().expect("every status has one");
        assert_eq!(info.metadata.get("field").map(String::as_str), Some(field));
        for part in ["shop.french", "locale fr, strength 1"] {
            assert!(status.message().contains(part), "{part:?} is not in {status}");
        }
    }

    fn filter(document: &RawDocument) -> Filter {
        Filter::parse(document, Series::new(6, 0)).expect("a filter")
    }

    #[test]
    fn strings_are_compared_only_where_bytes_are() {
        let states = states();
        let strings = filter(&rawdoc! {"a": {"$gt": "x"}});
        check_filter(Some(&strings), &states[..2]).expect("these compare bytes");
        refuses(check_filter(Some(&strings), &states), "filter");
        check_filter(Some(&filter(&rawdoc! {"a": {"$regex": "x"}})), &states).expect("no strings");
        check_filter(None, &states).expect("no filter");
    }

    #[test]
    fn an_id_may_be_written_otherwise_only_where_it_holds_strings() {
        let states = states();
        let check = |document: RawDocumentBuf, states: &[CollectionState]| {
            let id = Doc::new(document.as_bytes()).expect("BSON").first().expect("BSON");
            check_absent(id.expect("an id"), states)
        };
        check(rawdoc! {"_id": "x"}, &states[..2]).expect("these compare bytes");
        refuses(check(rawdoc! {"_id": "x"}, &states), "id");
        refuses(check(rawdoc! {"_id": {"a": ["x"]}}, &states), "id");
        check(rawdoc! {"_id": {"a": 1}}, &states).expect("no strings");
    }
}
