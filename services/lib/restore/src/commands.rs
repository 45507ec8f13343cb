//! What a destination that is a MongoDB server needs to build its commands, besides what the plan
//! has ready. Pure.

pub use super::accounts::id_of;
pub use super::batch::{BatchBuilder, Unfit};
pub use super::catalog::keep_pre_images;
pub use super::documents::display_id;
pub use super::plan::VIEWS;
pub use super::time_series::{is_buckets, raw_if_needed, set_mark};
