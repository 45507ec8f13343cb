//! Decides whether reading may continue at a member. The cases of resuming a tail, as a pure
//! decision (I2, I3).

use hindsight_oplog::OpTime;

/// Where reading continues: after the last entry that is held, or at the first entry that is
/// wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResumeAt {
    /// The entry's optime.
    pub optime: OpTime,
    /// BLAKE3 of the entry's bytes. None when the bytes are not held. Two sets cloned from one
    /// backup may agree on an optime and on nothing else.
    pub digest: Option<[u8; 32]>,
    /// True when the entry itself is not held yet and is to be delivered with what is read.
    pub deliver: bool,
}

/// The first entry that the source returned for `ts >= resume.ts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstEntry {
    /// The entry's optime.
    pub optime: OpTime,
    /// BLAKE3 of the entry's bytes.
    pub digest: [u8; 32],
}

/// The ends of a member's oplog. They are read after the first batch, because truncation runs
/// beside the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OplogEnds {
    /// The oldest entry.
    pub oldest: OpTime,
    /// The newest entry.
    pub newest: OpTime,
}

/// Whether reading may continue at a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first entry is the expected one.
    Continue,
    /// This member no longer has what follows the resume point. Another member may have it.
    RolledOver { oldest: OpTime },
    /// This member, or its majority point, has not reached the resume point yet. Try another
    /// member, or wait.
    Behind { newest: OpTime },
    /// The source's history is not the one that is held.
    Diverged(String),
}

/// Judges what a member answered. `ends` is needed only when the first entry is not the expected
/// one.
pub(crate) fn judge(
    resume: &ResumeAt,
    first: Option<FirstEntry>,
    ends: Option<OplogEnds>,
) -> Verdict {
    if let Some(first) = first.filter(|first| first.optime.ts <= resume.optime.ts) {
        return judge_same_timestamp(resume, first);
    }
    let Some(ends) = ends else {
        return Verdict::Diverged("the expected entry is missing".into());
    };
    if ends.oldest.ts > resume.optime.ts {
        return Verdict::RolledOver { oldest: ends.oldest };
    }
    // Without a first entry nothing is known yet. A secondary applies entries before it learns that
    // a majority has them, so the end of its oplog can be ahead of what a majority read returns.
    if first.is_none() || ends.newest.ts < resume.optime.ts {
        return Verdict::Behind { newest: ends.newest };
    }
    Verdict::Diverged(format!(
        "the oplog reaches from {} to {}, but the entry {} is not in it",
        ends.oldest, ends.newest, resume.optime
    ))
}

fn judge_same_timestamp(resume: &ResumeAt, first: FirstEntry) -> Verdict {
    if first.optime != resume.optime {
        return Verdict::Diverged(format!("the source holds {} there", first.optime));
    }
    match resume.digest {
        Some(held) if held != first.digest => {
            Verdict::Diverged("the entry there has other bytes than the one we hold".into())
        }
        _ => Verdict::Continue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: OpTime = OpTime::new(100, 1, 3);

    fn resume() -> ResumeAt {
        ResumeAt { optime: AT, digest: Some([7; 32]), deliver: false }
    }

    fn ends(oldest: u32, newest: u32) -> Option<OplogEnds> {
        Some(OplogEnds { oldest: OpTime::new(oldest, 1, 3), newest: OpTime::new(newest, 1, 3) })
    }

    #[test]
    fn the_very_entry_continues() {
        let first = FirstEntry { optime: AT, digest: [7; 32] };
        assert_eq!(judge(&resume(), Some(first), None), Verdict::Continue);
        let unknown = ResumeAt { digest: None, ..resume() };
        let first = FirstEntry { optime: AT, digest: [9; 32] };
        assert_eq!(judge(&unknown, Some(first), None), Verdict::Continue);
    }

    #[test]
    fn another_term_or_other_bytes_diverge() {
        let other_term = FirstEntry { optime: OpTime::new(100, 1, 4), digest: [7; 32] };
        assert!(matches!(judge(&resume(), Some(other_term), None), Verdict::Diverged(_)));
        let other_bytes = FirstEntry { optime: AT, digest: [8; 32] };
        assert!(matches!(judge(&resume(), Some(other_bytes), None), Verdict::Diverged(_)));
    }

    #[test]
    fn a_newer_oldest_entry_is_a_rollover() {
        let first = FirstEntry { optime: OpTime::new(150, 1, 3), digest: [1; 32] };
        let verdict = judge(&resume(), Some(first), ends(150, 200));
        assert_eq!(verdict, Verdict::RolledOver { oldest: OpTime::new(150, 1, 3) });
    }

    #[test]
    fn nothing_there_yet_is_a_member_behind() {
        let verdict = judge(&resume(), None, ends(10, 90));
        assert_eq!(verdict, Verdict::Behind { newest: OpTime::new(90, 1, 3) });
    }

    #[test]
    fn an_entry_missing_inside_the_oplog_diverges() {
        let first = FirstEntry { optime: OpTime::new(101, 1, 5), digest: [1; 32] };
        assert!(matches!(judge(&resume(), Some(first), ends(10, 200)), Verdict::Diverged(_)));
    }

    #[test]
    fn an_oplog_ahead_of_its_majority_point_is_a_member_behind() {
        let verdict = judge(&resume(), None, ends(10, 200));
        assert_eq!(verdict, Verdict::Behind { newest: OpTime::new(200, 1, 3) });
    }
}
