//! What the benches share: the writes they make, the questions they ask, and how they measure.

pub mod api;
pub mod measure;
pub mod peer;
pub mod questions;
pub mod writes;

/// As the program has it, for benches that run parts of it themselves.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
