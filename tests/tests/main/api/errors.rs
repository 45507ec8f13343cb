//! Tests every error reason that a caller can provoke, over gRPC and over HTTP. None of them stands
//! for a defect (5xx), and the process goes on.

mod collations;
mod messages;
mod reasons;
mod restores;

use anyhow::{Result, ensure};
use bson::{Document, doc};
use hindsight_tests::api::{Answer, reason};
use tonic::{Code, Status};

use super::served::Served;

const DOCUMENTS: i32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn every_error_says_its_reason() -> Result<()> {
    let served = Served::start(&[]).await?;
    let shop = served.client.database("shop").collection::<Document>("orders");
    shop.insert_many((0..DOCUMENTS).map(|number| doc! {"_id": number, "n": number})).await?;
    served.wait().await?;
    reasons::questions(&served).await?;
    reasons::pages(&served).await?;
    collations::questions(&served).await?;
    messages::malformed(&served).await?;
    messages::hostile(&served).await?;
    restores::refusals(&served).await?;
    served.ends_well().await
}

/// Checks that a call failed with this code and reason.
fn failed<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T, Status>,
    code: Code,
    wanted: &str,
) -> Result<()> {
    let Err(status) = answer else { anyhow::bail!("{what} is answered: {answer:?}") };
    let found = (status.code(), reason(&status));
    ensure!(found == (code, wanted.to_owned()), "{what}: {found:?}, not {wanted}: {status:?}");
    ensure!(!status.message().is_empty(), "{what} says nothing");
    Ok(())
}

/// Checks that an answer is a problem with this status and reason.
fn problem(what: &str, answer: &Answer, status: u16, wanted: &str) -> Result<()> {
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == status, "{what}: {} instead of {status}: {body}", answer.status);
    let found = answer.reason()?;
    ensure!(found == wanted, "{what}: {found} instead of {wanted}: {body}");
    Ok(())
}
