//! What an entry means for transactions, read from the entry alone.

use crate::raw::{Doc, Element, Malformed, kind};
use crate::{CommandKind, Entry, Timestamp};

/// `multiOpType` of an `applyOps` in which each operation stands alone (vectored inserts, 8.0).
const APPLIED_SEPARATELY: i64 = 1;
/// `multiOpType` of an `applyOps` of a retryable write that is applied as one, and is visible at
/// its own timestamp (9.0; read in `kApplyOpsAppliedAtomically` of the server's source, no such
/// entry was available).
const APPLIED_ATOMICALLY: i64 = 2;

/// What an entry is in transactions: the form that it is written in, without the entries around it.
/// [`crate::Entry::previous`] leads from a part or a commit to the part before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The entry is no part of a transaction, and is visible at its own timestamp. Its
    /// `prevOpTime`, if any, leads to another write of its session.
    Alone,
    /// An `applyOps` of a transaction, or of a chain without a session.
    Part(Part),
    /// `commitTransaction`: commits a prepared transaction.
    Commit {
        /// When the transaction becomes visible.
        commit_timestamp: Timestamp,
    },
    /// `abortTransaction`: nothing of the transaction becomes visible.
    Abort,
}

/// One `applyOps` of a transaction, or of a chain without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What follows this part.
    pub ending: Ending,
    /// The number of operations in this entry.
    pub operations: u64,
    /// The number of operations in the whole chain, as its last entry states.
    pub count: Option<i64>,
}

/// What follows a part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `partialTxn`: another entry follows.
    More,
    /// This entry commits the transaction.
    Committed,
    /// `prepare`: a `commitTransaction` or `abortTransaction` decides the transaction.
    Prepared,
}

impl Shape {
    /// Reads the shape of an entry.
    ///
    /// # Errors
    /// Returns [`Malformed`] when the entry is no valid part, commit or abort of a transaction, or
    /// has a `multiOpType` that this version does not know.
    pub fn of(entry: &Entry<'_>) -> Result<Self, Malformed> {
        match entry.command() {
            Some(CommandKind::ApplyOps) => Self::of_apply_ops(entry),
            Some(CommandKind::CommitTransaction) => {
                let commit_timestamp = entry
                    .o
                    .get(b"commitTimestamp")?
                    .and_then(Element::as_timestamp)
                    .ok_or(Malformed("commitTransaction without a commitTimestamp"))?;
                Ok(Self::Commit { commit_timestamp })
            }
            Some(CommandKind::AbortTransaction) => Ok(Self::Abort),
            _ => Ok(Self::Alone),
        }
    }

    fn of_apply_ops(entry: &Entry<'_>) -> Result<Self, Malformed> {
        match entry.multi_op_type {
            None | Some(0) => {}
            Some(APPLIED_SEPARATELY | APPLIED_ATOMICALLY) => return Ok(Self::Alone),
            Some(_) => return Err(Malformed("applyOps with an unknown multiOpType")),
        }
        let options = Options::read(entry.o)?;
        let in_session = entry.lsid.is_some() && entry.txn_number.is_some();
        if !in_session && entry.prev_optime.is_none() && !options.partial {
            // A batched write, or a user's command, whose other options are the user's own words.
            return Ok(Self::Alone);
        }
        let ending = match (options.partial, options.prepare) {
            (false, false) => Ending::Committed,
            (false, true) => Ending::Prepared,
            (true, false) => Ending::More,
            (true, true) => return Err(Malformed("applyOps both partialTxn and prepare")),
        };
        let count = options.count.map(|count| {
            count.as_integer().ok_or(Malformed("applyOps whose count is not a whole number"))
        });
        Ok(Self::Part(Part { ending, operations: operations(entry.o)?, count: count.transpose()? }))
    }
}

#[derive(Default)]
struct Options<'a> {
    partial: bool,
    prepare: bool,
    count: Option<Element<'a>>,
}

impl<'a> Options<'a> {
    fn read(o: Doc<'a>) -> Result<Self, Malformed> {
        let mut options = Options::default();
        for element in o.elements() {
            let element = element?;
            match element.name {
                b"partialTxn" => options.partial = flag(element)?,
                b"prepare" => options.prepare = flag(element)?,
                b"count" => options.count = Some(element),
                _ => {}
            }
        }
        Ok(options)
    }
}

fn flag(element: Element<'_>) -> Result<bool, Malformed> {
    if element.kind == kind::NULL {
        return Ok(false);
    }
    let number = element.as_integer().map(|number| number != 0);
    element.as_bool().or(number).ok_or(Malformed("partialTxn or prepare is not a boolean"))
}

fn operations(o: Doc<'_>) -> Result<u64, Malformed> {
    let array = o
        .first()?
        .and_then(Element::as_array)
        .ok_or(Malformed("applyOps does not hold an array"))?;
    let mut operations = 0;
    for element in array.elements() {
        element?;
        operations += 1;
    }
    Ok(operations)
}
