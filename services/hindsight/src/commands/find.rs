use clap::Args;
use hindsight_api::times::included;
use hindsight_api::{document_id, extended_json};
use hindsight_extended_json::Notation;
use hindsight_oplog::{Entry, OpKind, Operation};
use hindsight_proto::v1::SearchEntriesRequest;

use super::ask::Ask;
use super::drops::Drops;
use super::print::{print_line, say};
use super::shown::{name_of_entry, print_documents, shorten, warn};
use super::values::bson_of;
use crate::backend::Backend;
use crate::exit::{Context, Exit, Result};
use crate::global::{Global, Output};

/// Limit on the number of entries when the command line sets none.
const DEFAULT_LIMIT: u64 = 100;
/// Longest text of a command in a line, in characters: a command may hold a whole transaction.
const COMMAND_WIDTH: usize = 160;
/// Note on a rename onto the name of another collection.
pub(super) const DROPPING: &str = ", dropping what was there";

/// Find oplog entries, for example to restore to just before one of them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hindsight find --ns shop.orders --op drop --from 2026-11-21T12:00:00Z\n  hindsight find --ns shop.orders --changed-field total --grep '\"status\":\"paid\"' \\\n      --before-context 3"
)]
pub(crate) struct Find {
    /// Namespace: db.collection, or db.* for a whole database. The name of a time-series collection
    /// finds its buckets, the name of a view its definition.
    #[arg(long)]
    pub ns: Option<String>,
    /// Operation: i, u, d, or a command's name such as drop or renameCollection; may be repeated.
    /// `drop` also finds renames that drop the collection whose name they take, such as the one at
    /// the end of `$out`.
    #[arg(long, value_delimiter = ',')]
    pub op: Vec<String>,
    /// `_id` of the document, as Extended JSON or a bare word.
    #[arg(long)]
    pub id: Option<String>,
    /// Only entries from this time on.
    #[arg(long, value_name = "T")]
    pub from: Option<String>,
    /// Only entries up to and including this time.
    #[arg(long, value_name = "T")]
    pub to: Option<String>,
    /// Only entries of this transaction: the UUID in `lsid.id`, a colon, and `txnNumber`.
    #[arg(long, value_name = "UUID:N")]
    pub txn: Option<String>,
    /// Only entries of this session: the UUID in `lsid.id`.
    #[arg(long, value_name = "UUID")]
    pub session: Option<String>,
    /// Only updates that write this field (such as `items.price`), a part of it, or a field that
    /// contains it.
    #[arg(long, value_name = "PATH")]
    pub changed_field: Option<String>,
    /// Only entries in which this regular expression matches somewhere; the entry is matched as
    /// relaxed Extended JSON without spaces.
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only entries that match, in MongoDB's query language as Extended JSON:
    /// '{"o.status":"paid"}'.
    #[arg(long, value_name = "JSON")]
    pub filter: Option<String>,
    /// Number of entries to show before each match, whatever they are.
    #[arg(short = 'B', long, default_value_t = 0, value_name = "N")]
    pub before_context: u32,
    /// Continue with new entries as they become durable, until Ctrl-C.
    #[arg(short, long, conflicts_with = "to")]
    pub follow: bool,
    /// Limit on the number of matches: the newest are shown; 0 is no limit. Default: 100, or no
    /// limit with --follow.
    #[arg(long)]
    pub limit: Option<u64>,
}

impl Ask for Find {
    async fn ask(&self, global: &Global, backend: &Backend) -> Result<Exit> {
        let mut answers = backend.hindsight().search_entries(request_of(self)?).await?.into_inner();
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
                let mark = match (is_context, self.before_context) {
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
