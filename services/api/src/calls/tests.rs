use std::collections::BTreeSet;

use hindsight_access::Role;

use super::*;

/// A new call in the proto file makes this test fail until the table has it, and thereby a role.
#[test]
fn every_call_of_the_proto_files_is_in_the_table() {
    let own = include_str!("../../../../proto/hindsight/v1/hindsight.proto");
    let google = include_str!("../../../../proto/google/longrunning/operations.proto");
    let lines = own.lines().chain(google.lines());
    let calls = lines.filter_map(|line| line.trim_start().strip_prefix("rpc ")?.split('(').next());
    let known: BTreeSet<&str> = ALL.iter().map(|call| call.name).collect();
    assert_eq!(known, calls.collect());
    assert_eq!(known.len(), ALL.len(), "two calls have one name");
}

#[test]
fn only_these_calls_need_more_than_a_viewer() {
    let above = |role| -> BTreeSet<&str> {
        ALL.iter().filter(|call| call.role == role).map(|call| call.name).collect()
    };
    assert_eq!(above(Role::Restorer), BTreeSet::from(["CreateRestore"]));
    let operator = ["PlanRestore", "Verify", "CancelOperation", "DeleteOperation"];
    assert_eq!(above(Role::Operator), BTreeSet::from(operator));
}

#[test]
fn only_these_calls_read_documents() {
    let read = ALL.iter().filter(|call| call.reads_documents).map(|call| call.name);
    let documents = [
        "ResolveTime",
        "SearchEntries",
        "GetDocument",
        "ListVersions",
        "ScanCollection",
        "DiffTimes",
    ];
    assert_eq!(read.collect::<BTreeSet<_>>(), BTreeSet::from(documents));
}
