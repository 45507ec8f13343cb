//! Errors, grouped by what the caller must do next.

use hindsight_oplog::{OpTime, Timestamp};

/// The store itself failed. The caller stops, looks at the disk, and if in doubt deletes the
/// directory and rebuilds it.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// RocksDB reported an error.
    #[error("history store: {0}")]
    Store(#[from] rocksdb::Error),
    /// The directory holds something that this version did not write. The directory is derived:
    /// delete it, and it is rebuilt.
    #[error(
        "history store holds {what}; delete its directory, it is rebuilt from the base and the log"
    )]
    Corrupt { what: String },
    /// Only one writer or loader can exist at a time.
    #[error("history already has a writer; drop it first")]
    Busy,
    /// Nothing can be applied before a base is loaded.
    #[error("history holds no base; load one first")]
    NoBase,
    /// The operating system did not start the thread that stores the history.
    #[error("cannot start the thread that stores the history: {source}")]
    Thread { source: std::io::Error },
    /// The thread that stores the history has ended, because a batch was refused before or because
    /// the thread panicked. Open the history again.
    #[error("the thread that stores the history has ended; open it again")]
    StoreThreadEnded,
    /// The settings leave out other collections than the store does, and to follow them the store
    /// would have to be rebuilt, without some of the times that it holds.
    #[error(
        "the history leaves out {before}, and the settings say {wanted}: it would have to be rebuilt, and holds times that \
         neither base nor log can show any more. Keep the former setting, or delete the history's directory and lose these times"
    )]
    CannotExclude { before: String, wanted: String },
    /// What a base says about itself is inconsistent or not usable; `reason` says why.
    #[error("base {name}: {reason}")]
    BadBase { name: String, reason: String },
}

impl HistoryError {
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        HistoryError::Corrupt { what: what.into() }
    }
}

/// An apply unit was not applied. Nothing of the unit is in the history, and nothing after it will
/// be. The history stays restorable up to just before the named entry (I8).
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The entry does something that cannot be rebuilt from the log, or that this version does not
    /// know.
    #[error(
        "entry {at} on {ns}: {what}; the history ends just before it, and begins again with a base that is copied after it"
    )]
    Unsupported { at: OpTime, ns: String, what: String },
    /// The entry is an operation or command of this name, which this version does not know.
    #[error(
        "entry {at} on {ns}: {name:?} is an operation or command that this version does not know; the history ends just \
         before it, and begins again with a base that is copied after it. If it is certain that it changes neither \
         documents nor collections, it can be skipped"
    )]
    Unknown { at: OpTime, ns: String, name: String },
    /// The entry does not fit the state that it meets: the base or the log is wrong.
    #[error("entry {at} on {ns}: {reason}; the history ends just before it, verify log and base")]
    Inconsistent { at: OpTime, ns: String, reason: String },
    /// The caller broke the order of units or of progress.
    #[error("entry {at}: {reason}")]
    OutOfOrder { at: OpTime, reason: String },
    /// An earlier unit was refused, and this writer accepts no more units.
    #[error("history stopped at entry {at}, see the error given for it")]
    Stopped { at: OpTime },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] HistoryError),
}

impl From<rocksdb::Error> for ApplyError {
    fn from(error: rocksdb::Error) -> Self {
        ApplyError::Store(error.into())
    }
}

/// The history cannot answer a question about this time or this collection.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The time is outside every restore window. `nearest` holds the closest readable times below
    /// and above `at`, where such times exist.
    #[error("{at} is outside every restore window of the history{}", nearest_text(nearest))]
    OutOfWindow { at: Timestamp, nearest: [Option<Timestamp>; 2] },
    /// The time is older than what is kept. `oldest` is the oldest time that can be read.
    #[error("{at} is older than what is kept; the oldest time that is kept is {oldest}")]
    Forgotten { at: Timestamp, oldest: Timestamp },
    /// The documents of the collection were left out of the history.
    #[error("{ns} is left out of this history: the log has what was written to it")]
    Excluded { ns: String },
    /// No collection has this name at this time.
    #[error("{ns} does not exist at {at}")]
    NoSuchCollection { ns: String, at: Timestamp },
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] HistoryError),
}

impl From<rocksdb::Error> for ReadError {
    fn from(error: rocksdb::Error) -> Self {
        ReadError::Store(error.into())
    }
}

fn nearest_text(nearest: &[Option<Timestamp>; 2]) -> String {
    match nearest {
        [None, None] => ": it holds none yet".to_owned(),
        [Some(below), None] => format!("; the nearest before is {below}"),
        [None, Some(above)] => format!("; the nearest after is {above}"),
        [Some(below), Some(above)] => format!("; the nearest are {below} and {above}"),
    }
}
