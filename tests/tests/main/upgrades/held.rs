//! What a source holds, in a form in which it can be compared with our own history without a
//! restore.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bson::{Document, RawDocumentBuf, doc, rawdoc};
use futures_util::TryStreamExt;
use hindsight_history::{History, Settings, View};
use hindsight_oplog::raw::Doc;
use hindsight_oplog::{FEATURE_VERSION_ID, FeatureVersion, Timestamp};
use mongodb::Client;

/// Everything except views, by namespace; for time-series, their buckets.
pub(super) type Held = BTreeMap<String, Collection>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Collection {
    pub options: Document,
    /// The indexes by name, including the `_id` index.
    indexes: BTreeMap<String, Document>,
    documents: u64,
    /// A hash of the bytes of the documents: in natural order where the order matters, and in any
    /// order elsewhere.
    hash: u64,
}

impl Collection {
    fn add(&mut self, document: &[u8], ordered: bool) {
        let mut hasher = DefaultHasher::new();
        if ordered {
            hasher.write_u64(self.hash);
        }
        hasher.write(document);
        let hash = hasher.finish();
        self.hash = if ordered { hash } else { self.hash.wrapping_add(hash) };
        self.documents += 1;
    }

    fn differences(&self, found: &Self, name: &str, differences: &mut Vec<String>) {
        let mut differs = |what: &str, wanted: String, found: String| {
            if wanted != found {
                differences.push(format!("{name}: {what}: wanted {wanted}, found {found}"));
            }
        };
        if self.options != found.options {
            differs("options", self.options.to_string(), found.options.to_string());
        }
        let all: BTreeSet<&String> = self.indexes.keys().chain(found.indexes.keys()).collect();
        for index in all {
            let (wanted, found) = (self.indexes.get(index), found.indexes.get(index));
            if wanted != found {
                differs("index", format!("{wanted:?}"), format!("{found:?}"));
            }
        }
        let documents = |it: &Self| format!("{} with hash {:016x}", it.documents, it.hash);
        differs("documents", documents(self), documents(found));
    }
}

fn is_capped(options: &Document) -> bool {
    options.get_bool("capped").unwrap_or(false)
}

/// Returns what the server has in a database now. Nothing may be writing meanwhile.
pub(super) async fn of_source(client: &Client, database: &str) -> Result<Held> {
    let database = client.database(database);
    let mut held = Held::new();
    let list = database.run_cursor_command(doc! {"listCollections": 1}).await?;
    for found in list.try_collect::<Vec<Document>>().await? {
        if found.get_str("type")? != "collection" {
            continue;
        }
        let name = found.get_str("name")?;
        let options = found.get_document("options")?;
        let mut collection = Collection { options: options.clone(), ..Collection::default() };
        let indexes = database.run_cursor_command(doc! {"listIndexes": name}).await?;
        for index in indexes.try_collect::<Vec<Document>>().await? {
            collection.indexes.insert(index.get_str("name")?.to_owned(), index);
        }
        let documents = database.collection::<RawDocumentBuf>(name);
        let mut documents = documents.find(doc! {}).sort(doc! {"$natural": 1}).await?;
        while let Some(document) = documents.try_next().await? {
            collection.add(document.as_bytes(), is_capped(options));
        }
        held.insert(format!("{}.{name}", database.name()), collection);
    }
    Ok(held)
}

/// Opens the history of a stopped data directory.
pub(super) fn history(data: &Path) -> Result<History> {
    Ok(History::open_read_only(&data.join("history"), Settings::default())?)
}

/// Returns what the database held at a time, according to the history.
pub(super) fn of_history(view: &View<'_>, database: &str) -> Result<Held> {
    let mut held = Held::new();
    for state in view.collections() {
        if state.database() != database {
            continue;
        }
        let options = Document::from_reader(&state.options[..])?;
        let mut collection = Collection { options: options.clone(), ..Collection::default() };
        for index in state.id_index.iter().chain(&state.indexes) {
            let index = Document::from_reader(&index[..])?;
            collection.indexes.insert(index.get_str("name")?.to_owned(), index);
        }
        for document in view.scan_natural(&state.ns)? {
            collection.add(&document?, is_capped(&options));
        }
        held.insert(state.ns.clone(), collection);
    }
    Ok(held)
}

/// Compares what the history says about a time with what the source held then.
pub(super) fn compare(
    history: &History,
    at: bson::Timestamp,
    database: &str,
    held: &Held,
) -> Result<()> {
    let view = view(history, at)?;
    let ours = of_history(&view, database).with_context(|| format!("reading {at}"))?;
    same(held, &ours).with_context(|| format!("at {at}"))
}

/// Returns the feature compatibility version at a time, according to the history.
pub(super) fn feature_version(
    history: &History,
    at: bson::Timestamp,
) -> Result<Option<FeatureVersion>> {
    let id = rawdoc! {"_id": FEATURE_VERSION_ID};
    let id = Doc::new(id.as_bytes())?.first()?.context("it has an _id")?;
    let Some(document) = view(history, at)?.get("admin.system.version", id)? else {
        return Ok(None);
    };
    Ok(FeatureVersion::read(Doc::new(&document)?)?)
}

fn view(history: &History, at: bson::Timestamp) -> Result<View<'_>> {
    Ok(history.reader_at(Timestamp::new(at.time, at.increment))?)
}

/// Returns an error that names every difference, if there is any.
pub(super) fn same(wanted: &Held, found: &Held) -> Result<()> {
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        match (wanted.get(name), found.get(name)) {
            (Some(wanted), Some(found)) => wanted.differences(found, name, &mut differences),
            (Some(_), None) => differences.push(format!("{name} is missing")),
            (None, _) => differences.push(format!("{name} is there")),
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
