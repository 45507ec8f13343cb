//! What the benches share: the writes they make, and how they measure.

pub mod measure;
pub mod writes;
