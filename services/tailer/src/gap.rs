//! Decides whether entries are lost when what follows the resume point is gone from every member
//! that may be read. The entries are not lost while any other member of the set has them: a member
//! that is resynced has lost what its peers hold.

use std::time::Duration;

use futures_util::future::join_all;
use hindsight_oplog::OpTime;
use hindsight_remedy::Remedy;

use crate::choose::{Excluded, Member, Preference, exclusion};
use crate::error::CaptureError;
use crate::reader::oplog_ends;
use crate::resume::OplogEnds;
use crate::source::Source;

/// How long to wait in total for members that do not answer. A member that restarts or rolls back
/// is back within this time. The time is not much longer, because during the wait the readable
/// oplogs lose their oldest entries too, and because a member that never comes back must not stop
/// capture forever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a member has what follows the resume point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    /// The member's oplog begins later too.
    No,
    /// It is not known whether the member has it, for the reason given.
    Unknown(String),
}

/// A member with data that is not read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    host: String,
    excluded: Excluded,
    holds: Holds,
}

/// What to do about entries that no readable member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The entries are a gap: continue after it. `unheard` names the members that were waited for
    /// in vain.
    GoOnBehind { unheard: Vec<String> },
    /// No member is known to hold the entries, but some members may: it is too early to decide.
    Wait(String),
    /// Some member holds the entries, and is not read from.
    Refuse(HeldElsewhere),
}

/// No readable member has what follows the resume point, and some other member has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "what follows {after} is gone from every member that may be read, and not lost yet. It is still in the oplog of {}",
    self.holders()
)]
pub struct HeldElsewhere {
    after: OpTime,
    holders: Vec<(String, Excluded)>,
}

impl HeldElsewhere {
    /// Returns the members that hold it, each with what makes the member readable.
    fn holders(&self) -> String {
        let told = |(host, excluded): &(String, Excluded)| match excluded.remedy(host) {
            Some(remedy) => format!("{host}: {remedy} to read it there"),
            None => format!(
                "{host}: it is read there as soon as that is a secondary; if it never becomes one, remove it from the \
                 set: then this counts as a gap"
            ),
        };
        let holders: Vec<String> = self.holders.iter().map(told).collect();
        holders.join("; and of ")
    }

    /// Returns what makes the members readable that hold it.
    pub(crate) fn remedies(&self) -> Vec<Remedy> {
        self.holders.iter().filter_map(|(host, excluded)| excluded.remedy(host)).collect()
    }
}

/// Returns the members that may have what the tried members lack, and why they are not read from.
pub(crate) fn others(
    members: &[Member],
    tried: &[&str],
    preference: &Preference,
) -> Vec<(String, Excluded)> {
    let is_other = |member: &&Member| !member.arbiter && !tried.contains(&member.host.as_str());
    let describe = |member: &Member| {
        // All candidates were tried. A member that has become a candidate since is tried next.
        let excluded = exclusion(member, preference).unwrap_or(Excluded::NotReadable);
        (member.host.clone(), excluded)
    };
    members.iter().filter(is_other).map(describe).collect()
}

/// Asks these members, whatever their state, for the oldest entries they have.
pub(crate) async fn ask(
    source: &Source,
    others: Vec<(String, Excluded)>,
    after: OpTime,
) -> Vec<Other> {
    let ask_one = |(host, excluded): (String, Excluded)| async move {
        let ends = match source.member_client(&host) {
            Ok(client) => oplog_ends(&client, &host).await,
            Err(error) => Err(error),
        };
        Other { host, excluded, holds: holds(ends, after) }
    };
    join_all(others.into_iter().map(ask_one)).await
}

/// A member whose oplog reaches back to the resume point and past it has what follows.
fn holds(ends: Result<OplogEnds, CaptureError>, after: OpTime) -> Holds {
    match ends {
        Ok(ends) if ends.oldest.ts > after.ts => Holds::No,
        Ok(ends) if ends.newest.ts > after.ts => Holds::Yes,
        // A member that lags will have it; a member that is too stale never will.
        Ok(ends) => {
            Holds::Unknown(format!("its oplog ends at {}, before what follows", ends.newest))
        }
        Err(error) => Holds::Unknown(error.to_string()),
    }
}

/// Decides whether capture may continue after a gap, when every member that may be read begins
/// after `after`. `waited` is how long members that do not answer have been the only obstacle.
pub(crate) fn decide(others: &[Other], after: OpTime, waited: Duration) -> Decision {
    let holding = others.iter().filter(|other| other.holds == Holds::Yes);
    let holders: Vec<_> =
        holding.map(|other| (other.host.clone(), other.excluded.clone())).collect();
    if !holders.is_empty() {
        return Decision::Refuse(HeldElsewhere { after, holders });
    }
    let silent = |other: &Other| match &other.holds {
        Holds::Unknown(reason) => Some(format!("{} ({reason})", other.host)),
        Holds::Yes | Holds::No => None,
    };
    let unheard: Vec<String> = others.iter().filter_map(silent).collect();
    let left = PATIENCE.saturating_sub(waited);
    if unheard.is_empty() || left.is_zero() {
        return Decision::GoOnBehind { unheard };
    }
    Decision::Wait(format!(
        "what follows {after} is gone from every member that can be read. Before that counts as a gap, others that may \
         have it are waited for, {} s more: {}",
        left.as_secs().max(1),
        unheard.join("; ")
    ))
}

/// Returns the reason for a gap, as it is recorded.
pub(crate) fn reason(host: &str, oldest: OpTime, unheard: &[String]) -> String {
    let mut reason = format!(
        "the source's oplog rolled over: its oldest entry on {host} is {oldest}, newer than the last one held"
    );
    if !unheard.is_empty() {
        reason += &format!("; others were waited for in vain: {}", unheard.join("; "));
    }
    reason
}

#[cfg(test)]
mod tests {
    use hindsight_oplog::Timestamp;

    use super::*;
    use crate::choose::MemberState;

    const AFTER: OpTime = OpTime::new(100, 1, 3);

    fn member(host: &str, state: MemberState) -> Member {
        Member {
            host: host.into(),
            state,
            hidden: false,
            delayed: false,
            arbiter: false,
            builds_indexes: true,
            tags: Vec::new(),
            applied: Timestamp::new(200, 1),
        }
    }

    fn other(host: &str, excluded: Excluded, holds: Holds) -> Other {
        Other { host: host.into(), excluded, holds }
    }

    fn silent(host: &str) -> Other {
        other(host, Excluded::NotReadable, Holds::Unknown("connection refused".into()))
    }

    #[test]
    fn every_member_with_data_is_asked_that_was_not_tried() {
        let mut members = [
            member("primary:1", MemberState::Primary),
            member("resynced:1", MemberState::Secondary),
            member("delayed:1", MemberState::Secondary),
            member("recovering:1", MemberState::Other),
            member("arbiter:1", MemberState::Other),
        ];
        members[2].delayed = true;
        members[4].arbiter = true;
        let asked = others(&members, &["resynced:1"], &Preference::default());
        let wanted = [
            ("primary:1".to_owned(), Excluded::Primary),
            ("delayed:1".to_owned(), Excluded::Delayed),
            ("recovering:1".to_owned(), Excluded::NotReadable),
        ];
        assert_eq!(asked, wanted);
        let only = Preference { member: Some("resynced:1".into()), ..Preference::default() };
        let asked = others(&members, &["resynced:1"], &only);
        assert!(asked.iter().all(|(_, why)| *why == Excluded::AnotherAskedFor), "{asked:?}");
        assert_eq!(asked.len(), 3);
    }

    #[test]
    fn an_oplog_that_reaches_back_to_the_resume_point_holds_what_follows() {
        let ends = |oldest: u32| {
            let newest = OpTime::new(300, 1, 3);
            Ok(OplogEnds { oldest: OpTime::new(oldest, 1, 3), newest })
        };
        assert_eq!(holds(ends(90), AFTER), Holds::Yes);
        assert_eq!(holds(ends(100), AFTER), Holds::Yes);
        assert_eq!(holds(ends(101), AFTER), Holds::No);
        let newest = AFTER;
        let stale = holds(Ok(OplogEnds { oldest: OpTime::new(90, 1, 3), newest }), AFTER);
        assert!(matches!(&stale, Holds::Unknown(why) if why.contains("ends at")), "{stale:?}");
        let unknown = holds(Err(CaptureError::Unavailable("gone".into())), AFTER);
        assert_eq!(unknown, Holds::Unknown("gone".into()));
    }

    #[test]
    fn what_another_member_holds_is_no_gap_however_long_it_takes() {
        let others = [
            silent("down:1"),
            other("primary:1", Excluded::Primary, Holds::Yes),
            other("late:1", Excluded::Delayed, Holds::No),
        ];
        for waited in [Duration::ZERO, PATIENCE, Duration::MAX] {
            let decision = decide(&others, AFTER, waited);
            let Decision::Refuse(held) = &decision else { panic!("{decision:?}") };
            assert_eq!(held.remedies(), [Remedy::AllowPrimary]);
            let reason = held.to_string();
            assert!(reason.contains("primary:1: allow reading from the primary"), "{reason}");
            assert!(!reason.contains("late:1"), "{reason}");
        }
    }

    #[test]
    fn members_that_do_not_answer_are_waited_for_and_not_for_ever() {
        let others = [silent("down:1"), other("primary:1", Excluded::Primary, Holds::No)];
        for waited in [Duration::ZERO, PATIENCE - Duration::from_millis(1)] {
            let decision = decide(&others, AFTER, waited);
            let Decision::Wait(reason) = &decision else { panic!("{decision:?}") };
            assert!(reason.contains("down:1") && !reason.contains("primary:1"), "{reason}");
        }
        let decision = decide(&others, AFTER, PATIENCE);
        let Decision::GoOnBehind { unheard } = &decision else { panic!("{decision:?}") };
        let reason = reason("resynced:1", OpTime::new(150, 1, 3), unheard);
        assert!(reason.contains("rolled over") && reason.contains("down:1"), "{reason}");
        assert!(!reason.contains("primary:1"), "it was asked: {reason}");
    }

    #[test]
    fn what_nobody_holds_is_a_gap_at_once() {
        let nobody = Decision::GoOnBehind { unheard: Vec::new() };
        assert_eq!(decide(&[], AFTER, Duration::ZERO), nobody);
        let others = [other("primary:1", Excluded::Primary, Holds::No)];
        assert_eq!(decide(&others, AFTER, Duration::ZERO), nobody);
    }
}
