//! Error codes of servers (server: `src/mongo/base/error_codes.yml`), and what a caller can do
//! about each.

use crate::Kind;

pub const UNAUTHORIZED: i32 = 13;
pub const AUTHENTICATION_FAILED: i32 = 18;
pub const NAMESPACE_NOT_FOUND: i32 = 26;
pub const INDEX_NOT_FOUND: i32 = 27;
pub const NAMESPACE_EXISTS: i32 = 48;
pub const UNKNOWN_FIELD: i32 = 40415;

/// What a caller can do about an error with this code.
pub(crate) fn kind_of(code: i32) -> Kind {
    match code {
        UNAUTHORIZED => Kind::Forbidden,
        AUTHENTICATION_FAILED => Kind::Credentials,
        // HostUnreachable, HostNotFound, NetworkTimeout, NetworkInterfaceExceededTimeLimit,
        // SocketException
        6 | 7 | 89 | 202 | 9001
        // LockTimeout, MaxTimeMSExpired, WriteConflict, ReadConcernMajorityNotAvailableYet,
        // ExceededTimeLimit
        | 46 | 50 | 112 | 134 | 262
        // The cursor or its place is lost: CursorNotFound, CappedPositionLost, QueryPlanKilled,
        // CursorKilled
        | 43 | 136 | 175 | 237
        // The catalog is ahead of the majority: SnapshotTooOld, SnapshotUnavailable
        | 239 | 246
        // The member changes its state: ShutdownInProgress, PrimarySteppedDown, NotWritablePrimary,
        // InterruptedAtShutdown, Interrupted, InterruptedDueToReplStateChange,
        // NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary
        | 91 | 189 | 10107 | 11600 | 11601 | 11602 | 13435 | 13436 => Kind::Passing,
        _ => Kind::Refused,
    }
}
