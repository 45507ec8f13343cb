//! Which collections belong in a base.

/// Returns whether a base holds this collection and a history follows it. Base and history must
/// both use this one answer: strict replay treats an update of a missing document as corruption, so
/// either everything of a collection is there, or nothing.
///
/// Left out are collections that the oplog does not carry, or carries only in part (their content
/// would belong to no known time), and collections that a server keeps for its own operation, from
/// which no state is restored. All other collections are included, however uninteresting. Which
/// collections are worth *restoring* is another question, which the restore answers.
pub fn is_carried(db: &str, collection: &str) -> bool {
    if db == "local" || collection == "system.profile" {
        return false;
    }
    // Side effects of other entries (`lsid`, `needsRetryImage`, pre-images): the server writes them
    // without separate entries, and logs at most their clean-up.
    let side_effect = matches!(
        collection,
        "transactions"
            | "image_collection"
            | "system.preimages"
            | "system.change_collection"
            | "system.change_collections"
    );
    // Index builds that are running and sessions that are alive, on that server at that time.
    let running = matches!(collection, "system.indexBuilds" | "system.sessions");
    // The keys that the replica set signs its cluster times with: they are of no use elsewhere, and
    // secret.
    let secret = db == "admin" && collection == "system.keys";
    !(db == "config" && (side_effect || running) || secret)
}

#[cfg(test)]
mod tests {
    use super::is_carried;

    #[test]
    fn carried_are_those_the_oplog_tells_in_full_and_a_state_consists_of() {
        for (db, collection) in [
            ("shop", "orders"),
            ("shop", "system.views"),
            ("shop", "system.buckets.weather"),
            ("shop", "system.js"),
            ("shop", "tmp.agg_out.1"),
            ("shop", "transactions"),
            ("admin", "system.users"),
            ("admin", "system.version"),
            ("shop", "system.sessions"),
            ("config", "cache.collections"),
            ("config", "chunks"),
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
            ("config", "system.sessions"),
            ("config", "system.indexBuilds"),
            ("admin", "system.keys"),
        ] {
            assert!(!is_carried(db, collection), "{db}.{collection}");
        }
    }
}
