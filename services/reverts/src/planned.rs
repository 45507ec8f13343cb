//! What a revert would do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hindsight_api::times::{from_api, json_of, to_api};
use hindsight_oplog::Timestamp;
use hindsight_proto::v1::{Change, DiffTimesResponse};
use hindsight_revert::{
    Direction, Header, Reversion, RevertError, RevertFile, RevertFileWriter, Totals,
};
use serde_json::{Value, json};

use crate::{SHOWN, id_text, listed};

/// What a revert would do.
#[derive(Debug)]
pub struct Planned {
    file: PathBuf,
    header: Option<Header>,
    totals: BTreeMap<String, Totals>,
    /// The first documents.
    lines: Vec<String>,
}

/// A plan in the making. It writes the file of the revert.
pub struct Planning {
    planned: Planned,
    writer: Option<RevertFileWriter>,
}

impl Planning {
    /// Begins a plan. The file is made with its first document, and must not exist. Without a name,
    /// the file gets a name in the current directory, by the time with which it compares.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { planned: Planned::of_nothing(file.unwrap_or_default()), writer: None }
    }

    /// Takes what is different between the wanted time and now. Returns the time of now, with which
    /// everything else has to be compared as well.
    ///
    /// # Errors
    /// Returns an error when the file cannot be written or the answer is not complete.
    pub fn take(&mut self, answer: DiffTimesResponse) -> Result<Timestamp> {
        let position = |at: Option<_>| at.map(from_api).context("an answer without its times");
        let header = Header { wanted: position(answer.from)?, latest: position(answer.to)? };
        self.planned.header = Some(header);
        if self.planned.file.as_os_str().is_empty() {
            let (t, i) = (header.latest.seconds(), header.latest.increment());
            self.planned.file = format!("hindsight-revert-{t}-{i}.bson").into();
        }
        for change in answer.changes {
            let reversion = reversion_of(change);
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => self.writer.insert(RevertFileWriter::create(&self.planned.file, header)?),
            };
            writer.add(&reversion)?;
            self.planned.add(&reversion)?;
        }
        Ok(header.latest)
    }

    /// Makes the file durable, and returns the plan.
    ///
    /// # Errors
    /// Returns an error when the file cannot be written.
    pub fn finish(self) -> Result<Planned, RevertError> {
        self.writer.map(RevertFileWriter::finish).transpose()?;
        Ok(self.planned)
    }
}

fn reversion_of(change: Change) -> Reversion {
    Reversion {
        ns: change.ns,
        id: change.id.into(),
        now: change.after.map(Into::into),
        then: change.before.map(Into::into),
    }
}

impl Planned {
    fn of_nothing(file: PathBuf) -> Self {
        Self { file, header: None, totals: BTreeMap::new(), lines: Vec::new() }
    }

    /// Returns the plan to undo the revert of a file.
    ///
    /// # Errors
    /// Returns an error when the file cannot be read or is not whole.
    pub fn undo(path: &Path) -> Result<Self> {
        let file = RevertFile::open(path)?;
        let mut planned = Self::of_nothing(path.to_owned());
        planned.header = Some(file.header());
        for reversion in file {
            planned.add(&reversion?.towards(Direction::Undo))?;
        }
        Ok(planned)
    }

    fn add(&mut self, reversion: &Reversion) -> Result<()> {
        self.totals.entry(reversion.ns.clone()).or_default().count(reversion);
        if self.lines.len() < SHOWN {
            let what = match (&reversion.now, &reversion.then) {
                (None, _) => "insert again",
                (_, None) => "delete",
                _ => "replace",
            };
            self.lines.push(format!("{what} {} {}", reversion.ns, id_text(&reversion.id)?));
        }
        Ok(())
    }

    /// Returns the collections that would be written.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.totals.keys().cloned().collect()
    }

    /// Returns the file with both states of every document. It exists unless the plan is empty.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the first documents, a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns the plan for programs. Its field `summary` is for people.
    pub fn json(&self) -> Value {
        let at = |at: fn(&Header) -> Timestamp| {
            json_of(self.header.as_ref().map(|header| to_api(at(header))))
        };
        let documents: u64 = self.totals.values().map(Totals::documents).sum();
        let summary = match documents {
            0 => "nothing differs: nothing would be written".to_owned(),
            _ => format!("{documents} documents would be written: {}", listed(&self.totals)),
        };
        json!({
            "dry_run": true,
            "wanted": at(|header| header.wanted),
            "latest": at(|header| header.latest),
            "documents": documents,
            "collections": self.totals,
            "file": (documents > 0).then_some(&self.file),
            "summary": summary,
        })
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use hindsight_proto::v1 as api;

    use super::*;

    fn bytes(document: bson::Document) -> bytes::Bytes {
        document.to_vec().expect("BSON").into()
    }

    #[test]
    fn what_is_different_becomes_a_file_and_a_plan() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("revert.bson");
        let at = |t| Some(api::Timestamp { t, i: 1 });
        let change = |id: i32, before: bool, after: bool| Change {
            ns: "shop.orders".to_owned(),
            id: bytes(doc! {"_id": id}),
            before: before.then(|| bytes(doc! {"_id": id, "n": 1})),
            after: after.then(|| bytes(doc! {"_id": id, "n": 2})),
            ..Change::default()
        };
        let changes = vec![change(1, true, true), change(2, true, false), change(3, false, true)];
        let mut planning = Planning::new(Some(path.clone()));
        let answer = DiffTimesResponse { changes, from: at(5), to: at(9), ..Default::default() };
        assert_eq!(planning.take(answer).expect("taken"), Timestamp::new(9, 1));
        let planned = planning.finish().expect("whole");
        let shop = Totals { inserted: 1, replaced: 1, deleted: 1 };
        assert_eq!(planned.totals, BTreeMap::from([("shop.orders".to_owned(), shop)]));
        let lines = ["replace shop.orders 1", "insert again shop.orders 2", "delete shop.orders 3"];
        assert_eq!(planned.lines(), lines);
        assert_eq!(planned.json()["wanted"], json!({"t": 5, "i": 1}));
        let undo = Planned::undo(&path).expect("readable");
        assert_eq!(undo.lines()[1], "delete shop.orders 2");
    }

    #[test]
    fn a_plan_of_nothing_makes_no_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("revert.bson");
        let planned = Planning::new(Some(path.clone())).finish().expect("whole");
        assert!(planned.json()["file"].is_null() && !path.exists());
    }
}
