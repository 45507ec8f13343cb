//! Operations of a user's `applyOps`, which MongoDB 6.0 and earlier log as the user gave them.
//!
//! These operations are idempotent: an insert replaces an existing document, a delete of a missing
//! document does nothing, and an update inserts unless the command says `alwaysUpsert: false`. The
//! operations of a transaction are not idempotent: they fit the state before them, or base or log
//! is wrong.

use std::borrow::Cow;

use bson::{RawDocument, RawDocumentBuf};
use hindsight_oplog::raw::{Doc, DocWriter, Element, kind};
use hindsight_oplog::update::{self, Circumstances, Conditions, Now};
use hindsight_oplog::{Operation, Origin, Series};
use hindsight_query::Filter;

use crate::apply::unappliable;
use crate::unit::{Target, Unit};
use crate::{ApplyError, Writer};

/// From this feature compatibility version on, an `applyOps` of a user is not logged; each of its
/// operations is logged instead.
const LOGGED_SINGLY_SINCE: u32 = 7;

/// The version that answers the conditions of `$pull`. Filters answer alike in every version that
/// logs such an `applyOps`.
const QUERIED_AS: Series = Series::new(6, 0);

pub(crate) const NOT_IDEMPOTENT: &str = "an applyOps with an update that is not idempotent, while the base was being \
                                         copied: whether the base holds it already cannot be told";

/// What is known about a user's operation besides the operation itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct User {
    /// Major number of the feature compatibility version.
    pub(crate) server: Option<u32>,
    wall_ms: Option<i64>,
}

/// The circumstances of an update, whether it is a user's update or not.
pub(crate) fn circumstances(
    unit: &Unit,
    target: &Target,
    user: Option<User>,
) -> Circumstances<'static> {
    let user = user.unwrap_or_default();
    let at_second = i64::from(unit.at.ts.seconds()) * 1000;
    Circumstances {
        server: user.server,
        has_collation: target.has_collation,
        conditions: if target.has_collation { &Queries::Collated } else { &Queries::Simple },
        // The server takes a time for the document just before it takes a time for the entry.
        now: Now {
            wall_ms: user.wall_ms.unwrap_or(at_second),
            timestamp: unit.at.ts.predecessor(),
        },
    }
}

impl Writer<'_> {
    /// Returns the user behind an operation; `None` for an operation of the server itself. The
    /// writer may lose the current document.
    pub(crate) fn user(&mut self, op: &Operation<'_>) -> Result<Option<User>, ApplyError> {
        let wall_ms = match op.origin {
            Origin::Server => return Ok(None),
            Origin::User { wall_ms } | Origin::UserOrBatch { wall_ms } => wall_ms,
        };
        let server = self.feature_version()?.map(|it| u32::from(it.version.major));
        let is_certain = matches!(op.origin, Origin::User { .. });
        let is_user = is_certain || server.is_some_and(|server| server < LOGGED_SINGLY_SINCE);
        Ok(is_user.then_some(User { server, wall_ms }))
    }

    /// Returns the document that a user's insert makes.
    pub(crate) fn users_document(
        &mut self,
        unit: &Unit,
        op: &Operation<'_>,
    ) -> Result<Cow<'static, [u8]>, ApplyError> {
        self.note_clock(unit, op, update::has_empty_timestamp(op.o));
        let document = update::inserted(op.o).map_err(|error| unappliable(unit, op, &error))?;
        Ok(Cow::Owned(document))
    }

    /// Whether a collection of that name exists.
    pub(crate) fn is_named(&self, ns: &str) -> bool {
        self.history.read_catalog().live_named(self.generation.id, ns).is_some()
    }

    /// Counts and reports a document into which the server put its own clock. Each member of the
    /// set holds another value, and the history holds the time of the entry.
    pub(crate) fn note_clock(&mut self, unit: &Unit, op: &Operation<'_>, takes_the_clock: bool) {
        if takes_the_clock {
            self.counts.clock_values += 1;
            crate::metrics::clock_value();
            tracing::warn!(
                entry = %unit.at, ns = op.ns,
                "an applyOps lets each server put its own time into a document ($currentDate, or an empty \
                 timestamp): the members of the set differ about it, and the history holds the time of the entry, or the \
                 empty timestamp as it was given"
            );
        }
    }
}

/// Judges the conditions of `$pull` in a collection without a collation, or with one.
enum Queries {
    Simple,
    Collated,
}

impl Conditions for Queries {
    /// Judges as the server does: operators judge the element itself, and other documents are
    /// filters for elements that are documents (server: `PullNode`).
    fn hold(&self, condition: Element<'_>, element: Element<'_>) -> Result<bool, String> {
        const VALUE: &[u8] = b"v";
        let filter = match condition.as_doc() {
            Some(filter) if !begins_with_test(filter) => {
                if element.kind != kind::DOCUMENT {
                    return Ok(false);
                }
                return self.judge(filter.as_bytes(), element.value);
            }
            _ => holder(VALUE, condition),
        };
        self.judge(&filter, &holder(VALUE, element))
    }
}

impl Queries {
    fn judge(&self, filter: &[u8], document: &[u8]) -> Result<bool, String> {
        let filter = RawDocumentBuf::from_bytes(filter.to_vec()).map_err(|e| e.to_string())?;
        let filter = Filter::parse(&filter, QUERIED_AS).map_err(|error| error.to_string())?;
        if matches!(self, Self::Collated) && filter.compares_strings() {
            return Err("it compares strings in a collection with a collation".to_owned());
        }
        let document = RawDocument::from_bytes(document).map_err(|error| error.to_string())?;
        Ok(filter.matches(document))
    }
}

/// Whether the first field is an operator that tests a value, and not an operator that combines
/// filters.
fn begins_with_test(filter: Doc<'_>) -> bool {
    let first = filter.first().ok().flatten().map(|element| element.name);
    let combines =
        |name: &[u8]| matches!(name, b"$and" | b"$or" | b"$nor" | b"$expr" | b"$comment" | b"$not");
    first.is_some_and(|name| name.starts_with(b"$") && !combines(name))
}

fn holder(name: &[u8], element: Element<'_>) -> Vec<u8> {
    let mut holder = DocWriter::with_capacity(element.value.len() + 16);
    holder.value(element.kind, name, element.value);
    holder.finish()
}
