//! Writes one batch: a transaction reads the documents, compares, writes, and reads back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bson::{Bson, Document};
use hindsight_mongo::{Client, CommitFailure, Failure, Kind, Transaction};
use hindsight_oplog::raw::Malformed;
use hindsight_runtime::Backoff;

use crate::commands::{self, Means};
use crate::error::RevertError;
use crate::report::Report;
use crate::reversion::{Reversion, Verdict, key_of};

/// How long a batch is begun again and again before the deployment counts as unavailable. A
/// transaction of a client that was killed keeps its documents until the server ends the
/// transaction: after 60 s (`transactionLifetimeLimitSeconds`), or a little later.
const PATIENCE: Duration = Duration::from_secs(150);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Why a batch was not written. Nothing of it took effect, unless a commit's result is unknown:
/// then the next attempt finds what the first wrote.
enum Unwritten {
    /// The next attempt may succeed.
    Passing(Failure),
    /// No attempt will succeed, whatever the documents.
    Hopeless(Failure),
    /// The server does not take one of the documents, or stores it otherwise.
    Refused(String),
}

/// Writes the documents of a batch that are still as the history knows them.
///
/// A batch that the server refuses is written by other [`Means`], and after that in halves, so that
/// a single document that cannot be written costs no other document.
pub(crate) async fn write(client: &Client, batch: &[Reversion]) -> Result<Report, RevertError> {
    let mut report = Report::default();
    let mut parts = vec![(batch.iter().collect::<Vec<_>>(), Means::Updates)];
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    let mut last_success = Instant::now();
    while let Some((part, means)) = parts.pop() {
        match attempt(client, &part, means).await {
            Ok(done) => {
                report.add(done);
                backoff.reset();
                last_success = Instant::now();
            }
            Err(Unwritten::Passing(failure)) => {
                if last_success.elapsed() > PATIENCE {
                    return Err(failed(&part, failure));
                }
                tracing::info!(%failure, "waiting to begin a batch again");
                parts.push((part, means));
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(Unwritten::Hopeless(failure)) => return Err(failed(&part, failure)),
            Err(Unwritten::Refused(_)) if means == Means::Updates => {
                parts.push((part, Means::DeletesAndInserts));
            }
            Err(Unwritten::Refused(reason)) => match part.as_slice() {
                [alone] => report.conflict(alone, format!("the server does not take it: {reason}")),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((first.to_vec(), Means::Updates));
                    parts.push((second.to_vec(), Means::Updates));
                }
            },
        }
    }
    Ok(report)
}

fn failed(part: &[&Reversion], failure: Failure) -> RevertError {
    let ns = part.first().map_or("", |first| &first.ns);
    RevertError::deployment(format!("put documents of {ns} back"), failure)
}

async fn attempt(client: &Client, part: &[&Reversion], means: Means) -> Result<Report, Unwritten> {
    let mut transaction = client.begin().await.map_err(of_read)?;
    let outcome = in_transaction(transaction.as_mut(), part, means).await;
    match outcome {
        Ok((report, true)) => match transaction.commit().await {
            Ok(()) => Ok(report),
            // An attempt that follows finds out.
            Err(CommitFailure::Unknown(failure)) => Err(Unwritten::Passing(failure)),
            Err(CommitFailure::NotCommitted(failure)) => Err(of_write(failure)),
        },
        Ok((report, false)) => {
            transaction.abort().await;
            Ok(report)
        }
        Err(error) => {
            transaction.abort().await;
            Err(error)
        }
    }
}

/// Returns the report, and whether there is anything to commit.
async fn in_transaction(
    transaction: &mut dyn Transaction,
    part: &[&Reversion],
    means: Means,
) -> Result<(Report, bool), Unwritten> {
    let Some(first) = part.first() else { return Ok((Report::default(), false)) };
    let (db, collection) = first.names();
    let found = read(transaction, part).await?;
    let mut report = Report::default();
    let mut todo = Vec::new();
    for &reversion in part {
        let key = key_of(&reversion.id).map_err(malformed)?;
        match reversion.judge(found.get(&key).map(Vec::as_slice)) {
            Verdict::Write => todo.push(reversion),
            Verdict::Already => report.already += 1,
            Verdict::Changed => report.conflict(reversion, "somebody wrote it since"),
        }
    }
    for (command, count) in commands::writes(collection, &todo, means).map_err(malformed)? {
        let reply = transaction.run(db, command).await.map_err(of_write)?;
        check(&reply, count)?;
    }
    let stored = read(transaction, &todo).await?;
    for &reversion in &todo {
        let key = key_of(&reversion.id).map_err(malformed)?;
        if stored.get(&key) != reversion.then.as_ref() {
            return Err(Unwritten::Refused("it would store other bytes".to_owned()));
        }
        report.wrote(reversion);
    }
    Ok((report, !todo.is_empty()))
}

/// Reads the documents of a batch, by the keys of their ids.
async fn read(
    transaction: &mut dyn Transaction,
    part: &[&Reversion],
) -> Result<HashMap<Vec<u8>, Vec<u8>>, Unwritten> {
    let Some(first) = part.first() else { return Ok(HashMap::new()) };
    let (db, collection) = first.names();
    let command = commands::find(collection, part).map_err(malformed)?;
    let documents = transaction.documents(db, command).await.map_err(of_read)?;
    let keyed = documents.into_iter().map(|document| Ok((key_of(&document)?, document)));
    keyed.collect::<Result<_, Malformed>>().map_err(malformed)
}

/// Checks that a command wrote as many documents as it had to.
fn check(reply: &Document, count: usize) -> Result<(), Unwritten> {
    let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
    if let Some(error) = errors.iter().filter_map(Bson::as_document).next() {
        let reason = error.get_str("errmsg").unwrap_or("no reason given");
        return Err(Unwritten::Refused(reason.to_owned()));
    }
    let written = match reply.get("n") {
        Some(Bson::Int32(n)) => usize::try_from(*n).ok(),
        Some(Bson::Int64(n)) => usize::try_from(*n).ok(),
        _ => None,
    };
    match written == Some(count) {
        true => Ok(()),
        false => Err(Unwritten::Refused(format!("it wrote {written:?} documents of {count}"))),
    }
}

/// A read does not fail because of a single document.
fn of_read(failure: Failure) -> Unwritten {
    match failure.kind() {
        Kind::Passing => Unwritten::Passing(failure),
        Kind::Credentials | Kind::Forbidden | Kind::Refused => Unwritten::Hopeless(failure),
    }
}

fn of_write(failure: Failure) -> Unwritten {
    match failure.kind() {
        Kind::Passing => Unwritten::Passing(failure),
        Kind::Credentials | Kind::Forbidden => Unwritten::Hopeless(failure),
        Kind::Refused => Unwritten::Refused(failure.message().to_owned()),
    }
}

fn malformed(error: Malformed) -> Unwritten {
    Unwritten::Hopeless(Failure::refused(error.to_string()))
}

#[cfg(test)]
mod tests;
