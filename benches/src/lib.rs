//! What the benches share: the writes that they make, the questions that they ask, and how they
//! measure.

pub mod api;
pub mod measure;
pub mod peer;
pub mod questions;
pub mod writes;

/// The same allocator as in the program, for benches that run parts of the program themselves.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
