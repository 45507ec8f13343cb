//! The copy itself.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hindsight_holdings::pack_older;
use hindsight_log::{LogError, SegmentLog};
use hindsight_oplog::OpTime;
use hindsight_runtime::CancellationToken;
use hindsight_segment::{SealedSegment, SegmentInfo, Sequence};

use crate::ahead::read_ahead;
use crate::bases;
use crate::error::ArchiveError;
use crate::progress::{Progress, Tell};
use crate::retry::patiently;
use crate::source::Source;
use crate::start::first_missing;
use crate::target::Target;

/// The pause between two looks at what can be packed.
const LOOK: Duration = Duration::from_millis(500);

/// What a copy did, and where the target ends now.
#[derive(Debug, Default)]
pub struct Copied {
    /// Segments that were appended.
    pub segments: u64,
    /// Entries in these segments.
    pub entries: u64,
    /// Bytes of these segments.
    pub bytes: u64,
    /// Segments that the target already had.
    pub found: u64,
    /// Bases that were announced, because the target did not know them.
    pub bases: u64,
    /// The target's last segment. None when it has none.
    pub last: Option<Sequence>,
    /// The optime of the target's last entry.
    pub through: Option<OpTime>,
    /// The damage in the source at which the copy ends. Such a copy is incomplete.
    pub damage: Option<LogError>,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, entries, bytes, found, bases, through, last: _, damage } = self;
        write!(
            f,
            "copied {segments} segments, {entries} entries, {bytes} bytes; {found} were already there; {bases} bases \
             announced; "
        )?;
        match (through, damage) {
            (Some(through), None) => write!(f, "both end at {through}"),
            (Some(through), Some(_)) => write!(f, "the copy ends at {through}"),
            (None, _) => f.write_str("the copy is empty"),
        }
    }
}

impl Copied {
    fn ends_with(&mut self, info: &SegmentInfo) {
        self.last = Some(info.sequence());
        self.through = Some(info.last());
    }

    fn add(&mut self, info: &SegmentInfo) {
        self.segments += 1;
        self.entries += info.seal.entries;
        self.bytes += info.segment_bytes;
        self.ends_with(info);
    }
}

/// Brings the target level with the source, and lets other writers into the target again. `bases`
/// is the directory of the bases of a source in files, which cannot announce them itself. Older
/// segments of a target in a directory are packed meanwhile, as the process that captures does it.
///
/// Damage in the source ends the copy before the damage and is returned in [`Copied::damage`].
///
/// # Errors
/// Returns an error when the two are not the same log, or when a log cannot be read or appended to
/// even after a while. What was appended stays, and the next copy continues from there.
pub async fn copy(
    source: &Source,
    target: Target,
    bases: Option<&Path>,
    tell: &Tell,
) -> Result<Copied, ArchiveError> {
    let is_filled = CancellationToken::new();
    let filling = async {
        let filled = fill(source, &target, bases, tell).await;
        is_filled.cancel();
        filled
    };
    let (copied, packed) = tokio::join!(filling, pack(&target, &is_filled, tell));
    let left = target.leave().await;
    let copied = copied?;
    packed.map_err(ArchiveError::NotPacked)?;
    left?;
    Ok(copied)
}

/// Packs the older segments of a target in a directory: what is old enough while the copy runs, and
/// the rest once it is filled. So also a long copy has few files at any time.
async fn pack(target: &Target, is_filled: &CancellationToken, tell: &Tell) -> Result<(), LogError> {
    let Some(log) = &target.directory else { return Ok(()) };
    loop {
        let is_last = is_filled.is_cancelled();
        patiently(tell, || pack_older(log, CancellationToken::new())).await?;
        if is_last {
            return Ok(());
        }
        is_filled.run_until_cancelled(tokio::time::sleep(LOOK)).await;
    }
}

/// Bases are announced first, so that the target knows them even when the copy ends early.
async fn fill(
    source: &Source,
    target: &Target,
    directory: Option<&Path>,
    tell: &Tell,
) -> Result<Copied, ArchiveError> {
    let mut copied = Copied::default();
    let to = target.log.log.as_ref();
    let next = after_what_is_there(source, to, &mut copied).await?;
    if let Some(shared) = &target.log.shared {
        let wanted = bases::of(source, directory, tell).await?;
        copied.bases = bases::announce(wanted, shared.as_ref(), tell).await?;
    }
    append_from(source, next, to, &mut copied, tell).await?;
    Ok(copied)
}

/// Returns the first segment that the target lacks, and notes what the target holds.
async fn after_what_is_there(
    source: &Source,
    to: &dyn SegmentLog,
    copied: &mut Copied,
) -> Result<Sequence, ArchiveError> {
    let begins = source.first.sequence();
    let Some(held) = to.end().await? else { return first_missing(begins, None, None) };
    let beside = source.log.log.infos(held.sequence(), 1).await?;
    let next = first_missing(begins, Some(&held), beside.first().map(Arc::as_ref))?;
    let first = to.begin().await?.map_or(Sequence::FIRST, |beginning| beginning.sequence);
    copied.found = next.0.saturating_sub(first.0);
    copied.ends_with(&held);
    Ok(next)
}

/// Appends the segments from `next` on, up to and including the source's last one, or up to the
/// damage.
async fn append_from(
    source: &Source,
    next: Sequence,
    to: &dyn SegmentLog,
    copied: &mut Copied,
    tell: &Tell,
) -> Result<(), ArchiveError> {
    let last = source.last;
    let mut ahead = read_ahead(Arc::clone(&source.log.log), next, last, Arc::clone(tell));
    while let Some(read) = ahead.next().await {
        let view = match read {
            Ok(view) => view,
            Err(damage @ LogError::Corrupt { .. }) => {
                copied.damage = Some(damage);
                return Ok(());
            }
            Err(error) => return Err(ArchiveError::Stopped(error)),
        };
        let segment = SealedSegment::of(&view)?;
        let appended = patiently(tell, || to.append(segment.clone())).await;
        appended.map_err(ArchiveError::Stopped)?;
        copied.add(view.info());
        let (segment, bytes) = (view.info().sequence(), copied.bytes);
        tell(Progress::Appended { segment, last, bytes });
    }
    match last.is_some_and(|last| copied.last >= Some(last)) {
        true => Ok(()),
        false => Err(ArchiveError::EndedEarly),
    }
}
