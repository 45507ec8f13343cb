//! Makes the summary of a segment from its header and seal.

use hindsight_segment::{CommandNote as SealedNote, NamespaceCounts as SealedCounts, SegmentInfo};

use super::{CommandNote, GapNotice, NamespaceCounts, SegmentSummary};

impl SegmentSummary {
    /// Returns what the index keeps of this segment.
    pub fn of(info: &SegmentInfo) -> Self {
        let seal = &info.seal;
        let commands = commands(&seal.commands);
        Self {
            sequence: info.sequence().0,
            epoch: info.header.epoch.0,
            digest: info.digest.0,
            predecessor: info.header.predecessor.0,
            first: seal.first,
            last: seal.last,
            majority: seal.majority,
            first_wall_ms: seal.first_wall_ms,
            last_wall_ms: seal.last_wall_ms,
            entries: seal.entries,
            raw_bytes: seal.raw_bytes,
            stored_bytes: info.segment_bytes,
            oldest_unresolved: seal.oldest_unresolved,
            oldest_prepared: seal.oldest_prepared,
            gap_before: info.header.gap.as_ref().map(|gap| GapNotice {
                after: gap.after,
                before: gap.before,
                reason: gap.detail.clone(),
                noticed_wall_ms: gap.detected_at_ms,
            }),
            counts: counts(&seal.namespaces, &commands),
            commands,
            cut_reason: seal.reason.to_string(),
        }
    }
}

/// Returns the operations per namespace. The seal counts a rename only under its old name; here it
/// is counted under its new name too.
fn counts(namespaces: &[SealedCounts], commands: &[CommandNote]) -> Vec<NamespaceCounts> {
    let mut counts: Vec<NamespaceCounts> = namespaces
        .iter()
        .map(|line| NamespaceCounts {
            ns: line.namespace.clone(),
            inserts: line.counts.inserts.into(),
            updates: line.counts.updates.into(),
            deletes: line.counts.deletes.into(),
            commands: line.counts.commands.into(),
            noops: line.counts.noops.into(),
        })
        .collect();
    for note in commands {
        let Some(to) = note.renamed_to.as_deref().filter(|to| *to != note.ns) else { continue };
        match counts.binary_search_by(|line| line.ns.as_str().cmp(to)) {
            Ok(at) => counts[at].commands += 1,
            Err(at) => {
                let line = NamespaceCounts { ns: to.to_owned(), commands: 1, ..Default::default() };
                counts.insert(at, line);
            }
        }
    }
    counts
}

/// Returns the commands. The seal notes the drop within a rename as a `drop` before the rename;
/// here both are one command.
fn commands(notes: &[SealedNote]) -> Vec<CommandNote> {
    let mut commands: Vec<CommandNote> = Vec::with_capacity(notes.len());
    for note in notes {
        let is_dropped = |before: &CommandNote| {
            before.optime == note.optime
                && before.command == "drop"
                && note.renamed_to.as_deref() == Some(&before.ns)
        };
        let drops_target = commands.pop_if(|before| is_dropped(before)).is_some();
        commands.push(CommandNote {
            optime: note.optime,
            command: note.name.clone(),
            ns: note.namespace.clone(),
            renamed_to: note.renamed_to.clone(),
            drops_target,
        });
    }
    commands
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::OpTime;
    use hindsight_segment::OpCounts;

    use super::*;

    fn note(at: u32, name: &str, namespace: &str, to: Option<&str>) -> SealedNote {
        SealedNote {
            optime: OpTime::new(at, 1, 1),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            renamed_to: to.map(str::to_owned),
        }
    }

    #[test]
    fn a_rename_and_what_it_drops_are_one_command_on_either_name() {
        let notes = [
            note(5, "drop", "shop.b", None),
            note(6, "renameCollection", "shop.a", Some("shop.b")),
            note(7, "drop", "shop.c", None),
            note(7, "renameCollection", "shop.b", Some("shop.c")),
            note(8, "drop", "shop.x", None),
            note(8, "renameCollection", "shop.b", Some("shop.y")),
        ];
        let found = commands(&notes);
        let told: Vec<_> =
            found.iter().map(|it| (it.command.as_str(), it.ns.as_str(), it.drops_target)).collect();
        assert_eq!(
            told,
            [
                ("drop", "shop.b", false),
                ("renameCollection", "shop.a", false),
                ("renameCollection", "shop.b", true),
                ("drop", "shop.x", false),
                ("renameCollection", "shop.b", false),
            ]
        );
        let line = |namespace: &str, commands| SealedCounts {
            namespace: namespace.to_owned(),
            counts: OpCounts { commands, ..OpCounts::default() },
        };
        let namespaces = vec![line("shop.a", 1), line("shop.b", 3), line("shop.x", 1)];
        let counted = counts(&namespaces, &found);
        let counted: Vec<_> = counted.iter().map(|it| (it.ns.as_str(), it.commands)).collect();
        assert_eq!(
            counted,
            [("shop.a", 1), ("shop.b", 4), ("shop.c", 1), ("shop.x", 1), ("shop.y", 1)]
        );
    }
}
