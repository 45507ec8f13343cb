//! The error for a name under which no documents are held.

use bson::{RawDocument, rawdoc};
use hindsight_history::View;
use hindsight_oplog::Timestamp;
use hindsight_oplog::raw::Doc;
use hindsight_refusal::Reason;
use tonic::Status;

/// The name prefix of the collection that holds the buckets of a time-series collection.
pub(crate) const BUCKETS: &str = "system.buckets.";

/// Views and time-series collections are listed, but hold no documents themselves.
pub(crate) fn no_such_collection(view: &View<'_>, ns: &str) -> Status {
    let shown = shown_by(view, ns);
    Reason::NoSuchCollection.status(text(ns, view.at(), shown.as_deref()))
}

/// Returns the name of the collection that the view of this name shows, without its database.
pub(crate) fn shown_by(view: &View<'_>, ns: &str) -> Option<String> {
    let (database, _) = ns.split_once('.')?;
    let id = rawdoc! {"_id": ns};
    let id = Doc::new(id.as_bytes()).ok()?.first().ok()??;
    let definition = view.get(&format!("{database}.system.views"), id).ok()??;
    RawDocument::from_bytes(&definition).ok()?.get_str("viewOn").ok().map(str::to_owned)
}

fn text(ns: &str, at: Timestamp, shown: Option<&str>) -> String {
    let (Some(shown), Some((database, name))) = (shown, ns.split_once('.')) else {
        return format!("{ns} does not exist at {at}");
    };
    if shown.strip_prefix(BUCKETS) == Some(name) {
        return format!(
            "{ns} is a time-series collection at {at}: what it holds is in the documents of {database}.{shown}"
        );
    }
    format!(
        "{ns} is a view at {at}, which has no documents of its own: ask for {database}.{shown}, which it shows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_and_a_time_series_collection_say_where_their_documents_are() {
        let text = |shown| text("shop.paid", Timestamp::new(7, 1), shown);
        assert_eq!(text(None), "shop.paid does not exist at 7,1");
        let (view, series) = (text(Some("orders")), text(Some("system.buckets.paid")));
        assert!(view.contains("is a view") && view.contains("shop.orders"), "{view}");
        assert!(series.contains("time-series") && series.contains("shop.system.buckets.paid"));
        let of_series = text(Some("system.buckets.other"));
        assert!(of_series.contains("is a view"), "{of_series}");
    }
}
