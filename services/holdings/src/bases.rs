//! Decides which bases the index knows: the bases that are complete in the directory of bases and
//! belong to the log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hindsight_base::ErrorKind;
use hindsight_index::{BaseSummary, Index, IndexError};
use hindsight_log::BaseNotice;
use hindsight_tailer::CaptureError;

/// Why the bases could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The directory of bases cannot be read.
    #[error("the bases cannot be listed: {0}")]
    List(#[from] hindsight_base::Error),
    /// The index cannot be read or written.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl From<RegistryError> for CaptureError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Index(error) => error.into(),
            RegistryError::List(error) => error.into(),
        }
    }
}

/// The contents of the directory of bases.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The names of the bases. Bases that cannot be read are included, because their manifests
    /// exist.
    pub there: BTreeSet<String>,
    /// The bases that cannot be used.
    pub damaged: Vec<DamagedBase>,
    /// Bases that are announced in the log but missing from the directory.
    pub absent: Vec<BaseNotice>,
}

/// A base that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct DamagedBase {
    /// The base's directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Found {
    /// Returns whether no base is expected to be put back.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.absent.is_empty()
    }

    /// Logs each damaged base.
    pub fn say_damaged(&self) {
        for DamagedBase { path, reason } in &self.damaged {
            tracing::error!(base = %path.display(), error = reason, "a base is damaged and not used");
        }
    }
}

/// Removes from the index the bases that are gone from the directory.
pub(crate) fn forget_absent_bases(index: &Index, directory: &Path) -> Result<(), RegistryError> {
    for known in index.view().bases()? {
        if !directory.join(&known.name).is_dir() {
            index.forget_base(&known.name)?;
        }
    }
    Ok(())
}

/// Registers every complete base with the index. For a shared log, only bases that were announced
/// in the log count.
///
/// # Errors
/// Returns an error when the bases cannot be listed, or the index cannot be read or written.
pub fn register_bases(
    index: &Index,
    directory: &Path,
    announced: Option<&[BaseNotice]>,
) -> Result<Found, RegistryError> {
    let listing = hindsight_base::list(directory)?;
    let mut found = Found::default();
    for (path, error) in listing.damaged {
        if error.kind() != ErrorKind::NotABase {
            found.there.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        found.damaged.push(DamagedBase { path, reason: error.to_string() });
    }
    found.there.extend(listing.bases.iter().map(|base| base.name.clone()));
    let is_ours = |base: &hindsight_base::BaseSummary| {
        announced.is_none_or(|all| all.iter().any(|notice| is_announced(base, notice)))
    };
    let bases: Vec<_> = listing.bases.into_iter().filter(is_ours).collect();
    for base in &bases {
        index.absorb_base(&BaseSummary {
            name: base.name.clone(),
            start: base.origin.start.ts,
            capture_from: base.origin.capture_from(),
            exact_from: base.origin.exact_from,
            created_wall_ms: base.origin.created_ms,
            documents: base.documents,
            bytes: base.stored_bytes,
        })?;
    }
    found.absent = announced.unwrap_or_default().to_vec();
    found.absent.retain(|notice| !bases.iter().any(|base| is_announced(base, notice)));
    Ok(found)
}

fn is_announced(base: &hindsight_base::BaseSummary, notice: &BaseNotice) -> bool {
    base.name == notice.name && base.digest == notice.digest.0
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hindsight_base::{BaseKind, BaseWriter, Origin, Source, WriterSettings};
    use hindsight_log::BaseDigest;
    use hindsight_oplog::{OpTime, Timestamp};

    use super::*;

    fn write_base(directory: &Path) -> hindsight_base::Base {
        let writer = BaseWriter::create(directory, "copy", WriterSettings::default());
        let at = OpTime::new(100, 1, 1);
        let origin = Origin {
            kind: BaseKind::Copy,
            source: Source {
                replica_set_id: None,
                set_name: "rs0".to_owned(),
                member: "localhost:27017".to_owned(),
                server_version: "8.0.0".to_owned(),
                feature_compatibility_version: None,
            },
            start: at,
            oldest_open: None,
            scanned_after: Timestamp::new(100, 1),
            exact_from: at,
            created_ms: 0,
        };
        writer.expect("a base").finish(origin).expect("a base")
    }

    #[test]
    fn a_base_is_there_when_its_manifest_is_and_whole_when_that_can_be_read() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let directory = temp.path().join("bases");
        let index = Index::open(temp.path().join("index")).expect("an index");
        let base = write_base(&directory);
        let (name, manifest) = (base.name(), base.directory().join("manifest.json"));
        let look = || register_bases(&index, &directory, None).expect("a listing");
        let knows = || index.view().base(&name).expect("read").is_some();
        let whole = fs::read(&manifest).expect("a manifest");

        fs::write(&manifest, &whole[..whole.len() / 2]).expect("written");
        let found = look();
        assert!(found.there.contains(&name) && !found.is_whole() && !knows(), "{found:?}");
        fs::remove_file(&manifest).expect("removed");
        let found = look();
        assert!(found.there.is_empty() && !found.is_whole() && !knows(), "{found:?}");
        fs::write(&manifest, &whole).expect("written");
        let found = look();
        assert!(found.there.contains(&name) && found.is_whole() && knows(), "{found:?}");
    }

    #[test]
    fn an_announced_base_that_is_another_one_is_absent_and_none_of_the_log() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let index = Index::open(temp.path().join("index")).expect("an index");
        let base = write_base(temp.path());
        let notice = |digest| BaseNotice { name: base.name(), digest: BaseDigest(digest) };
        let look =
            |announced| register_bases(&index, temp.path(), Some(&[announced])).expect("a listing");
        assert_eq!(look(notice([0; 32])).absent, [notice([0; 32])]);
        assert!(index.view().bases().expect("read").is_empty());
        assert!(look(notice(base.digest())).absent.is_empty());
        assert_eq!(index.view().bases().expect("read").len(), 1);
    }
}
