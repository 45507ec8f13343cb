//! Opens the directory: what it holds is taken over after checking that it is the expected log.

use std::path::PathBuf;

use hindsight_segment::{ChainEnd, Sequence};

use super::beginning;
use super::chain::check_files;
use super::files::{BeforeStep, create_directory, remove_file};
use super::listing::Listing;
use super::lock::take_lock;
use super::names::LogFile;
use super::store::{State, Store};
use super::stored::{OpenFile, read_info};
use super::{DirectoryOptions, KnownEnd};
use crate::error::{Damage, LogError};

impl Store {
    pub(super) fn open_writer(
        directory: PathBuf,
        options: &DirectoryOptions,
        before_step: BeforeStep,
    ) -> Result<Self, LogError> {
        create_directory(&directory)
            .map_err(|error| LogError::unavailable(directory.display(), "create it", error))?;
        let lock = take_lock(&directory)?;
        let listing = Listing::read(&directory)?;
        for temporary in &listing.temporaries {
            remove_file(temporary)?;
            tracing::info!(file = %temporary.display(), "removed what an unfinished write left");
        }
        let store = Self::new(directory, Some(lock), before_step);
        store.accept(&listing, options)?;
        store.check_repeated(&listing.repeated)?;
        store.clear_surplus()?;
        Ok(store)
    }

    pub(super) fn open_reader(
        directory: PathBuf,
        options: &DirectoryOptions,
    ) -> Result<Self, LogError> {
        if !directory.is_dir() {
            let place = directory.display().to_string();
            return Err(LogError::NotFound { place, what: "log directory".to_owned() });
        }
        let store = Self::new(directory, None, Box::new(|_| Ok(())));
        // A writer may remove and pack segments while their headers are read.
        Listing::with(&store.directory, |listing| store.accept(listing, options))?;
        Ok(store)
    }

    fn accept(&self, listing: &Listing, options: &DirectoryOptions) -> Result<(), LogError> {
        let (from, known) = match options.known {
            Some(known) => self.check_known(listing, known)?,
            None => (listing.first(), listing.before.clone()),
        };
        let mut end = check_files(&self.directory, &listing.files, from, known)?;
        if let (None, Some(file)) = (&end, listing.files.last()) {
            end = Some(read_info(&self.directory, *file, file.ends())?.into());
        }
        if let (Some(expected), Some(end)) = (&options.expected, &end)
            && end.header.source != *expected
        {
            return Err(LogError::Foreign {
                place: self.directory.display().to_string(),
                expected: expected.clone().into(),
                found: end.header.source.clone().into(),
            });
        }
        // A crash may have happened after the last segment got its name and before the name was
        // durable.
        self.sync()?;
        let Listing { before, files, removed, .. } = listing;
        self.set_state(State {
            before: before.clone(),
            files: files.clone(),
            surplus: removed.clone(),
            end,
            ..State::default()
        });
        Ok(())
    }

    /// Returns the first segment that must be checked, and the end of the chain before it.
    fn check_known(
        &self,
        listing: &Listing,
        known: KnownEnd,
    ) -> Result<(Sequence, Option<ChainEnd>), LogError> {
        if known.sequence < listing.first() {
            return self.check_known_removed(listing, known);
        }
        let at = listing.files.partition_point(|file| file.ends() < known.sequence);
        let Some(file) = listing.files.get(at) else {
            let last = listing.files.last().map_or(self.directory.clone(), |it| self.path_of(it));
            let damage = Damage::MissingAfter(known.sequence);
            return Err(LogError::corrupt(last.display(), damage));
        };
        let file = OpenFile::open(&self.directory, *file)?;
        let stored = file.segment(known.sequence)?;
        let end = stored.info()?.chain_end();
        match end.digest == known.digest {
            true => Ok((known.sequence.next(), Some(end))),
            false => Err(stored.corrupt(Damage::NotAsKnown)),
        }
    }

    /// The known segment was removed since. All segments are checked, and the known one is compared
    /// with what the log says of the last one that was removed.
    fn check_known_removed(
        &self,
        listing: &Listing,
        known: KnownEnd,
    ) -> Result<(Sequence, Option<ChainEnd>), LogError> {
        let is_other = |it: &ChainEnd| it.sequence == known.sequence && it.digest != known.digest;
        if listing.before.as_ref().is_some_and(is_other) {
            let place = beginning::path(&self.directory);
            return Err(LogError::corrupt(place.display(), Damage::NotAsKnown));
        }
        Ok((listing.first(), listing.before.clone()))
    }

    /// A crash came after a pack was durable and before the files were removed whose segments it
    /// holds. They are removed now, after comparing every byte with the pack.
    fn check_repeated(&self, repeated: &[(LogFile, LogFile)]) -> Result<(), LogError> {
        for (file, pack) in repeated {
            let (single, packed) =
                (OpenFile::open(&self.directory, *file)?, OpenFile::open(&self.directory, *pack)?);
            for sequence in file.begins().0..=file.ends().0 {
                let sequence = Sequence(sequence);
                let packed = packed.segment(sequence)?;
                if !single.segment(sequence)?.is_same(&packed)? {
                    // A pack that is damaged is the one to name.
                    packed.view()?;
                    let damage = Damage::Duplicate(sequence);
                    return Err(LogError::corrupt(self.path_of(file).display(), damage));
                }
            }
            self.state().surplus.push_back(*file);
        }
        Ok(())
    }
}
