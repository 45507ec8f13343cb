//! Decides which member to read from. A pure decision with its reasons.

use std::fmt;

use hindsight_oplog::Timestamp;
use hindsight_remedy::Remedy;

/// What `replSetGetConfig` and `replSetGetStatus` say about one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member's address in the configuration, as `host:port`.
    pub host: String,
    /// The member's state.
    pub state: MemberState,
    /// Whether the member is hidden.
    pub hidden: bool,
    /// Whether `secondaryDelaySecs` (`slaveDelay` before 5.0) is not zero.
    pub delayed: bool,
    /// Whether the member is an arbiter, which holds no data.
    pub arbiter: bool,
    /// False when the configuration sets `buildIndexes: false` for the member. Such a member lists
    /// no index except the one on `_id`.
    pub builds_indexes: bool,
    /// The member's tags, as names and values.
    pub tags: Vec<(String, String)>,
    /// The timestamp of the newest entry that the member has applied.
    pub applied: Timestamp,
}

/// The state of a member, as far as reading from it depends on the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// The member is primary.
    Primary,
    /// The member is secondary.
    Secondary,
    /// The member is starting, recovering, rolling back, removed or down: it is not readable.
    Other,
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "it is primary now",
            Self::Secondary => "it is secondary",
            Self::Other => "it is neither primary nor secondary",
        })
    }
}

/// Which members may be read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preference {
    /// Read from this member only. None allows any member.
    pub member: Option<String>,
    /// Read only from members that carry all of these tags.
    pub tags: Vec<(String, String)>,
    /// Whether the primary may be read from. Without this, it may be only when it is the only
    /// member with data, or is named by `member`.
    pub allow_primary: bool,
}

/// A member to try, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The member, as `host:port`.
    pub host: String,
    /// Why the member is a candidate, for people.
    pub reason: String,
}

/// Returns the members to try, best first: hidden members, then secondaries, then the primary if
/// the primary is allowed or is the only member with data. Ties are decided by the lowest lag, then
/// by name. A delayed member is a candidate only when the preference names it: it may be the last
/// member that still has what follows the log.
///
/// # Errors
/// Returns why no member qualifies, member by member.
pub fn candidates(
    members: &[Member],
    preference: &Preference,
) -> Result<Vec<Candidate>, NoCandidate> {
    let newest = members.iter().map(|member| member.applied).max().unwrap_or_default();
    let data_members = members.iter().filter(|member| !member.arbiter).count();
    let allow_primary = preference.allow_primary || data_members == 1;
    let mut ranked = Vec::new();
    let mut refused = Vec::new();
    for member in members {
        match rank(member, preference, allow_primary) {
            Ok(rank) => {
                let lag = newest.seconds().saturating_sub(member.applied.seconds());
                ranked.push((rank, lag, &member.host));
            }
            Err(excluded) => refused.push((member.host.clone(), excluded)),
        }
    }
    if ranked.is_empty() {
        return Err(NoCandidate { excluded: refused });
    }
    ranked.sort();
    let describe = |(rank, lag, host): (Rank, u32, &String)| Candidate {
        host: host.clone(),
        reason: format!("{}, {lag} s behind", rank.name()),
    };
    Ok(ranked.into_iter().map(describe).collect())
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Hidden,
    Secondary,
    Primary,
}

impl Rank {
    fn name(self) -> &'static str {
        match self {
            Rank::Hidden => "hidden secondary",
            Rank::Secondary => "secondary",
            Rank::Primary => "primary",
        }
    }
}

/// No member qualifies to be read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no member can be read from ({})", reasons(.excluded))]
pub struct NoCandidate {
    excluded: Vec<(String, Excluded)>,
}

fn reasons(excluded: &[(String, Excluded)]) -> String {
    let reasons: Vec<String> =
        excluded.iter().map(|(host, reason)| format!("{host}: {reason}")).collect();
    reasons.join("; ")
}

impl NoCandidate {
    /// Returns what makes a member a candidate, for the members that a person may have forgotten to
    /// allow.
    pub(crate) fn remedies(&self) -> Vec<Remedy> {
        let forbids_primary = self.excluded.iter().any(|(_, it)| *it == Excluded::Primary);
        forbids_primary.then_some(Remedy::AllowPrimary).into_iter().collect()
    }
}

/// Why a member is not read from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excluded {
    #[error("another member was asked for")]
    AnotherAskedFor,
    #[error("arbiter")]
    Arbiter,
    #[error("delayed")]
    Delayed,
    #[error("lacks the tag {name}:{value}")]
    LacksTag { name: String, value: String },
    #[error("primary, which is read only where that is allowed")]
    Primary,
    #[error("neither primary nor secondary now")]
    NotReadable,
}

impl Excluded {
    /// Returns what a person must do so that this member is read from. None when only the member
    /// itself can change that.
    pub(crate) fn remedy(&self, host: &str) -> Option<Remedy> {
        let member = |without_tags| Remedy::Member { host: host.to_owned(), without_tags };
        match self {
            Self::Primary => Some(Remedy::AllowPrimary),
            Self::AnotherAskedFor | Self::Delayed => Some(member(false)),
            Self::LacksTag { .. } => Some(member(true)),
            Self::Arbiter | Self::NotReadable => None,
        }
    }
}

/// Returns why a member with data is not among the [`candidates`]. None when it is among them.
pub(crate) fn exclusion(member: &Member, preference: &Preference) -> Option<Excluded> {
    rank(member, preference, preference.allow_primary).err()
}

fn rank(member: &Member, preference: &Preference, allow_primary: bool) -> Result<Rank, Excluded> {
    let asked_for = preference.member.as_deref() == Some(member.host.as_str());
    if preference.member.is_some() && !asked_for {
        return Err(Excluded::AnotherAskedFor);
    }
    if member.arbiter {
        return Err(Excluded::Arbiter);
    }
    if member.delayed && !asked_for {
        return Err(Excluded::Delayed);
    }
    if let Some((name, value)) = preference.tags.iter().find(|tag| !member.tags.contains(tag)) {
        return Err(Excluded::LacksTag { name: name.clone(), value: value.clone() });
    }
    match member.state {
        MemberState::Secondary if member.hidden => Ok(Rank::Hidden),
        MemberState::Secondary => Ok(Rank::Secondary),
        MemberState::Primary if allow_primary || asked_for => Ok(Rank::Primary),
        MemberState::Primary => Err(Excluded::Primary),
        MemberState::Other => Err(Excluded::NotReadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(host: &str, state: MemberState, applied: u32) -> Member {
        Member {
            host: host.into(),
            state,
            hidden: false,
            delayed: false,
            arbiter: false,
            builds_indexes: true,
            tags: Vec::new(),
            applied: Timestamp::new(applied, 1),
        }
    }

    fn hosts(members: &[Member], preference: &Preference) -> Vec<String> {
        let found = candidates(members, preference).expect("some member qualifies");
        found.into_iter().map(|candidate| candidate.host).collect()
    }

    #[test]
    fn hidden_before_secondary_before_allowed_primary_then_lag_then_name() {
        let mut members = vec![
            member("p:1", MemberState::Primary, 100),
            member("c:1", MemberState::Secondary, 100),
            member("b:1", MemberState::Secondary, 100),
            member("a:1", MemberState::Secondary, 90),
            member("h:1", MemberState::Secondary, 50),
        ];
        members[4].hidden = true;
        let preference = Preference::default();
        assert_eq!(hosts(&members, &preference), ["h:1", "b:1", "c:1", "a:1"]);
        let preference = Preference { allow_primary: true, ..Preference::default() };
        assert_eq!(hosts(&members, &preference), ["h:1", "b:1", "c:1", "a:1", "p:1"]);
    }

    #[test]
    fn delayed_recovering_and_arbiter_are_not_read() {
        let mut members = vec![
            member("delayed:1", MemberState::Secondary, 100),
            member("recovering:1", MemberState::Other, 100),
            member("arbiter:1", MemberState::Other, 0),
            member("primary:1", MemberState::Primary, 100),
        ];
        members[0].delayed = true;
        members[2].arbiter = true;
        let refusal = candidates(&members, &Preference::default()).expect_err("none qualifies");
        assert_eq!(refusal.remedies(), [Remedy::AllowPrimary]);
        let refusal = refusal.to_string();
        for named in
            ["delayed:1: delayed", "recovering:1:", "arbiter:1: arbiter", "primary:1: primary"]
        {
            assert!(refusal.contains(named), "{refusal}");
        }
    }

    #[test]
    fn the_primary_of_a_set_of_one_is_read_without_asking() {
        let alone = [member("only:1", MemberState::Primary, 100)];
        assert_eq!(hosts(&alone, &Preference::default()), ["only:1"]);
    }

    #[test]
    fn an_explicit_member_and_tags_narrow_the_choice() {
        let mut members =
            vec![member("a:1", MemberState::Secondary, 9), member("b:1", MemberState::Primary, 9)];
        members[0].tags = vec![("use".into(), "backup".into())];
        let asked = Preference { member: Some("b:1".into()), ..Preference::default() };
        assert_eq!(hosts(&members, &asked), ["b:1"]);
        let tagged = Preference {
            tags: vec![("use".into(), "backup".into())],
            allow_primary: true,
            ..Preference::default()
        };
        assert_eq!(hosts(&members, &tagged), ["a:1"]);
        members[1] = Member { delayed: true, ..member("b:1", MemberState::Secondary, 9) };
        assert_eq!(hosts(&members, &asked), ["b:1"], "delayed, and asked for");
    }

    #[test]
    fn following_the_remedy_makes_a_member_a_candidate() {
        let primary = member("p:1", MemberState::Primary, 9);
        let delayed = Member { delayed: true, ..member("d:1", MemberState::Secondary, 9) };
        let tags = vec![("use".to_owned(), "backup".to_owned())];
        let none = Preference::default();
        let other = Preference { member: Some("a:1".into()), ..Preference::default() };
        let tagged = Preference { tags, ..Preference::default() };
        let remedied = |member: &Member, preference: &Preference| {
            let excluded = exclusion(member, preference).expect("it is not a candidate");
            let after = match excluded.remedy(&member.host).expect("a person can help") {
                Remedy::AllowPrimary => Preference { allow_primary: true, ..preference.clone() },
                Remedy::Member { host, without_tags } => Preference {
                    member: Some(host),
                    tags: if without_tags { Vec::new() } else { preference.tags.clone() },
                    ..preference.clone()
                },
                other => panic!("not about members: {other:?}"),
            };
            exclusion(member, &after)
        };
        for (member, preference) in [
            (&primary, &none),
            (&primary, &other),
            (&primary, &tagged),
            (&delayed, &none),
            (&delayed, &other),
        ] {
            assert_eq!(remedied(member, preference), None, "{member:?} {preference:?}");
        }
    }
}
