//! What a caller may do: three roles, and the lowest role that each call requires.

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

macro_rules! calls {
    ($($call:ident)*) => {
        /// A call of the API, whether it came as gRPC or as HTTP.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Call { $($call),* }

        impl Call {
            /// Every call of the API.
            #[cfg(test)]
            pub const ALL: &[Call] = &[$(Self::$call),*];

            /// Returns the name in the proto file, for metrics and the audit file.
            pub fn name(self) -> &'static str {
                match self { $(Self::$call => stringify!($call)),* }
            }
        }
    };
}

calls! {
    GetStatus ListWindows ListBases WaitRestorable ResolveTime GetTimeline SearchEntries
    GetDocument ListVersions ScanCollection ListCollections DiffTimes
    PlanRestore CreateRestore WatchRestore Verify
    ListOperations GetOperation WaitOperation CancelOperation DeleteOperation
}

impl Call {
    /// Returns the lowest role that may make the call.
    pub fn role(self) -> Role {
        match self {
            Self::GetStatus
            | Self::ListWindows
            | Self::ListBases
            | Self::WaitRestorable
            | Self::ResolveTime
            | Self::GetTimeline
            | Self::SearchEntries
            | Self::GetDocument
            | Self::ListVersions
            | Self::ScanCollection
            | Self::ListCollections
            | Self::DiffTimes
            | Self::WatchRestore
            | Self::ListOperations
            | Self::GetOperation
            | Self::WaitOperation => Role::Viewer,
            Self::Verify | Self::PlanRestore | Self::CancelOperation | Self::DeleteOperation => {
                Role::Operator
            }
            Self::CreateRestore => Role::Restorer,
        }
    }

    /// Returns whether the answer contains documents. The answer of ResolveTime does: it shows the
    /// entries around the time.
    pub fn reads_documents(self) -> bool {
        matches!(
            self,
            Self::ResolveTime
                | Self::SearchEntries
                | Self::GetDocument
                | Self::ListVersions
                | Self::ScanCollection
                | Self::DiffTimes
        )
    }

    /// Returns whether the call is recorded in the audit file: calls that read documents, and calls
    /// that not every role may make.
    pub fn is_audited(self) -> bool {
        self.reads_documents() || self.role() > Role::Viewer
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
    fn only_these_calls_need_more_than_a_viewer() {
        let above = |role| -> Vec<&str> {
            Call::ALL.iter().filter(|call| call.role() == role).map(|call| call.name()).collect()
        };
        assert_eq!(above(Role::Restorer), ["CreateRestore"]);
        let operator = ["PlanRestore", "Verify", "CancelOperation", "DeleteOperation"];
        assert_eq!(above(Role::Operator), operator);
    }

    /// A new call in the proto file makes this test fail until somebody decides who may make the
    /// call.
    #[test]
    fn every_call_of_the_proto_file_is_known() {
        let proto = include_str!("../../../proto/hindsight/v1/hindsight.proto");
        for line in proto.lines() {
            let Some(rest) = line.trim_start().strip_prefix("rpc ") else { continue };
            let name = rest.split('(').next().expect("a split has a first part");
            assert!(Call::ALL.iter().any(|call| call.name() == name), "{name} has no role");
        }
    }
}
