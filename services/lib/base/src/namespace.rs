//! Which collections belong in a base.

/// Whether a base holds this collection, and a history follows it. Both must go by this one answer:
/// strict replay takes an update of a missing document for corruption, so of each collection either
/// everything is there or nothing.
///
/// Left out is what the oplog does not carry, or carries in part (its content would be of no known
/// time), and what a server keeps for its own running, that no state is restored from. Everything
/// else is in, dull as it may be. What is worth *restoring* is another question, and the restore's
/// to answer.
pub fn is_carried(db: &str, collection: &str) -> bool {
    if db == "local" || collection == "system.profile" {
        return false;
    }
    // Side effects of other entries (`lsid`, `needsRetryImage`, pre-images): the server writes them
    // without entries of their own, and logs at most their clean-up.
    let side_effect = matches!(
        collection,
        "transactions"
            | "image_collection"
            | "system.preimages"
            | "system.change_collection"
            | "system.change_collections"
    );
    // Index builds that run and sessions that are alive, on that server at that time.
    let running = matches!(collection, "system.indexBuilds" | "system.sessions");
    // What the set signs its cluster times with: of no use elsewhere, and a secret.
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
