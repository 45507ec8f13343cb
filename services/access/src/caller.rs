//! Who makes a call, as a handler finds it in the request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::Extensions;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::role::{Call, Role};
use crate::DOMAIN;

/// The name of a caller who does not need a token of the tokens file.
const LOCAL: &str = "local";

/// Who makes a call. The gate puts it into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// A token's name, or `local`.
    pub name: Arc<str>,
    pub role: Role,
    /// Where the call came from; `None` for a command that works on the files itself.
    pub peer: Option<SocketAddr>,
}

impl Caller {
    /// Returns the caller who may use this machine's loopback address, or the data directory.
    pub fn local(peer: Option<SocketAddr>) -> Self {
        Self { name: LOCAL.into(), role: Role::Restorer, peer }
    }

    /// Returns the caller of a request that came through the gate. There is no other way in: a
    /// request without a caller is not answered.
    pub fn of(extensions: &Extensions) -> Result<&Self, Status> {
        extensions.get().ok_or_else(|| {
            error(Code::Internal, "INTERNAL", "the request did not come through the gate", None)
        })
    }

    /// Checks that this caller's role allows the call. Returns PERMISSION_DENIED when it does not.
    pub fn may(&self, call: Call) -> Result<(), Status> {
        let needed = call.role;
        if self.role >= needed {
            return Ok(());
        }
        let text = format!(
            "{} may not call {}: it needs the role {}, and the token's is {}",
            self.name,
            call.name,
            needed.name(),
            self.role.name()
        );
        Err(error(
            Code::PermissionDenied,
            "PERMISSION_DENIED",
            &text,
            Some(("role", needed.name())),
        ))
    }
}

/// Returns a status with its `google.rpc.ErrorInfo`.
pub(super) fn error(
    code: Code,
    reason: &str,
    text: &str,
    metadata: Option<(&str, &str)>,
) -> Status {
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let metadata: std::collections::HashMap<_, _> = metadata.into_iter().collect();
    Status::with_error_details(code, text, ErrorDetails::with_error_info(reason, DOMAIN, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role) -> Caller {
        Caller { name: "ann".into(), role, peer: None }
    }

    fn needs(role: Role) -> Call {
        Call { name: "CreateRestore", role, reads_documents: false }
    }

    #[test]
    fn a_role_allows_its_calls_and_those_of_lesser_roles() {
        let roles = [Role::Viewer, Role::Operator, Role::Restorer];
        for (has, role) in roles.into_iter().enumerate() {
            for (needed, call) in roles.map(needs).into_iter().enumerate() {
                assert_eq!(caller(role).may(call).is_ok(), has >= needed, "{role:?} {call:?}");
            }
        }
        assert!(Caller::local(None).may(needs(Role::Restorer)).is_ok());
    }

    #[test]
    fn a_refusal_names_the_role_that_is_needed() {
        let refused = caller(Role::Operator).may(needs(Role::Restorer)).unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("may not call CreateRestore"), "{refused:?}");
        let details = refused.get_error_details();
        let info = details.error_info().expect("there is one");
        assert_eq!((&*info.reason, &*info.domain), ("PERMISSION_DENIED", "hindsight"));
        assert_eq!(info.metadata["role"], "restorer");
    }

    #[test]
    fn a_request_without_a_caller_is_not_answered() {
        let mut extensions = Extensions::new();
        assert_eq!(Caller::of(&extensions).unwrap_err().code(), Code::Internal);
        extensions.insert(caller(Role::Viewer));
        assert_eq!(Caller::of(&extensions).unwrap(), &caller(Role::Viewer));
    }
}
