//! The right to write.

use std::sync::atomic::{AtomicBool, Ordering};

/// The right to write. It is given back on drop.
#[derive(Debug)]
pub(crate) struct Claim<'h>(&'h AtomicBool);

impl<'h> Claim<'h> {
    pub(crate) fn new(claimed: &'h AtomicBool) -> Self {
        Claim(claimed)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
