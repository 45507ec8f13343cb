//! What was listed before, and which part of a new listing to record. Decided from values alone.

use std::collections::BTreeMap;

use hindsight_base::{CollectionInfo, Uuid};
use hindsight_index::CommandNote;
use hindsight_oplog::Timestamp;

use hindsight_copy::CatalogListing;

/// A digest of what is compared: the options, and the indexes in any order.
pub(super) type Form = [u8; 32];

/// How a collection was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    form: Form,
    /// The listing includes the effects of every entry up to here.
    from: Timestamp,
}

/// What is known about each collection.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Collections as the log has them by now.
    recorded: BTreeMap<Uuid, Listed>,
    /// Collections that are listed differently from their record, with the first such listing.
    pending: BTreeMap<Uuid, Listed>,
}

/// A collection that was listed the same way at least twice, and differently from its record.
#[derive(Debug)]
pub(super) struct Stable<'a> {
    pub(super) info: &'a CollectionInfo,
    pub(super) form: Form,
    /// The `from` time of the first of those listings.
    pub(super) from: Timestamp,
}

/// The last command on each collection in some stretch of the log.
#[derive(Debug, Default)]
pub(super) struct Commands {
    by_name: BTreeMap<String, Timestamp>,
    /// A bound for every collection: what a history holds of any collection is at least as new.
    any: Timestamp,
}

impl Commands {
    pub(super) fn note(&mut self, command: &CommandNote) {
        let ns = match command.command.as_str() {
            // The collection is listed under its new name by now, which the index does not know.
            "renameCollection" => database_of(&command.ns),
            _ => &command.ns,
        };
        let last = self.by_name.entry(ns.to_owned()).or_default();
        *last = (*last).max(command.optime.ts);
    }

    /// Notes a base that was begun at `start`. A history may begin with this base, and then passes
    /// over everything up to there.
    pub(super) fn note_base(&mut self, start: Timestamp) {
        self.any = self.any.max(start.successor());
    }

    fn last(&self, info: &CollectionInfo) -> Timestamp {
        let of = |name: &str| self.by_name.get(name).copied().unwrap_or_default();
        of(&namespace(info)).max(of(&info.db)).max(self.any)
    }
}

impl Known {
    /// Takes in a listing, and the commands since the listing before. Returns the collections that
    /// were listed the same way before and are not recorded.
    ///
    /// A history ignores a listing when a command on that collection came after the time up to
    /// which the listing includes every entry. Such a listing counts for nothing here either.
    pub(super) fn note<'a>(
        &mut self,
        listing: &'a CatalogListing,
        commands: &Commands,
    ) -> Vec<Stable<'a>> {
        let mut stable = Vec::new();
        let before = std::mem::take(self);
        for info in listing.collections.iter().filter(|info| is_compared(info)) {
            let form = form(info);
            let counts = |listed: &&Listed| listed.from >= commands.last(info);
            if let Some(recorded) = before.recorded.get(&info.uuid).filter(counts) {
                self.recorded.insert(info.uuid, *recorded);
                if recorded.form == form {
                    continue;
                }
            }
            let pending = before.pending.get(&info.uuid).filter(counts);
            let pending = pending.filter(|pending| pending.form == form);
            let listed = pending.copied().unwrap_or(Listed { form, from: listing.from });
            self.pending.insert(info.uuid, listed);
            if pending.is_some() {
                stable.push(Stable { info, form, from: listed.from });
            }
        }
        stable
    }

    /// Notes that a collection goes into the log as it was listed.
    pub(super) fn record(&mut self, uuid: Uuid, form: Form, from: Timestamp) {
        self.pending.remove(&uuid);
        self.recorded.insert(uuid, Listed { form, from });
    }

    /// Returns how many collections are listed differently from their record.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }
}

/// Whether a collection is compared. Servers keep their own collections' indexes as they like, and
/// each version keeps others.
fn is_compared(info: &CollectionInfo) -> bool {
    info.db != "config" && !(info.db == "admin" && info.name.starts_with("system."))
}

pub(super) fn namespace(info: &CollectionInfo) -> String {
    format!("{}.{}", info.db, info.name)
}

fn database_of(ns: &str) -> &str {
    ns.split_once('.').map_or(ns, |(database, _)| database)
}

pub(super) fn form(info: &CollectionInfo) -> Form {
    let mut hasher = blake3::Hasher::new();
    let mut indexes: Vec<&Vec<u8>> = info.indexes.iter().collect();
    indexes.sort_unstable();
    for bytes in std::iter::once(&info.options).chain(indexes) {
        // Each BSON document begins with its length, so the boundaries are part of the digest.
        hasher.update(bytes);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::OpTime;

    use super::*;

    fn info(number: u8, indexes: &[&[u8]]) -> CollectionInfo {
        CollectionInfo {
            db: "shop".to_owned(),
            name: format!("c{number}"),
            uuid: [number; 16],
            kind: "collection".to_owned(),
            options: vec![5, 0, 0, 0, 0],
            id_index: None,
            indexes: indexes.iter().map(|it| it.to_vec()).collect(),
        }
    }

    fn listing(at: u32, collections: Vec<CollectionInfo>) -> CatalogListing {
        CatalogListing { from: Timestamp::new(at, 1), to: Timestamp::new(at, 9), collections }
    }

    fn commands(commands: &[(&str, &str, u32)]) -> Commands {
        let mut all = Commands::default();
        for (command, ns, at) in commands {
            let (command, ns) = ((*command).to_owned(), (*ns).to_owned());
            let optime = OpTime::new(*at, 5, 1);
            all.note(&CommandNote { optime, command, ns, renamed_to: None, drops_target: false });
        }
        all
    }

    /// Notes a listing of collection 1 at second `at`. Returns the second since which it is stably
    /// listed so.
    fn noted(known: &mut Known, at: u32, indexes: &[&[u8]], log: &Commands) -> Option<u32> {
        let listing = listing(at, vec![info(1, indexes)]);
        let stable = known.note(&listing, log);
        stable.first().map(|it| it.from.seconds())
    }

    fn record(known: &mut Known, from: u32, indexes: &[&[u8]]) {
        known.record([1; 16], form(&info(1, indexes)), Timestamp::new(from, 1));
    }

    #[test]
    fn what_was_listed_twice_and_not_recorded_is_stable() {
        let (mut known, none) = (Known::default(), Commands::default());
        assert_eq!(noted(&mut known, 1, &[b"a"], &none), None);
        assert_eq!(noted(&mut known, 2, &[b"a"], &none), Some(1));
        assert_eq!(noted(&mut known, 3, &[b"a"], &none), Some(1), "as long as it is not recorded");
        assert_eq!(noted(&mut known, 4, &[b"b"], &none), None, "another one, for the first time");
        record(&mut known, 1, &[b"a"]);
        assert_eq!(noted(&mut known, 5, &[b"a"], &none), None);
        assert_eq!(known.pending(), 0);
        assert_eq!(noted(&mut known, 6, &[b"a", b"b"], &none), None);
        assert_eq!(noted(&mut known, 7, &[b"b", b"a"], &none), Some(6), "the order is nothing");
        assert_eq!(noted(&mut known, 8, &[b"a"], &none), None, "it is again as it was recorded");
        let mut base = Commands::default();
        base.note_base(Timestamp::new(8, 7));
        assert_eq!(noted(&mut known, 9, &[b"a"], &base), None);
        assert_eq!(noted(&mut known, 10, &[b"a"], &base), Some(9), "once more for a new base");
    }

    #[test]
    fn a_command_on_the_collection_makes_a_listing_before_it_worthless() {
        let none = Commands::default();
        for (command, ns, starts_over) in [
            ("createIndexes", "shop.c1", true),
            ("collMod", "shop.c1", true),
            ("renameCollection", "shop.before", true),
            ("createIndexes", "shop.c2", false),
            ("renameCollection", "other.c1", false),
        ] {
            let about = format!("{command} {ns}");
            let mut known = Known::default();
            noted(&mut known, 1, &[b"a"], &none);
            let log = commands(&[(command, ns, 2), (command, ns, 1)]);
            let from = noted(&mut known, 3, &[b"a"], &log);
            assert_eq!(from, (!starts_over).then_some(1), "pending: {about}");
            record(&mut known, 1, &[b"a"]);
            noted(&mut known, 4, &[b"a"], &log);
            assert_eq!(known.pending() == 1, starts_over, "recorded: {about}");
        }
        let mut known = Known::default();
        noted(&mut known, 3, &[b"a"], &none);
        let before = commands(&[("createIndexes", "shop.c1", 2)]);
        assert_eq!(noted(&mut known, 4, &[b"a"], &before), Some(3), "the listing holds it");
    }

    #[test]
    fn collections_that_are_gone_are_forgotten() {
        let (mut known, none) = (Known::default(), Commands::default());
        known.note(&listing(1, vec![info(1, &[]), info(2, &[])]), &none);
        known.record([1; 16], [0; 32], Timestamp::new(1, 1));
        known.note(&listing(2, vec![info(2, &[])]), &none);
        assert_eq!(known.pending.keys().collect::<Vec<_>>(), [&[2; 16]]);
        assert!(known.recorded.is_empty());
    }

    #[test]
    fn the_servers_own_collections_are_not_compared() {
        for (db, name, compared) in [
            ("shop", "orders", true),
            ("shop", "system.buckets.weather", true),
            ("admin", "notes", true),
            ("admin", "system.users", false),
            ("config", "settings", false),
        ] {
            let info = CollectionInfo { db: db.into(), name: name.into(), ..info(1, &[]) };
            assert_eq!(is_compared(&info), compared, "{db}.{name}");
        }
    }
}
