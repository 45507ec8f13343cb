//! The generated API, and nothing else.

pub mod v1 {
    #![allow(clippy::all, clippy::clone_on_ref_ptr, unreachable_pub)]
    tonic::include_proto!("hindsight.v1");
}
