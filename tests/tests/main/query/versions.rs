//! What servers before 6.0 are known to answer differently. Our filters follow 6.0 there.

use bson::{Bson, Document};
use hindsight_query::Series;

/// Returns the version in the form that filters take.
pub(crate) fn named((major, minor): (i32, i32)) -> Series {
    Series::new(major as u16, minor as u16)
}

/// Returns whether a server of that version may answer differently, on purpose or by a fault that
/// was fixed later.
pub(crate) fn may_differ(filter: &Document, version: (i32, i32)) -> bool {
    version < (6, 0) && filter.iter().any(|(name, value)| differs(name, value, version))
}

fn differs(name: &str, value: &Bson, version: (i32, i32)) -> bool {
    match (name, value) {
        // 5.0 took 2^63 for a 64-bit integer, and 4.4 took anything, in documents as well.
        ("$mod", Bson::Array(numbers)) => {
            version < (5, 0) || numbers.iter().any(|number| !matches!(number, Bson::Int32(_)))
        }
        // These servers took no decimals.
        ("$size", Bson::Decimal128(_)) => true,
        // In 4.4, null in a list did not find undefined.
        ("$in" | "$nin", Bson::Array(values)) => version < (5, 0) && values.contains(&Bson::Null),
        // These servers ignored unknown flags.
        ("$options", Bson::String(flags)) => flags.contains('q'),
        (_, Bson::Document(inner)) => may_differ(inner, version),
        (_, Bson::Array(inner)) => {
            inner.iter().filter_map(Bson::as_document).any(|inner| may_differ(inner, version))
        }
        _ => false,
    }
}
