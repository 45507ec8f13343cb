//! How large a document may become.

/// The largest document that the server can hold, in bytes: 16 MiB, and 16 KiB for its own
/// additions (`BSONObjMaxInternalSize`).
pub const MAX_DOCUMENT: usize = (16 << 20) + (16 << 10);
