//! Creates last whatever deletes documents by itself: TTL indexes, the `expireAfterSeconds` of
//! collections, and the bounds of capped collections.

use hindsight_mongo::Client;

use super::command;
use super::error::RestoreError;
use super::indexes::{Builds, build_indexes};
use super::plan::Plan;
use super::progress::Progress;

/// Lets documents expire as the state says. From here on, the target's TTL monitor may delete
/// documents.
pub(super) async fn set_expiry(
    client: &Client,
    plan: &Plan,
    builds: Builds,
    progress: &Progress,
) -> Result<(), RestoreError> {
    build_indexes(client, plan, |collection| &collection.expiring_indexes, builds, progress)
        .await?;
    for collection in &plan.collections {
        let what = [(&collection.expire, "expireAfterSeconds"), (&collection.bounds, "its bounds")];
        for (modify, what) in what {
            let Some(modify) = modify else { continue };
            let result = command::run(client, &collection.state.db, modify.clone()).await;
            result.map_err(|failure| {
                RestoreError::writing(&failure, &collection.state.namespace(), what)
            })?;
            progress.add(1, 0);
        }
    }
    Ok(())
}
