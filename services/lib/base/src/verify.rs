//! Checking a whole base.

use crate::reader::check_length;
use crate::{Base, CollectionEntry, Error};

/// What [`Base::verify`] found.
#[derive(Debug, Default)]
pub struct Verification {
    pub collections: u64,
    pub files: u64,
    /// Read and counted when deep, else as the manifest says.
    pub documents: u64,
    /// Bytes of data files that were read: none unless deep.
    pub bytes_read: u64,
    /// Each names its file. None: the base is sound as far as was looked.
    pub faults: Vec<Error>,
}

impl Verification {
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Base {
    /// Checks that every file is there with its length; `deep` reads every byte of them. (The
    /// manifest was checked by [`Base::open`].) It goes on after a fault, so that one run tells of
    /// all damaged files.
    pub fn verify(&self, deep: bool) -> Verification {
        let mut found = Verification::default();
        for collection in self.collections() {
            found.collections += 1;
            found.files += collection.files.len() as u64;
            for file in &collection.files {
                // A file at a time: damage in one does not hide what is wrong in the next.
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
