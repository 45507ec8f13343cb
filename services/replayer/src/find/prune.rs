//! Decides what need not be read, from what segments and frames say about themselves.
//!
//! `false` is certain, `true` is not. A segment counts the operations that an `applyOps` holds,
//! each under its own namespace, in the segment of that `applyOps`. The `applyOps` itself is not
//! counted. Commands are noted by name, except the commands that end transactions. Operations with
//! an unknown code leave no trace here.

use hindsight_index::{CommandNote, NamespaceCounts, SegmentSummary};
use hindsight_segment::FrameInfo;

use super::EntryFilter;

/// A command name longer than this may have been cut where it was noted.
const LONGEST_NOTED: usize = hindsight_segment::limits::MAX_COMMAND_NAME_BYTES - 4;

const RENAME: &str = "renameCollection";

impl EntryFilter {
    pub(super) fn may_hold(&self, segment: &SegmentSummary) -> bool {
        if self.needs_document() {
            return segment.counts.iter().any(|counts| self.may_hold_document(counts));
        }
        if self.ops.is_empty() {
            return self.holds_namespace(segment);
        }
        self.ops.iter().any(|op| self.may_hold_op(op, segment))
    }

    pub(super) fn may_hold_in_frame(&self, frame: &FrameInfo) -> bool {
        let in_time = frame.first.ts <= self.to && frame.last.ts >= self.from;
        in_time && self.id.as_ref().is_none_or(|(_, hash)| frame.filter.may_contain(*hash))
    }

    /// Whether only operations on one document can match. These are inserts, updates and deletes,
    /// and only updates change a field.
    fn needs_document(&self) -> bool {
        self.id.is_some() || self.changed_field.is_some()
    }

    fn may_hold_document(&self, counts: &NamespaceCounts) -> bool {
        let wants = |code: &str| {
            self.ops.is_empty() || self.ops.iter().any(|op| op.eq_ignore_ascii_case(code))
        };
        let updates_only = self.changed_field.is_some();
        self.may_count_under(&counts.ns)
            && (counts.updates > 0 && wants("u")
                || !updates_only && counts.inserts > 0 && wants("i")
                || !updates_only && counts.deletes > 0 && wants("d"))
    }

    fn may_hold_op(&self, op: &str, segment: &SegmentSummary) -> bool {
        let counted = |of: fn(&NamespaceCounts) -> u64| {
            segment.counts.iter().any(|counts| self.may_count_under(&counts.ns) && of(counts) > 0)
        };
        let is_noted = |note: &CommandNote| {
            note.command.eq_ignore_ascii_case(op) && self.may_note_under(note)
                || op.eq_ignore_ascii_case("drop") && self.may_drop(note)
        };
        let noted = op.len() > LONGEST_NOTED || segment.commands.iter().any(is_noted);
        // A command may have any name, including the code of another operation.
        noted
            || match op.to_ascii_lowercase().as_str() {
                "i" => counted(|counts| counts.inserts),
                "u" => counted(|counts| counts.updates),
                "d" => counted(|counts| counts.deletes),
                "n" => counted(|counts| counts.noops),
                "committransaction" | "aborttransaction" => counted(|counts| counts.commands),
                "c" | "applyops" | "?" => self.holds_namespace(segment),
                _ => false,
            }
    }

    fn holds_namespace(&self, segment: &SegmentSummary) -> bool {
        self.namespace.is_none()
            || segment.counts.iter().any(|counts| self.may_count_under(&counts.ns))
            || segment.commands.iter().any(|note| self.may_note_under(note))
    }

    fn may_count_under(&self, ns: &str) -> bool {
        self.namespace.as_ref().is_none_or(|pattern| pattern.may_match_counted(ns))
    }

    /// Whether a command that is noted like this may match. A rename is noted under both names. It
    /// is noted under one name when its form is not the one that servers write.
    fn may_note_under(&self, note: &CommandNote) -> bool {
        self.may_count_under(&note.ns)
            || match &note.renamed_to {
                Some(to) => self.may_count_under(to),
                None => note.command == RENAME,
            }
    }

    /// Whether a noted command may drop a selected collection. Not every segment shows whether a
    /// rename dropped anything.
    fn may_drop(&self, note: &CommandNote) -> bool {
        let to = note.renamed_to.as_deref();
        note.command == RENAME && to.is_none_or(|to| self.may_count_under(to))
    }
}
