//! Where the segments of a log lie in its topic.

use hindsight_segment::Sequence;

use super::gather::Place;

/// The places of segments that follow one another, without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The sequence of the first segment, or of the segment that comes first when there is none.
    first: Sequence,
    places: Vec<Place>,
}

impl Default for Places {
    fn default() -> Self {
        Self { first: Sequence::FIRST, places: Vec::new() }
    }
}

impl Places {
    /// Begins anew with this segment.
    pub(super) fn begin(&mut self, sequence: Sequence, place: Place) {
        *self = Self { first: sequence, places: vec![place] };
    }

    /// Adds the segment after the last one.
    pub(super) fn push(&mut self, place: Place) {
        self.places.push(place);
    }

    /// Returns the sequence of the first segment.
    pub(super) fn first(&self) -> Sequence {
        self.first
    }

    /// Returns the sequence of the segment that would be added next.
    pub(super) fn next(&self) -> Sequence {
        Sequence(self.first.0 + self.places.len() as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn last(&self) -> Option<Place> {
        self.places.last().copied()
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<Place> {
        self.places.get(self.index(sequence)?).copied()
    }

    /// Returns the places of at most `limit` segments from `from` on.
    pub(super) fn page(&self, from: Sequence, limit: usize) -> Vec<Place> {
        let start = self.index(from).unwrap_or(0);
        self.places.iter().skip(start).take(limit).copied().collect()
    }

    /// Returns whether this segment came before the first one.
    pub(super) fn is_before(&self, sequence: Sequence) -> bool {
        (Sequence::FIRST..self.first).contains(&sequence)
    }

    /// Forgets the segments that are not whole any more in a topic whose first offset is `first`.
    /// Returns whether there were any.
    pub(super) fn forget_before(&mut self, first: i64) -> bool {
        let gone = self.places.partition_point(|place| place.first < first);
        self.places.drain(..gone);
        self.first = Sequence(self.first.0 + gone as u64);
        gone > 0
    }

    fn index(&self, sequence: Sequence) -> Option<usize> {
        usize::try_from(sequence.0.checked_sub(self.first.0)?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(first: i64) -> Place {
        Place { first, seal: first + 2, last: first + 2 }
    }

    #[test]
    fn places_are_found_by_sequence_wherever_the_log_begins() {
        let mut places = Places::default();
        assert_eq!(
            (places.first(), places.next(), places.last()),
            (Sequence(1), Sequence(1), None)
        );
        places.begin(Sequence(5), place(10));
        places.push(place(13));
        places.push(place(20));
        assert_eq!((places.first(), places.next()), (Sequence(5), Sequence(8)));
        assert_eq!(places.last(), Some(place(20)));
        for (sequence, expected) in
            [(0, None), (4, None), (5, Some(10)), (7, Some(20)), (8, None), (u64::MAX, None)]
        {
            assert_eq!(places.get(Sequence(sequence)), expected.map(place), "{sequence}");
            assert_eq!(places.is_before(Sequence(sequence)), sequence == 4, "{sequence}");
        }
        assert_eq!(places.page(Sequence(1), 2), [place(10), place(13)]);
        assert_eq!(places.page(Sequence(6), 9), [place(13), place(20)]);
        assert_eq!(places.page(Sequence(8), 9), []);
    }

    #[test]
    fn a_segment_that_lost_a_record_is_forgotten() {
        for (first, left) in [(0, 5), (10, 5), (11, 6), (13, 6), (14, 7), (20, 7), (21, 8)] {
            let mut places = Places::default();
            places.begin(Sequence(5), place(10));
            places.push(place(13));
            places.push(place(20));
            assert_eq!(places.forget_before(first), left > 5, "{first}");
            assert_eq!((places.first(), places.next()), (Sequence(left), Sequence(8)), "{first}");
            assert!(!places.forget_before(first), "{first}");
        }
    }
}
