//! The bases that a topic announces.

use crate::shared::{BaseDigest, BaseNotice};

/// Names are for people and for file names. Longer ones are not needed, and are cut.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// A base that was announced.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) notice: BaseNotice,
    /// The offset of the newest record that announces it.
    pub(super) offset: i64,
}

/// Adds a base to those that are known. A base that is announced again is known from its newest
/// record.
pub(super) fn announce(bases: &mut Vec<Announced>, base: Announced) {
    match bases.iter_mut().find(|known| known.notice == base.notice) {
        Some(known) => known.offset = base.offset,
        None => bases.push(base),
    }
}

pub(super) fn base_notice(digest: BaseDigest, name: &[u8]) -> BaseNotice {
    BaseNotice { name: name_of(name), digest }
}

/// Returns what a record's value names.
pub(super) fn name_of(value: &[u8]) -> String {
    String::from_utf8_lossy(&value[..value.len().min(MAX_NAME_BYTES)]).into_owned()
}
