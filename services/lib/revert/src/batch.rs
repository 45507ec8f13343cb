//! Groups reversions into batches of one collection. Pure.

use crate::reversion::Reversion;

/// The most documents of a batch. A transaction keeps what it has written in the server's cache.
const MOST_DOCUMENTS: usize = 500;
/// A batch is full when both states of its documents take this many bytes.
const MOST_BYTES: usize = 4 << 20;

/// Returns batches, each of documents of one collection, in the given order.
pub(crate) fn batches<E>(
    reversions: impl Iterator<Item = Result<Reversion, E>>,
) -> impl Iterator<Item = Result<Vec<Reversion>, E>> {
    let mut reversions = reversions.peekable();
    std::iter::from_fn(move || {
        let first = match reversions.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let (ns, mut bytes) = (first.ns.clone(), first.byte_count());
        let mut batch = vec![first];
        while batch.len() < MOST_DOCUMENTS && bytes < MOST_BYTES {
            let fits = |next: &Result<Reversion, E>| next.as_ref().is_ok_and(|it| it.ns == ns);
            let Some(Ok(next)) = reversions.next_if(fits) else { break };
            bytes += next.byte_count();
            batch.push(next);
        }
        Some(Ok(batch))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reversion(ns: &str, bytes: usize) -> Result<Reversion, &'static str> {
        let then = Some(vec![0; bytes]);
        Ok(Reversion { ns: ns.to_owned(), id: Vec::new(), now: None, then })
    }

    #[test]
    fn a_batch_is_of_one_collection_and_bounded() {
        let many = (0..MOST_DOCUMENTS + 1).map(|_| reversion("a.b", 1));
        let large = (0..3).map(|_| reversion("a.c", MOST_BYTES - 1));
        let all = many.chain(large).chain([Err("broken"), reversion("a.d", 1)]);
        let sizes: Vec<_> = batches(all).map(|batch| batch.map(|it| it.len())).collect();
        assert_eq!(sizes, [Ok(MOST_DOCUMENTS), Ok(1), Ok(2), Ok(1), Err("broken"), Ok(1)]);
    }
}
