//! Who may call the API, and how that is enforced: `docs/SECURITY.md`.
//!
//! ```text
//! connections   one accept loop per listener; tls: its handshakes
//!   gate        in front of every route: who calls, or a refusal; hosts: which names a browser
//!               may use for this process
//!     caller    what a handler finds in its request, and asks: may this caller make this call?
//!       audit   what was read and changed, by whom
//! ```

mod args;
mod audit;
mod caller;
mod complaints;
mod connections;
mod credentials;
mod error;
mod gate;
mod hosts;
mod local;
pub mod metrics;
mod role;
mod tls;
mod token;
mod token_create;
mod token_file;
mod tokens;
mod watched;

#[cfg(test)]
mod tests;

pub use args::{AccessArgs, Doors, Guard, listen_address};
pub use audit::{AuditEntry, AuditLog, Phase};
pub use caller::Caller;
pub use connections::{Door, serve};
pub use credentials::{Bearer, ClientArgs, Credentials};
pub use error::AccessError;
pub use role::{Call, Role};
pub use token_create::{TokenCreate, run as create_token};

/// The domain of the error reasons that the table at the top of `hindsight.proto` defines.
pub const DOMAIN: &str = "hindsight";
