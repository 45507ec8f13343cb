//! What an entry is, by exhaustive tables. What the tables do not list is typed "unknown": such an
//! entry is stored like any other, and code that must apply it refuses (server:
//! `db/repl/oplog_entry.idl`).

/// The `op` code of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// An insert, `i`.
    Insert,
    /// An update, `u`.
    Update,
    /// A delete, `d`.
    Delete,
    /// A command, `c`.
    Command,
    /// A no-op, `n`.
    Noop,
    /// A known code without effect on documents or catalog: `ci`, `cu` and `cd` write into tables
    /// of the storage engine (index builds, counts), `km` and `cmk` are about encryption keys (8.3
    /// and later).
    Bookkeeping,
    /// A code of a newer (or unreleased) server: `xi`, `xd`, `db`, …
    Unknown,
}

impl OpKind {
    /// Returns the kind of an `op` code.
    pub fn of(op: &[u8]) -> Self {
        match op {
            b"i" => OpKind::Insert,
            b"u" => OpKind::Update,
            b"d" => OpKind::Delete,
            b"c" => OpKind::Command,
            b"n" => OpKind::Noop,
            b"ci" | b"cu" | b"cd" | b"km" | b"cmk" => OpKind::Bookkeeping,
            _ => OpKind::Unknown,
        }
    }
}

/// The command of an entry with `op: "c"`, named by the first field of `o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    AbortIndexBuild,
    AbortTransaction,
    ApplyOps,
    CollMod,
    CommitIndexBuild,
    CommitTransaction,
    ConvertToCapped,
    Create,
    CreateIndexes,
    Drop,
    DropDatabase,
    DropIndexes,
    EmptyCapped,
    RenameCollection,
    StartIndexBuild,
    /// `upgradeDowngradeViewlessTimeseries`: a time-series collection changes from two namespaces
    /// to one, or back.
    ConvertTimeseries,
    /// A known command without effect on data or catalog: bookkeeping of the server.
    Bookkeeping,
    /// A known command whose effect cannot be rebuilt from the oplog, because its data does not
    /// travel in the oplog.
    Unrecoverable,
    /// A command that this version does not know.
    Unknown,
}

impl CommandKind {
    /// Returns the kind of a command, by its name.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"abortIndexBuild" => Self::AbortIndexBuild,
            b"abortTransaction" => Self::AbortTransaction,
            b"applyOps" => Self::ApplyOps,
            b"collMod" => Self::CollMod,
            b"commitIndexBuild" => Self::CommitIndexBuild,
            b"commitTransaction" => Self::CommitTransaction,
            b"convertToCapped" => Self::ConvertToCapped,
            b"create" => Self::Create,
            b"createIndexes" => Self::CreateIndexes,
            b"drop" => Self::Drop,
            b"dropDatabase" => Self::DropDatabase,
            b"dropIndexes" | b"deleteIndexes" | b"deleteIndex" | b"dropIndex" => Self::DropIndexes,
            b"emptycapped" => Self::EmptyCapped,
            b"renameCollection" => Self::RenameCollection,
            b"startIndexBuild" => Self::StartIndexBuild,
            b"dbCheck"
            | b"modifyCollectionShardingIndexCatalog"
            | b"createDatabaseMetadata"
            | b"dropDatabaseMetadata"
            | b"setMultikeyMetadata"
            | b"dropIdent"
            | b"initReplicatedFastCount"
            | b"endOfTransaction"
            | b"setAllowChunkOperations"
            | b"updateCollectionMetadata"
            | b"invalidateCollectionMetadata" => Self::Bookkeeping,
            b"upgradeDowngradeViewlessTimeseries" => Self::ConvertTimeseries,
            b"importCollection" | b"createGlobalIndex" | b"dropGlobalIndex" | b"truncateRange" => {
                Self::Unrecoverable
            }
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_commands_of_tomorrow_are_unknown_and_no_error() {
        for op in [&b"xi"[..], b"xd", b"kmx", b"db", b"I", b"", b"\xff"] {
            assert_eq!(OpKind::of(op), OpKind::Unknown);
        }
        for name in [&b"commandOfTomorrow"[..], b"Create", b"create ", b"", b"\xff", b"doTxn"] {
            assert_eq!(CommandKind::of(name), CommandKind::Unknown);
        }
    }

    #[test]
    fn every_spelling_of_a_command_is_known() {
        for name in [&b"dropIndexes"[..], b"deleteIndexes", b"deleteIndex", b"dropIndex"] {
            assert_eq!(CommandKind::of(name), CommandKind::DropIndexes);
        }
        // Only this name is all lower case.
        assert_eq!(CommandKind::of(b"emptycapped"), CommandKind::EmptyCapped);
    }
}
