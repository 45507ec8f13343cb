//! Notes about names under which little or nothing is written. They accompany an answer about such
//! a name, so that nobody takes an empty answer for "nothing happened".

use hindsight_replayer::Engine;

use super::absent::{BUCKETS, shown_by};

/// Returns where to look for what a time-series collection or a view of that name shows, according
/// to the newest state of the history. Returns nothing for other names.
pub(crate) fn notes(engine: &Engine, ns: &str) -> Vec<String> {
    let through = engine.applied.borrow().through;
    let view = through.and_then(|through| engine.view(through).ok());
    let shown = view.and_then(|view| shown_by(&view, ns));
    note(ns, shown.as_deref()).into_iter().collect()
}

fn note(ns: &str, shown: Option<&str>) -> Option<String> {
    let (shown, (database, name)) = (shown?, ns.split_once('.')?);
    if shown.strip_prefix(BUCKETS) == Some(name) {
        return Some(format!(
            "{ns} is a time-series collection: what is written to it are documents of {database}.{shown}, each with \
             many measurements, and told here"
        ));
    }
    Some(format!(
        "{ns} is a view of {database}.{shown}: what it shows is written there. Its own are changes of its definition, \
         documents of {database}.system.views, which a search of {ns} finds"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_time_series_collections_say_where_to_look() {
        let series = note("t.w", Some("system.buckets.w")).expect("a note");
        assert!(
            series.contains("time-series") && series.contains("t.system.buckets.w"),
            "{series}"
        );
        let view = note("t.v", Some("o")).expect("a note");
        assert!(view.contains("is a view of t.o") && view.contains("t.system.views"), "{view}");
        assert_eq!(note("t.o", None), None);
        assert_eq!(note("t", Some("o")), None);
    }
}
