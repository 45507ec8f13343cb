//! Index specs and collection options in one form, whichever server wrote them and wherever they
//! were read.
//!
//! Three writers give one index three forms: the user (`{sparse: 1}`), whose form the oplog keeps;
//! the server, which lists `{sparse: true}` from 5.0 on and the user's own words before; and
//! another version of the server, which leaves out what does not belong to an index of that kind.
//! [`repaired`] turns the first form into the second, and [`Meaning`] compares any two of them.
//! Seen on 4.4.2, 5.0.4, 6.0.5, 6.0.27 and 7.0.28 (server: `index_key_validate.cpp`,
//! `repairIndexSpec`).

mod index;
mod meaning;
mod number;

pub use index::{IndexKind, index_name, kind_of, repaired};
pub use meaning::{Meaning, is_foreign, is_simple_collation};
pub use number::is_nan;

#[cfg(test)]
mod tests;
