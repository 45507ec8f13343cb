//! One digest over everything that matters, for comparing two histories.

use crate::{Generation, History, HistoryError, observed, state};

/// A BLAKE3 digest over every generation, state and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", hindsight_oplog::Hex(&self.0))
    }
}

impl History {
    /// Returns a digest that is equal for two histories of the same bases and entries. The digest
    /// leaves out what may differ between them: the numbers of generations and collections, the
    /// names of bases, and how far back open transactions reach.
    ///
    /// # Errors
    /// Returns [`HistoryError`] when the store cannot be read.
    pub fn digest(&self) -> Result<Digest, HistoryError> {
        let mut hasher = blake3::Hasher::new();
        for generation in self.generations() {
            self.digest_generation(&generation, &mut hasher)?;
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    fn digest_generation(
        &self,
        generation: &Generation,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), HistoryError> {
        let base = &generation.base;
        for time in [base.start, base.exact_from, generation.through()] {
            hasher.update(&time.as_u64().to_be_bytes());
        }
        if let Some(applied) = generation.applied() {
            hasher.update(&applied.ts.as_u64().to_be_bytes());
            hasher.update(&applied.term.to_be_bytes());
        }
        let mut collections = Vec::new();
        for (number, collection) in self.read_catalog().of_generation(generation.id) {
            let uuid = collection.states.iter().find_map(|(_, state)| Some(state.as_ref()?.uuid));
            let since = collection.states.first().map(|(since, _)| *since);
            let mut states = blake3::Hasher::new();
            for (since, state) in &collection.states {
                states.update(&since.as_u64().to_be_bytes());
                update_framed(&mut states, &state::encode(0, state.as_deref()));
            }
            collections.push((uuid, since, *states.finalize().as_bytes(), number));
        }
        collections.sort_unstable();
        for (_, _, states, number) in collections {
            hasher.update(&states);
            self.digest_versions(number, hasher)?;
        }
        self.digest_observed(generation, hasher);
        Ok(())
    }

    /// Adds nothing when nothing was observed.
    fn digest_observed(&self, generation: &Generation, hasher: &mut blake3::Hasher) {
        let catalog = self.read_catalog();
        let of_generation = catalog.observed().filter(|it| it.generation == generation.id);
        let same = |it: &observed::Observed| observed::Observed { generation: 0, ..it.clone() };
        let mut records: Vec<_> = of_generation.map(|it| observed::encode(&same(it))).collect();
        records.sort_unstable();
        records.iter().for_each(|record| update_framed(hasher, record));
    }

    fn digest_versions(
        &self,
        number: u32,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), HistoryError> {
        let mut iterator = self.versions_of(number);
        while let Some((key, value)) = iterator.item() {
            update_framed(hasher, &key[number.to_be_bytes().len()..]);
            update_framed(hasher, value);
            iterator.next();
        }
        hasher.update(&u64::MAX.to_be_bytes());
        Ok(iterator.status()?)
    }
}

fn update_framed(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}
