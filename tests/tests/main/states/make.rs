//! Takes the steps of a recipe.
//!
//! A step is a command for the state's database, or one of these: `{"run": command}` with `"in"`
//! (another database), `"repeat"` (the number of repetitions, with `{n}` from 0) or `"fails"` (the
//! code of the expected error); `{"transaction": [commands]}`, optionally with `"abort": true`;
//! `{"retryable": command}`, a write with a transaction number; `{"together": [[steps], …]}`, lists
//! of steps that are taken at the same time.

use anyhow::{Context, Result};
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use mongodb::error::ErrorKind;
use mongodb::{Client, ClientSession};
use serde_json::Value;

use super::values::Place;

/// Takes steps one after the other.
pub(super) async fn take(client: &Client, database: &str, steps: &[Value]) -> Result<()> {
    for step in steps {
        let shown = || step.to_string().chars().take(300).collect::<String>();
        take_one(client, database, step)
            .await
            .with_context(|| format!("{database}: {}", shown()))?;
    }
    Ok(())
}

fn take_one<'a>(
    client: &'a Client,
    database: &'a str,
    step: &'a Value,
) -> BoxFuture<'a, Result<()>> {
    async move {
        let place = Place { database, n: 0 };
        if let Some(commands) = step.get("transaction") {
            let abort = step["abort"] == true;
            return transaction(client, &place, commands.as_array().context("commands")?, abort)
                .await;
        }
        if let Some(lines) = step.get("together").and_then(Value::as_array) {
            let lines = lines.iter().filter_map(Value::as_array);
            try_join_all(lines.map(|steps| take(client, database, steps))).await?;
            return Ok(());
        }
        if let Some(command) = step.get("retryable") {
            return retryable(client, database, place.document(command)?).await;
        }
        let Some(command) = step.get("run") else {
            return Ok(run(client, database, place.document(step)?, None).await?);
        };
        let within = within(step, &place);
        for n in 0..i32::try_from(step["repeat"].as_i64().unwrap_or(1))? {
            let command = Place { n, ..place }.document(command)?;
            let ended = run(client, &within, command, None).await;
            expect(ended, step["fails"].as_i64())?;
        }
        Ok(())
    }
    .boxed()
}

fn within(step: &Value, place: &Place<'_>) -> String {
    place.text(step["in"].as_str().unwrap_or("{db}"))
}

fn expect(ended: mongodb::error::Result<()>, code: Option<i64>) -> Result<()> {
    let Some(wanted) = code else { return Ok(ended?) };
    let error = ended.err().with_context(|| format!("it was to fail with {wanted}"))?;
    match error.kind.as_ref() {
        ErrorKind::Command(failed) if i64::from(failed.code) == wanted => Ok(()),
        _ => Err(error.into()),
    }
}

/// Runs a command. A write error in an answer with `ok: 1` is an error here.
async fn run(
    client: &Client,
    database: &str,
    command: RawDocumentBuf,
    session: Option<&mut ClientSession>,
) -> mongodb::error::Result<()> {
    let database = client.database(database);
    let running = database.run_raw_command(command);
    let reply = match session {
        Some(session) => running.session(session).await?,
        None => running.await?,
    };
    match reply.get_array("writeErrors") {
        Ok(errors) => Err(mongodb::error::Error::custom(format!("write errors: {errors:?}"))),
        Err(_) => Ok(()),
    }
}

async fn transaction(
    client: &Client,
    place: &Place<'_>,
    commands: &[Value],
    abort: bool,
) -> Result<()> {
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    for command in commands {
        let within = within(command, place);
        let command = place.document(command.get("run").unwrap_or(command))?;
        run(client, &within, command, Some(&mut session)).await?;
    }
    match abort {
        true => session.abort_transaction().await?,
        false => session.commit_transaction().await?,
    }
    Ok(())
}

/// Makes a retryable write with one of the driver's own methods, because the driver numbers only
/// those.
async fn retryable(client: &Client, database: &str, command: RawDocumentBuf) -> Result<()> {
    let command = Document::try_from(command.as_ref())?;
    let (name, collection) = command.iter().next().context("a command")?;
    let collection = collection.as_str().context("the name of a collection")?;
    let collection = client.database(database).collection::<Document>(collection);
    let writes = |field: &str| -> Result<Vec<Document>> {
        let writes = command.get_array(field)?.iter();
        Ok(writes.filter_map(|write| write.as_document().cloned()).collect())
    };
    match name.as_str() {
        "insert" => {
            collection.insert_many(writes("documents")?).await?;
        }
        "update" => {
            for write in writes("updates")? {
                let (query, change) = (write.get_document("q")?, write.get_document("u")?);
                if change.keys().any(|name| name.starts_with('$')) {
                    collection.update_one(query.clone(), change.clone()).await?;
                } else {
                    collection.replace_one(query.clone(), change).await?;
                }
            }
        }
        "delete" => {
            for write in writes("deletes")? {
                collection.delete_one(write.get_document("q")?.clone()).await?;
            }
        }
        "findAndModify" => {
            let query = command.get_document("query")?.clone();
            if command.get_bool("remove").unwrap_or(false) {
                collection.find_one_and_delete(query).await?;
            } else {
                let upsert = command.get_bool("upsert").unwrap_or(false);
                let change = command.get_document("update")?.clone();
                collection.find_one_and_update(query, change).upsert(upsert).await?;
            }
        }
        other => anyhow::bail!("{other} is no retryable write"),
    }
    Ok(())
}

/// Returns the answer to one command: the documents of its cursor, the whole reply, or the code of
/// the error.
pub(super) async fn ask(
    client: &Client,
    database: &str,
    command: RawDocumentBuf,
) -> Result<Vec<RawDocumentBuf>> {
    let handle = client.database(database);
    let name = command.iter().next().context("an empty command")??.0.as_str().to_owned();
    let has_cursor = ["find", "aggregate"].contains(&name.as_str());
    let answer = if has_cursor {
        match handle.run_raw_cursor_command(command).await {
            Ok(cursor) => {
                let cursor = cursor.with_type::<RawDocumentBuf>();
                cursor.try_collect().await
            }
            Err(error) => Err(error),
        }
    } else {
        handle.run_command(Document::try_from(command.as_ref())?).await.and_then(|reply| {
            let values = reply.get("values").cloned().unwrap_or(bson::Bson::Null);
            Ok(vec![RawDocumentBuf::try_from(&doc! {"values": values})?])
        })
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(error) => match error.kind.as_ref() {
            ErrorKind::Command(failed) => {
                Ok(vec![RawDocumentBuf::try_from(&doc! {"refused": failed.code})?])
            }
            _ => Err(error.into()),
        },
    }
}

#[test]
fn an_error_that_was_to_come_must_come() {
    assert!(expect(Ok(()), None).is_ok());
    assert!(expect(Ok(()), Some(11000)).is_err());
    assert!(expect(Err(mongodb::error::Error::custom("x")), Some(11000)).is_err());
}
