//! Documents that only `applyOps` can write as they are: whether we may use it, and what happens to
//! the documents if not.

use std::sync::{Mutex, PoisonError};

use super::documents::display_id;
use super::error::{NO_RIGHT, RestoreError};
use super::facts::TargetFacts;
use super::plan::Skipped;
use super::settings::RestoreSettings;
use super::version::Version;

/// Decides what happens to documents that an insert would change or refuse.
#[derive(Debug)]
pub(super) struct Verbatim {
    way: Way,
    left_out: Mutex<LeftOut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Written,
    LeftOut,
    /// Such a document ends the restore.
    Refused,
}

/// The documents that were left out: the first ones by name, the others as a number.
#[derive(Debug, Default)]
struct LeftOut {
    named: Vec<Skipped>,
    others: u64,
}

/// The most documents that a report names.
const NAMED: usize = 1_000;

impl Verbatim {
    pub(super) fn of(facts: &TargetFacts, settings: &RestoreSettings) -> Self {
        // 4.4 has no action of that name: there the right to insert is enough.
        let needs_no_right = Version::parse(&facts.version).is_some_and(|v| v < Version(5, 0, 0));
        let rights = facts.rights.as_ref();
        let way = if needs_no_right || rights.is_none_or(|r| r.allow_on_cluster("applyOps")) {
            Way::Written
        } else if settings.leave_out_unrestorable {
            Way::LeftOut
        } else {
            Way::Refused
        };
        Self { way, left_out: Mutex::default() }
    }

    /// Returns true when the document is written (with `applyOps`), and false when it is left out.
    ///
    /// # Errors
    /// Returns [`RestoreError::NotVerbatim`] when it can be neither written nor left out.
    pub(super) fn decide(
        &self,
        namespace: &str,
        document: &[u8],
        reason: &str,
    ) -> Result<bool, RestoreError> {
        let id = display_id(document);
        match self.way {
            Way::Written => Ok(true),
            Way::LeftOut => {
                let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
                left_out.add(namespace, &id, reason);
                Ok(false)
            }
            Way::Refused => Err(RestoreError::NotVerbatim {
                namespace: namespace.to_owned(),
                id,
                reason: reason.to_owned(),
            }),
        }
    }

    /// Returns what was left out, for the report.
    pub(super) fn left_out(&self) -> Vec<Skipped> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = |ns| Skipped { ns, reason: format!("each for such a reason, {NO_RIGHT}") };
        let others = (left_out.others > 0).then(|| format!("{} more documents", left_out.others));
        left_out.named.iter().cloned().chain(others.map(skipped)).collect()
    }
}

impl LeftOut {
    fn add(&mut self, namespace: &str, id: &str, reason: &str) {
        if self.named.len() == NAMED {
            self.others += 1;
            return;
        }
        let ns = format!("{namespace} (document with _id {id})");
        self.named.push(Skipped { ns, reason: format!("{reason}, {NO_RIGHT}") });
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;
    use hindsight_remedy::Remedy;

    use super::super::rights::Rights;
    use super::*;

    const LATE: &str = "its _id is not its first field";

    fn facts(version: &str, actions: Option<&str>) -> TargetFacts {
        let rights =
            actions.map(|action| Rights([("$cluster".into(), vec![action.into()])].into()));
        TargetFacts { version: version.to_owned(), rights, ..TargetFacts::default() }
    }

    #[test]
    fn whoever_may_run_apply_ops_writes_them() {
        let way = |facts, leave_out_unrestorable| {
            let settings = RestoreSettings { leave_out_unrestorable, ..RestoreSettings::default() };
            Verbatim::of(&facts, &settings).way
        };
        assert_eq!(way(facts("6.0.5", None), false), Way::Written, "no access control");
        assert_eq!(way(facts("6.0.5", Some("applyOps")), false), Way::Written);
        assert_eq!(way(facts("4.4.2", Some("find")), false), Way::Written);
        assert_eq!(way(facts("5.0.4", Some("find")), false), Way::Refused);
        assert_eq!(way(facts("5.0.4", Some("find")), true), Way::LeftOut);
    }

    #[test]
    fn what_is_left_out_is_named_and_counted() {
        let settings = RestoreSettings { leave_out_unrestorable: true, ..Default::default() };
        let verbatim = Verbatim::of(&facts("5.0.4", Some("find")), &settings);
        for id in 0..1_003 {
            let document = rawdoc! { "a": 1, "_id": id };
            assert!(!verbatim.decide("shop.orders", document.as_bytes(), LATE).expect("left out"));
        }
        let left_out = verbatim.left_out();
        assert_eq!(left_out.len(), NAMED + 1);
        assert_eq!(left_out[7].ns, r#"shop.orders (document with _id {"$numberInt":"7"})"#);
        assert_eq!(left_out[NAMED].ns, "3 more documents");
    }

    #[test]
    fn a_document_that_ends_the_restore_is_named_with_the_remedy() {
        let verbatim = Verbatim::of(&facts("5.0.4", Some("find")), &RestoreSettings::default());
        let document = rawdoc! { "a": 1, "_id": "x" };
        let error = verbatim.decide("shop.orders", document.as_bytes(), LATE);
        let error = error.expect_err("refused");
        assert_eq!(error.remedies(), [Remedy::LeaveOutUnrestorable]);
        let message = error.to_string();
        assert!(message.contains("\"x\"") && message.contains("dbAdminAnyDatabase"), "{message}");
    }
}
