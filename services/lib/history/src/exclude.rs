//! Collections whose documents the history leaves out.
//!
//! Their catalog is followed like any other, so that names, options and indexes are known. A
//! collection is left out or not from the moment it is created, or loaded with a base, by the name
//! it has then: of a collection that is renamed later, the history could only know a part.

use std::path::Path;

use hindsight_oplog::time_series::BUCKETS_PREFIX;
use hindsight_oplog::{Namespace, NamespacePattern, Timestamp};
use rocksdb::{DB, WriteBatch};

use crate::settings::write_options;
use crate::{History, HistoryError, key};

/// Databases that are never left out: users, roles and the version of the source lie there.
const OWN_DATABASES: [&str; 3] = ["admin", "config", "local"];

impl History {
    /// Returns whether the documents of a collection that is created now under this name are left
    /// out.
    pub(crate) fn excludes(&self, ns: &str) -> bool {
        excludes(&self.excluded, ns)
    }

    /// Makes the store leave out what the settings say. A store that left out something else is
    /// emptied: it is rebuilt from the base and the log.
    pub(crate) fn exclude_as_set(&mut self) -> Result<(), HistoryError> {
        let Some(mut wanted) = self.settings.excluded.clone() else { return Ok(()) };
        // The order in which they are named says nothing.
        wanted.sort_by_key(ToString::to_string);
        wanted.dedup();
        if wanted == self.excluded {
            return Ok(());
        }
        let is_bare = self.read_generations().is_empty();
        let rests = !self.rests_on.get_mut().expect("nobody else has the store").is_empty();
        if !is_bare && (rests || self.horizon.oldest() > Timestamp::ZERO) {
            let [before, wanted] = [&self.excluded, &wanted].map(|it| in_words(it));
            return Err(HistoryError::CannotExclude { before, wanted });
        }
        if !is_bare {
            tracing::warn!(
                path = %Path::new(self.db.path()).display(),
                excluded = in_words(&wanted),
                "the history leaves out other collections than before: it is rebuilt from the base and the log"
            );
        }
        self.discard(|_| true)?;
        let mut batch = WriteBatch::default();
        batch.put(key::EXCLUDED, text(&wanted));
        self.db.write_opt(batch, &write_options())?;
        self.db.flush()?;
        self.excluded = wanted;
        Ok(())
    }
}

/// Returns what a store leaves out.
pub(crate) fn stored(db: &DB) -> Result<Vec<NamespacePattern>, HistoryError> {
    let Some(bytes) = db.get(key::EXCLUDED)? else { return Ok(Vec::new()) };
    let text = String::from_utf8(bytes).map_err(|_| HistoryError::corrupt("patterns"))?;
    Ok(text.lines().map(NamespacePattern::parse).collect())
}

fn text(patterns: &[NamespacePattern]) -> String {
    patterns.iter().map(|pattern| format!("{pattern}\n")).collect()
}

fn in_words(patterns: &[NamespacePattern]) -> String {
    match patterns {
        [] => "nothing".to_owned(),
        patterns => patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Definitions of views, users, roles and the like are always followed.
fn excludes(patterns: &[NamespacePattern], ns: &str) -> bool {
    let Namespace { database, collection, .. } = Namespace::parse(ns);
    let is_own = OWN_DATABASES.contains(&database)
        || (collection.starts_with("system.") && !collection.starts_with(BUCKETS_PREFIX));
    !is_own && patterns.iter().any(|pattern| pattern.concerns(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_left_out_with_their_collection_and_what_a_state_consists_of_never() {
        let patterns = ["logs.*", "shop.weather"].map(NamespacePattern::parse);
        for ns in ["logs.a", "logs.system.buckets.b", "shop.weather", "shop.system.buckets.weather"]
        {
            assert!(excludes(&patterns, ns), "{ns}");
        }
        for ns in ["logs.system.views", "shop.orders", "shop.weather2", "logs2.a"] {
            assert!(!excludes(&patterns, ns), "{ns}");
        }
        let all = ["admin", "config.*", "local"].map(NamespacePattern::parse);
        for ns in ["admin.system.users", "config.x", "local.y"] {
            assert!(!excludes(&all, ns), "{ns}");
        }
    }

    #[test]
    fn patterns_come_back_as_they_were_stored() {
        let patterns = ["logs.*", "shop.a.b"].map(NamespacePattern::parse);
        let read: Vec<_> = text(&patterns).lines().map(NamespacePattern::parse).collect();
        assert_eq!(read, patterns);
        assert_eq!(in_words(&[]), "nothing");
    }
}
