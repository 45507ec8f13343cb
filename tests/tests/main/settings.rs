//! Settings that the environment may change.

use std::str::FromStr;

use anyhow::{Context, Result};

/// Returns the value of the variable, or the usual value if the variable is not set.
pub(crate) fn setting<T: FromStr>(name: &str, usual: T) -> Result<T> {
    let Ok(text) = std::env::var(name) else { return Ok(usual) };
    text.parse().ok().with_context(|| format!("{name} is not a number: {text:?}"))
}
