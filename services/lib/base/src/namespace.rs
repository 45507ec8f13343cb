//! Which collections belong in a base.

/// Whether documents of this collection belong in a base: exactly where the oplog carries every write to it.
///
/// Strict replay takes an update of a missing document for corruption, so whatever the oplog carries must be in
/// the base, dull as it may be (`config.system.sessions`, `config.cache.*`, `config.system.indexBuilds`).
/// Whatever it does not carry, or carries in part, must stay out: its content would be of no known time.
/// What is worth *restoring* is another question, and the restore's to answer.
pub fn is_carried(db: &str, collection: &str) -> bool {
    if db == "local" || collection == "system.profile" {
        return false;
    }
    // Side effects of other entries (`lsid`, `needsRetryImage`, pre-images): the server writes them without
    // entries of their own, and logs at most their clean-up.
    let side_effect = matches!(
        collection,
        "transactions"
            | "image_collection"
            | "system.preimages"
            | "system.change_collection"
            | "system.change_collections"
    );
    !(db == "config" && side_effect)
}

#[cfg(test)]
mod tests {
    use super::is_carried;

    #[test]
    fn carried_collections_are_those_the_oplog_tells_in_full() {
        for (db, collection) in [
            ("shop", "orders"),
            ("shop", "system.views"),
            ("shop", "system.buckets.weather"),
            ("shop", "system.js"),
            ("shop", "tmp.agg_out.1"),
            ("shop", "transactions"),
            ("admin", "system.users"),
            ("admin", "system.version"),
            ("config", "system.sessions"),
            ("config", "system.indexBuilds"),
            ("config", "cache.collections"),
        ] {
            assert!(is_carried(db, collection), "{db}.{collection}");
        }
        for (db, collection) in [
            ("local", "oplog.rs"),
            ("local", "anything"),
            ("shop", "system.profile"),
            ("config", "transactions"),
            ("config", "image_collection"),
            ("config", "system.preimages"),
            ("config", "system.change_collection"),
        ] {
            assert!(!is_carried(db, collection), "{db}.{collection}");
        }
    }
}
