//! Checks a whole base.

use crate::reader::check_length;
use crate::{Base, CollectionEntry, Error};

/// What [`Base::verify`] found.
#[derive(Debug, Default)]
pub struct Verification {
    /// The number of collections in the base.
    pub collections: u64,
    /// The number of data files in the base.
    pub files: u64,
    /// The number of documents. A deep check reads and counts them; otherwise the number is the
    /// manifest's.
    pub documents: u64,
    /// How many bytes of data files were read: 0 unless the check was deep.
    pub bytes_read: u64,
    /// The faults found. Each names its file. When there are none, the base is sound as far as it
    /// was checked.
    pub faults: Vec<Error>,
}

impl Verification {
    /// Returns whether no fault was found.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Base {
    /// Checks that every file exists and has its length. With `deep`, reads every byte of the
    /// files. (The manifest was checked by [`Base::open`].) The check goes on after a fault, so
    /// that one run reports all damaged files.
    pub fn verify(&self, deep: bool) -> Verification {
        let mut found = Verification::default();
        for collection in self.collections() {
            found.collections += 1;
            found.files += collection.files.len() as u64;
            for file in &collection.files {
                // Files are checked one at a time, so that damage in one file does not hide damage
                // in the next.
                if let Err(fault) = self.verify_file(collection, file, deep, &mut found) {
                    found.faults.push(fault);
                }
            }
        }
        found
    }

    fn verify_file(
        &self,
        collection: &CollectionEntry,
        file: &crate::DataFile,
        deep: bool,
        found: &mut Verification,
    ) -> crate::Result<()> {
        if !deep {
            check_length(&self.directory().join(&file.name), file.stored_bytes)?;
            found.documents += file.documents;
            return Ok(());
        }
        for frame in self.frames_of_file(collection, file) {
            found.documents += u64::from(frame?.document_count());
        }
        found.bytes_read += file.stored_bytes;
        Ok(())
    }
}
