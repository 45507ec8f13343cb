use hindsight_api::times::included;
use hindsight_api::{document_id, extended_json};
use hindsight_extended_json::Notation;
use hindsight_oplog::{Entry, OpKind, Operation};
use hindsight_proto::v1::SearchEntriesRequest;

use super::drops::Drops;
use super::shown::{name_of_entry, print_documents, shorten, warn};
use super::{bson_of, print_line, say};
use crate::backend::Backend;
use crate::cli::{Find, Global, Output};
use crate::exit::{Context, Exit, Result};

/// Limit on the number of entries when the command line sets none.
const DEFAULT_LIMIT: u64 = 100;
/// Longest text of a command in a line, in characters: a command may hold a whole transaction.
const COMMAND_WIDTH: usize = 160;
/// Note on a rename onto the name of another collection.
pub(super) const DROPPING: &str = ", dropping what was there";

pub(super) async fn run(global: &Global, find: &Find, backend: &Backend) -> Result<Exit> {
    let mut answers = backend.hindsight().search_entries(request_of(find)?).await?.into_inner();
    let (mut found, mut drops) = (0, Drops::default());
    while let Some(answer) = answers.message().await? {
        answer.notes.iter().for_each(|note| say(note));
        found += answer.entries.len();
        answer.entries.iter().try_for_each(|entry| note_drops(entry, &mut drops))?;
        if global.output == Output::Json {
            print_documents(&answer.entries, name_of_entry)?;
            continue;
        }
        for (nth, entry) in answer.entries.iter().enumerate() {
            let is_context = answer.context.get(nth).copied().unwrap_or(false);
            let mark = match (is_context, find.before_context) {
                (true, _) => "  ",
                (false, 0) => "",
                (false, _) => "> ",
            };
            print_line(&format!("{mark}{}", summary(entry)?))?;
        }
    }
    drops.notes().iter().for_each(|note| say(note));
    if found == 0 {
        say("no entry that is held matches");
    }
    Ok(Exit::Done)
}

fn request_of(find: &Find) -> Result<SearchEntriesRequest> {
    let id = find.id.as_deref().map(document_id::parse).transpose()?;
    let default = if find.follow { 0 } else { DEFAULT_LIMIT };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(SearchEntriesRequest {
        ns: text(&find.ns),
        op: find.op.clone(),
        id: id.map(|id| id.into_bytes().into()).unwrap_or_default(),
        from: find.from.as_deref().map(included),
        to: find.to.as_deref().map(included),
        limit: find.limit.unwrap_or(default),
        transaction: text(&find.txn),
        session: text(&find.session),
        changed_field: text(&find.changed_field),
        grep: text(&find.grep),
        filter: bson_of("--filter", find.filter.as_deref())?,
        before_context: find.before_context,
        follow: find.follow,
    })
}

fn note_drops(bytes: &[u8], drops: &mut Drops) -> Result<()> {
    let entry = Entry::parse(bytes).context("read an entry")?;
    let operation = entry.operation();
    if operation.kind == OpKind::Command {
        let name = name_of_command(&operation)?;
        operation.namespaces().iter().for_each(|ns| drops.note(&name, &ns.to_string()));
    }
    Ok(())
}

fn name_of_command(operation: &Operation<'_>) -> Result<String> {
    let first = operation.o.first().context("read a command")?;
    Ok(first.map_or("c".into(), |first| String::from_utf8_lossy(first.name).into_owned()))
}

/// Returns an entry in one line: its time, its `T,I` (for restoring to just before it), the
/// operation, the namespace, and the document's `_id`.
pub(super) fn summary(bytes: &[u8]) -> Result<String> {
    let entry = Entry::parse(bytes).context("read an entry")?;
    let operation = entry.operation();
    let what = match operation.kind {
        OpKind::Command => name_of_command(&operation)?,
        _ => String::from_utf8_lossy(entry.op).into_owned(),
    };
    let detail = match operation.document_id() {
        Some(id) => {
            let mut writer = hindsight_oplog::raw::DocWriter::new();
            writer.element(id);
            shown(bytes, &writer.finish())?
        }
        None if operation.kind == OpKind::Command => {
            shorten(&shown(bytes, operation.o.as_bytes())?, COMMAND_WIDTH)
        }
        None => String::new(),
    };
    let names: Vec<String> = operation.namespaces().iter().map(|ns| ns.to_string()).collect();
    let ns = if names.is_empty() { entry.ns.to_owned() } else { names.join(" to ") };
    let dropping = if operation.drops_target() { DROPPING } else { "" };
    Ok(format!("{}  {what:<8} {ns}{dropping}  {detail}", entry.ts().for_people()))
}

/// Returns a part of an entry as JSON, and warns when the JSON is not exact.
fn shown(entry: &[u8], part: &[u8]) -> Result<String> {
    let written = extended_json::written(part, Notation::Relaxed)?;
    warn(|| name_of_entry(entry), written.inexact());
    Ok(serde_json::to_string(&written)?)
}
