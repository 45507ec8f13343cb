//! The audit file: who read what, and who changed what. It holds one JSON object per line and is
//! only ever appended to.
//!
//! A call is recorded before it is answered. A call that cannot be recorded is not answered.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::caller::{Caller, error};
use super::complaints::Complaints;
use super::role::Call;

/// Limit on the length of a line, including the line end.
const MAX_LINE_BYTES: usize = 16 << 10;
/// In a line that would be longer, texts longer than this are cut to this many bytes.
const CUT_TEXT_BYTES: usize = 256;

/// Whether a call begins or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Begins,
    Ended {
        code: Code,
        /// Number of documents, versions, changes or entries in the answer.
        documents: Option<u64>,
    },
}

/// One line of the audit file.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    pub caller: &'a Caller,
    pub call: Call,
    pub phase: Phase,
    /// What the call is about: namespace, `_id` as canonical Extended JSON, times, the target
    /// without its password.
    pub about: Value,
}

pub struct AuditLog {
    path: PathBuf,
    file: Mutex<Open>,
    complaints: Complaints,
}

struct Open {
    file: File,
    /// The file ends in the middle of a line: the next entry begins with a line end.
    torn: bool,
}

impl AuditLog {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(Open::at(path)?);
        Ok(Self { path: path.to_owned(), file, complaints: Complaints::new() })
    }

    /// Writes an entry. With `durable`, waits until the entry is on the disk, which takes as long
    /// as the disk does.
    pub fn record(&self, entry: &AuditEntry<'_>, durable: bool) -> io::Result<()> {
        let line = line(entry, Timestamp::now());
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let result = open.write(&self.path, &line, durable);
        if let Err(error) = &result {
            crate::metrics::audit_failed();
            if let Some(held_back) = self.complaints.may_log() {
                let path = self.path.display();
                tracing::error!(%error, held_back, "the audit file {path} cannot be written: calls are refused");
            }
        }
        result
    }

    /// Writes an entry. Returns UNAVAILABLE when the entry cannot be written, because the call must
    /// then not be answered.
    pub fn require(&self, entry: &AuditEntry<'_>, durable: bool) -> Result<(), Status> {
        self.record(entry, durable).map_err(|cause| {
            let text = format!("this call must be written to the audit file, which fails: {cause}");
            error(Code::Unavailable, "UNAVAILABLE", &text, None)
        })
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let mut file =
            File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut torn = false;
        if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            torn = last != *b"\n";
        }
        Ok(Self { file, torn })
    }

    fn write(&mut self, path: &Path, line: &str, durable: bool) -> io::Result<()> {
        if !self.is_at(path)? {
            *self = Self::at(path)?;
        }
        let text = if self.torn { format!("\n{line}") } else { line.to_owned() };
        // A single write call: lines of two processes do not mix, and an incomplete line is
        // recognized.
        let written = self.file.write(text.as_bytes())?;
        if written < text.len() {
            self.torn = written > 0 || self.torn;
            return Err(io::Error::new(io::ErrorKind::WriteZero, "only a part could be written"));
        }
        self.torn = false;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Returns whether the path still leads to this file: logrotate moves the file away.
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn line(entry: &AuditEntry<'_>, now: Timestamp) -> String {
    let whole = with_about(entry, now, entry.about.clone(), false);
    if whole.len() <= MAX_LINE_BYTES {
        return whole;
    }
    let mut about = entry.about.clone();
    cut(&mut about);
    let shorter = with_about(entry, now, about, true);
    if shorter.len() <= MAX_LINE_BYTES {
        return shorter;
    }
    with_about(entry, now, Value::Null, true)
}

fn with_about(entry: &AuditEntry<'_>, now: Timestamp, about: Value, is_cut: bool) -> String {
    let mut line = json!({
        "time": format!("{now:.3}"),
        "caller": &*entry.caller.name,
        "role": entry.caller.role.name(),
        "peer": entry.caller.peer,
        "call": entry.call.name,
        "about": about,
    });
    match entry.phase {
        Phase::Begins => line["phase"] = "begins".into(),
        Phase::Ended { code, documents } => {
            line["phase"] = "ended".into();
            line["code"] = name(code).into();
            if let Some(documents) = documents {
                line["documents"] = documents.into();
            }
        }
    }
    if is_cut {
        line["cut"] = true.into();
    }
    format!("{line}\n")
}

/// Cuts long texts, wherever they are.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > CUT_TEXT_BYTES => {
            let length = text.len();
            text.truncate(text.floor_char_boundary(CUT_TEXT_BYTES));
            text.push_str(&format!("… ({length} bytes)"));
        }
        Value::Array(values) => values.iter_mut().for_each(cut),
        Value::Object(fields) => fields.values_mut().for_each(cut),
        _ => {}
    }
}

/// Returns the code's name in gRPC.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;
    use std::os::unix::fs::PermissionsExt;

    const READS: Call = Call { name: "GetDocument", role: Role::Viewer, reads_documents: true };

    fn entry(caller: &Caller, about: Value) -> AuditEntry<'_> {
        AuditEntry { caller, call: READS, phase: Phase::Begins, about }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[test]
    fn a_line_says_who_did_what() {
        let peer = Some(([127, 0, 0, 1], 4000).into());
        let caller = Caller { name: "ann".into(), ..Caller::local(peer) };
        let mut entry = entry(&caller, json!({"ns": "shop.orders", "id": {"$numberInt": "42"}}));
        let now = "2026-11-21T12:00:00.0456Z".parse().unwrap();
        let begins = r#"{"time":"2026-11-21T12:00:00.045Z","caller":"ann","role":"restorer","peer":"127.0.0.1:4000","call":"GetDocument","about":{"ns":"shop.orders","id":{"$numberInt":"42"}},"phase":"begins"}"#;
        assert_eq!(line(&entry, now), format!("{begins}\n"));
        entry.phase = Phase::Ended { code: Code::NotFound, documents: Some(0) };
        let ended = line(&entry, now);
        let end = r#""phase":"ended","code":"NOT_FOUND","documents":0}"#;
        assert!(ended.trim_end().ends_with(end), "{ended}");
    }

    #[test]
    fn long_ids_are_cut_and_marked() {
        let caller = Caller::local(None);
        let now = Timestamp::UNIX_EPOCH;
        let read = |about: Value| -> Value {
            let line = line(&entry(&caller, about), now);
            assert!(line.len() <= MAX_LINE_BYTES && line.ends_with('\n'));
            serde_json::from_str(&line).unwrap()
        };
        let fits = "x".repeat(MAX_LINE_BYTES - 400);
        assert_eq!(read(json!({"id": fits}))["about"]["id"], fits);
        let long = read(json!({"ns": "a.b", "id": {"$x": ["é".repeat(MAX_LINE_BYTES)]}}));
        assert_eq!(long["cut"], true);
        assert_eq!(long["about"]["ns"], "a.b");
        let id = long["about"]["id"]["$x"][0].as_str().unwrap();
        assert!(id.starts_with("éé") && id.ends_with("… (32768 bytes)") && id.len() < 300, "{id}");
        let many = read(json!({"id": vec!["many"; MAX_LINE_BYTES]}));
        assert_eq!((&many["cut"], &many["about"]), (&json!(true), &Value::Null));
        assert_eq!(many["caller"], "local");
    }

    #[test]
    fn lines_are_appended_to_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let caller = Caller::local(None);
        for restart in 0..2 {
            let log = AuditLog::open(&path).unwrap();
            log.record(&entry(&caller, json!(restart)), false).unwrap();
            log.record(&entry(&caller, json!("durable")), true).unwrap();
        }
        assert_eq!(lines(&path).len(), 4);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("audit.jsonl"), dir.path().join("audit.1"));
        let caller = Caller::local(None);
        let log = AuditLog::open(&path).unwrap();
        log.record(&entry(&caller, json!(1)), false).unwrap();
        fs::rename(&path, &moved).unwrap();
        log.record(&entry(&caller, json!(2)), false).unwrap();
        assert_eq!(lines(&moved)[0]["about"], 1);
        assert_eq!(lines(&path)[0]["about"], 2);
        // The same holds when the rotating program creates the new file.
        fs::rename(&path, &moved).unwrap();
        fs::write(&path, "").unwrap();
        log.record(&entry(&caller, json!(3)), false).unwrap();
        assert_eq!(lines(&path).len(), 1);
    }

    #[test]
    fn half_a_line_does_not_spoil_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        fs::write(&path, "{\"time\":\"2026").unwrap();
        let log = AuditLog::open(&path).unwrap();
        log.record(&entry(&Caller::local(None), json!(1)), false).unwrap();
        log.record(&entry(&Caller::local(None), json!(2)), false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1..].iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }

    #[test]
    fn what_cannot_be_written_down_is_not_answered() {
        let log = AuditLog::open(Path::new("/dev/full")).unwrap();
        let caller = Caller::local(None);
        let refused = log.require(&entry(&caller, json!({})), false).unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone").join("audit.jsonl");
        assert!(AuditLog::open(&path).is_err());
        fs::create_dir(dir.path().join("gone")).unwrap();
        let log = AuditLog::open(&path).unwrap();
        fs::remove_dir_all(dir.path().join("gone")).unwrap();
        assert!(log.require(&entry(&caller, json!({})), false).is_err());
    }
}
