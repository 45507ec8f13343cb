//! Reports entries that this version does not know. They are captured like all others, but a
//! history ends there.

use std::collections::BTreeSet;

use hindsight_oplog::{CommandKind, Entry, OpKind};

use crate::metrics;

/// The number of different names that are reported. Further names are counted together.
const MOST_NAMES: usize = 32;
/// Names are cut at this length, in bytes.
const LONGEST_NAME: usize = 64;
const OTHERS: &str = "(others)";

/// The names met so far. They are bounded, because the writer of an entry chooses its name.
#[derive(Debug, Default)]
pub(crate) struct UnknownNames(BTreeSet<String>);

impl UnknownNames {
    /// Counts the entry if it is not known. The operations inside an `applyOps` are not checked
    /// here: the history reports these.
    pub(crate) fn note(&mut self, entry: &Entry<'_>) {
        match OpKind::of(entry.op) {
            OpKind::Unknown => self.tell(entry, entry.op),
            OpKind::Command if entry.command() == Some(CommandKind::Unknown) => {
                let first = entry.o.first().ok().flatten();
                self.tell(entry, first.map_or(b"", |first| first.name));
            }
            _ => {}
        }
    }

    fn tell(&mut self, entry: &Entry<'_>, name: &[u8]) {
        let name = String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).into_owned();
        let is_new = !self.0.contains(&name);
        if is_new && self.0.len() >= MOST_NAMES {
            metrics::unknown_entry(OTHERS);
            return;
        }
        if is_new {
            tracing::error!(
                optime = %entry.optime, ns = entry.ns, name,
                "an operation or command that this version does not know: it is captured, and a history ends there"
            );
            self.0.insert(name.clone());
        }
        metrics::unknown_entry(&name);
    }
}

#[cfg(test)]
mod tests {
    use bson::{Document, Timestamp, doc};

    use super::*;

    fn note(names: &mut UnknownNames, op: &str, o: Document) {
        let ts = Timestamp { time: 7, increment: 1 };
        let entry = doc! {"ts": ts, "t": 1_i64, "op": op, "ns": "a.$cmd", "o": o};
        let entry = entry.to_vec().expect("BSON");
        names.note(&Entry::parse(&entry).expect("an entry"));
    }

    #[test]
    fn what_is_not_known_is_told_by_name_and_names_are_bounded() {
        let mut names = UnknownNames::default();
        for (op, o) in
            [("c", doc! {"create": "x"}), ("km", doc! {"k": 1}), ("n", doc! {"msg": "x"})]
        {
            note(&mut names, op, o);
        }
        assert!(names.0.is_empty(), "{names:?}");
        note(&mut names, "xz", doc! {"k": 1});
        note(&mut names, "c", doc! {"newThing": 1});
        assert_eq!(names.0, ["newThing", "xz"].map(str::to_owned).into());
        (0..100).for_each(|n| note(&mut names, "c", doc! {format!("thing{n}"): 1}));
        assert_eq!(names.0.len(), MOST_NAMES);
    }
}
