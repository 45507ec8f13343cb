//! Views that rest on each other in a circle. No server creates such views; they come from writes
//! into `system.views` itself.

use std::collections::BTreeMap;

use hindsight_oplog::raw::{Doc, Element};

use super::super::error::{LISTED, listed};
use super::PlannedView;

/// Returns a problem when there are such views: it names those in a circle, and those that rest on
/// one.
pub(super) fn problem(views: &[PlannedView]) -> Option<String> {
    let below: BTreeMap<(&str, &str), &str> = views
        .iter()
        .filter_map(|view| Some(((view.db.as_str(), view.name.as_str()), view_on(view)?)))
        .collect();
    let never_ends = |view: &&PlannedView| {
        let mut name = view.name.as_str();
        // A chain without a circle has at most as many steps as there are views.
        (0..=below.len()).all(|_| match below.get(&(view.db.as_str(), name)) {
            Some(next) => {
                name = next;
                true
            }
            None => false,
        })
    };
    let found = views.iter().filter(never_ends);
    let found: Vec<_> = found.map(|view| format!("{}.{}", view.db, view.name)).collect();
    (!found.is_empty()).then(|| {
        format!(
            "{}: these views rest on each other in a circle, and no server creates them; drop one of them on the source, \
             and restore a later time",
            listed(&found, LISTED)
        )
    })
}

fn view_on(view: &PlannedView) -> Option<&str> {
    Doc::new(&view.definition).ok()?.get(b"viewOn").ok()?.and_then(Element::as_str)
}
