//! The parts of the bench `api`: a long past to ask about, callers of the API, and what they
//! measure.

pub mod asking;
pub mod bodies;
pub mod caller;
pub mod draw;
pub mod finds;
pub mod http;
pub mod lane;
pub mod load;
pub mod past;
pub mod spans;
pub mod wholes;
