//! Values of flags that several commands take.

use bytes::Bytes;
use hindsight_api::extended_json;

use crate::exit::{Failure, Result};

/// Parses the document that a flag holds as Extended JSON. Returns no bytes when there is no
/// document.
pub(super) fn bson_of(flag: &str, json: Option<&str>) -> Result<Bytes> {
    let Some(json) = json else { return Ok(Bytes::new()) };
    let document = extended_json::parse_document(json);
    let document =
        document.map_err(|error| Failure::usage(format!("{flag} {json:?}: {error:#}")))?;
    Ok(document.into_bytes().into())
}
