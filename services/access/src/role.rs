//! What a caller may do: three roles, and what a call says about itself.

/// The roles in ascending order: each role may do everything that the roles before it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Role {
    /// May query everything.
    Viewer,
    /// May also verify, and plan, cancel and delete restores.
    Operator,
    /// May also start restores.
    Restorer,
}

impl Role {
    const ALL: [Role; 3] = [Self::Viewer, Self::Operator, Self::Restorer];

    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Restorer => "restorer",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A call of the API, whether it came as gRPC or as HTTP: what must be known about it to decide who
/// may make it, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The name in the proto file, for metrics and the audit file.
    pub name: &'static str,
    /// The lowest role that may make the call.
    pub role: Role,
    /// Whether the answer contains documents.
    pub reads_documents: bool,
}

impl Call {
    /// Returns whether the call is recorded in the audit file: calls that read documents, and calls
    /// that not every role may make.
    pub fn is_audited(self) -> bool {
        self.reads_documents || self.role > Role::Viewer
    }

    /// Returns whether the record must be on the disk before the call is answered: a call that only
    /// a restorer may make writes into another deployment.
    pub fn is_recorded_durably(self) -> bool {
        self.role == Role::Restorer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_named() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Restorer);
        for role in Role::ALL {
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!(Role::named("Viewer"), None);
        assert_eq!(Role::named(""), None);
    }

    #[test]
    fn calls_that_read_documents_or_need_more_than_a_viewer_are_recorded() {
        let call = |role, reads_documents| Call { name: "Call", role, reads_documents };
        for (call, is_audited, is_durable) in [
            (call(Role::Viewer, false), false, false),
            (call(Role::Viewer, true), true, false),
            (call(Role::Operator, false), true, false),
            (call(Role::Restorer, false), true, true),
        ] {
            let recorded = (call.is_audited(), call.is_recorded_durably());
            assert_eq!(recorded, (is_audited, is_durable), "{call:?}");
        }
    }
}
