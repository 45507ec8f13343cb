//! Which bases to announce in the copy of a log, so that it can be restored from when the source no
//! longer exists.

use std::path::Path;

use hindsight_base::{BaseSummary, Listing};
use hindsight_log::{BaseDigest, BaseNotice, SharedLog};
use hindsight_segment::SourceIdentity;

use crate::error::ArchiveError;
use crate::progress::{Progress, Tell};
use crate::retry::patiently;
use crate::source::Source;

/// Returns the bases of the log that is copied: the bases that the log announces. A log in files
/// announces none: its bases are those in `directory`, if given, that are of its replica set.
pub(crate) async fn of(
    source: &Source,
    directory: Option<&Path>,
    tell: &Tell,
) -> Result<Vec<BaseNotice>, ArchiveError> {
    match (&source.log.shared, directory) {
        (Some(shared), _) => Ok(patiently(tell, || shared.announced()).await?),
        (None, Some(directory)) => in_directory(directory, source.set(), tell),
        (None, None) => {
            tell(Progress::BasesUnknown);
            Ok(Vec::new())
        }
    }
}

fn in_directory(
    directory: &Path,
    set: &SourceIdentity,
    tell: &Tell,
) -> Result<Vec<BaseNotice>, ArchiveError> {
    if !directory.is_dir() {
        return Err(ArchiveError::NoBases(directory.to_owned()));
    }
    let Listing { bases, damaged, .. } =
        hindsight_base::list(directory).map_err(ArchiveError::Bases)?;
    for (path, error) in &damaged {
        tell(Progress::DamagedBase { path, error });
    }
    let (ours, others): (Vec<_>, Vec<_>) =
        bases.into_iter().partition(|base| is_of(base.origin.source.replica_set_id, set));
    for base in &others {
        tell(Progress::ForeignBase { name: &base.name, set });
    }
    let notice =
        |base: BaseSummary| BaseNotice { name: base.name, digest: BaseDigest(base.digest) };
    Ok(ours.into_iter().map(notice).collect())
}

/// A base whose replica set is unknown may be of any replica set: a restore from it could produce a
/// state that never existed.
fn is_of(replica_set_id: Option<[u8; 12]>, set: &SourceIdentity) -> bool {
    replica_set_id == Some(set.replica_set_id)
}

/// Announces the bases that the target does not know yet. Returns how many.
pub(crate) async fn announce(
    wanted: Vec<BaseNotice>,
    target: &dyn SharedLog,
    tell: &Tell,
) -> Result<u64, ArchiveError> {
    let known = patiently(tell, || target.announced()).await?;
    let missing = missing(wanted, &known);
    for notice in &missing {
        let announced = patiently(tell, || target.announce(notice.clone())).await;
        announced.map_err(ArchiveError::Stopped)?;
    }
    Ok(missing.len() as u64)
}

fn missing(mut wanted: Vec<BaseNotice>, known: &[BaseNotice]) -> Vec<BaseNotice> {
    wanted.retain(|notice| !known.contains(notice));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_announced_again() {
        let notice = |name: &str, digest: u8| BaseNotice {
            name: name.to_owned(),
            digest: BaseDigest([digest; 32]),
        };
        let (one, other, two) = (notice("one", 1), notice("one", 9), notice("two", 2));
        let wanted = || vec![one.clone(), two.clone()];
        assert_eq!(missing(wanted(), &[]), wanted());
        assert_eq!(missing(wanted(), std::slice::from_ref(&two)), std::slice::from_ref(&one));
        assert_eq!(missing(wanted(), &[other]), wanted(), "another base of that name");
        assert_eq!(missing(wanted(), &wanted()), []);
    }

    #[test]
    fn only_bases_of_the_same_replica_set_are_of_a_log() {
        let set = SourceIdentity { replica_set_id: [7; 12], set_name: "rs0".to_owned() };
        assert!(is_of(Some([7; 12]), &set));
        assert!(!is_of(Some([8; 12]), &set));
        assert!(!is_of(None, &set));
    }
}
