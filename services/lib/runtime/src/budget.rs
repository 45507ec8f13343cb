//! Memory that many callers share, counted in bytes (I11). Each caller may take little, and all of
//! them together must take little too.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in KiB, so that many GiB still fit the semaphore's counter.
const UNIT: usize = 1024;

/// A number of bytes for all callers that take from it. A clone shares the same bytes.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Semaphore>);

/// Bytes that were taken from a budget. They are returned when this value is dropped.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Budget {
    /// Returns a budget of this many bytes, in whole KiB.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS))))
    }

    /// Takes this many bytes, rounded up to whole KiB. `None` when they are not left. The call does
    /// not wait: a caller that gets nothing makes do with less.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok().map(Share)
    }
}

impl Share {
    /// Returns how many bytes were taken.
    pub fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_not_there_for_others_until_it_is_given_back() {
        let budget = Budget::new(10 * UNIT);
        let other = budget.clone();
        let share = budget.try_take(6 * UNIT + 1).expect("it is there");
        assert_eq!(share.bytes(), 7 * UNIT);
        assert!(other.try_take(4 * UNIT).is_none());
        let rest = other.try_take(3 * UNIT).expect("so much is left");
        assert!(budget.try_take(1).is_none() && budget.try_take(0).is_some());
        drop((share, rest));
        assert!(budget.try_take(10 * UNIT).is_some());
        assert!(budget.try_take(usize::MAX).is_none());
    }
}
