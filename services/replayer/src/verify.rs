//! Checks what is held: the chain, every checksum, and what the windows rest on.

use std::path::Path;

use hindsight_log::SegmentLog;
use hindsight_runtime::CancellationToken;
use hindsight_segment::Sequence;

use crate::error::{Cause, QueryError};

/// What was checked, and what was found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// True when nothing that was checked is damaged.
    pub sound: bool,
    /// True when every byte was read. Otherwise the check read the headers and seals of the
    /// segments, and the manifests and sizes of the bases.
    pub deep: bool,
    /// The number of segments checked.
    pub segments: u64,
    /// The number of entries in these segments.
    pub entries: u64,
    /// The size of these segments in bytes, as they are stored.
    pub bytes: u64,
    /// The number of bases.
    pub bases: u64,
    /// The number of gaps in the log.
    pub gaps: u64,
    /// Everything that is damaged.
    pub damaged: Vec<Damage>,
    /// The report as lines for people.
    pub lines: Vec<String>,
}

/// One damaged file or segment.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The name of the file, segment or base; `log` for the log as a whole.
    pub what: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Checks the log and the bases. Damage is a finding, not an error. Bases are read on the thread
/// that polls this future, so that thread must be allowed to block.
///
/// # Errors
/// Returns [`QueryError::Corrupt`] when the bases cannot be listed or opened, and
/// [`QueryError::Unavailable`] once `stop` is cancelled, after the segment or base at hand.
pub async fn verify(
    log: &dyn SegmentLog,
    bases: &Path,
    deep: bool,
    stop: &CancellationToken,
) -> Result<VerifyReport, QueryError> {
    let mut report = VerifyReport { deep, ..VerifyReport::default() };
    verify_log(log, deep, stop, &mut report).await?;
    verify_bases(bases, deep, stop, &mut report)?;
    report.sound = report.damaged.is_empty();
    report.lines = lines(&report);
    Ok(report)
}

/// How many headers and seals are read at a time.
const STEP: usize = 256;

fn go_on(stop: &CancellationToken) -> Result<(), QueryError> {
    match stop.is_cancelled() {
        true => Err(QueryError::unavailable("nobody waits for it any more")),
        false => Ok(()),
    }
}

async fn verify_log(
    log: &dyn SegmentLog,
    deep: bool,
    stop: &CancellationToken,
    report: &mut VerifyReport,
) -> Result<(), QueryError> {
    let end = match log.end().await {
        Ok(Some(end)) => end.sequence(),
        Ok(None) => return Ok(()),
        Err(error) => {
            report.damaged.push(Damage { what: "log".into(), detail: error.to_string() });
            return Ok(());
        }
    };
    let mut next = Sequence::FIRST;
    while next <= end {
        let infos = match log.infos(next, STEP).await {
            Ok(infos) if !infos.is_empty() => infos,
            Ok(_) => break,
            Err(error) => {
                // The error names the file. Nothing can be said about what comes after it.
                report.damaged.push(Damage { what: "log".into(), detail: error.to_string() });
                break;
            }
        };
        for info in infos {
            go_on(stop)?;
            report.segments += 1;
            report.entries += info.seal.entries;
            report.bytes += info.segment_bytes;
            report.gaps += u64::from(info.header.gap.is_some());
            if deep
                && let Err(error) = read_all(log, info.sequence()).await
                && !was_removed(log, info.sequence()).await
            {
                let what = format!("segment {}", info.sequence());
                report.damaged.push(Damage { what, detail: error.to_string() });
            }
            next = info.sequence().next();
        }
    }
    Ok(())
}

/// Returns whether a segment was removed from the log after its header was read. That is no damage.
async fn was_removed(log: &dyn SegmentLog, sequence: Sequence) -> bool {
    matches!(log.begin().await, Ok(Some(beginning)) if beginning.sequence > sequence)
}

/// Reads every byte, every frame and every entry of a segment.
async fn read_all(log: &dyn SegmentLog, sequence: Sequence) -> Result<(), Cause> {
    let segment = log.read(sequence).await?;
    for frame in segment.frames() {
        let decoded = frame.decode()?;
        for bytes in decoded.entries() {
            hindsight_oplog::Entry::parse(bytes)?;
        }
    }
    Ok(())
}

fn verify_bases(
    directory: &Path,
    deep: bool,
    stop: &CancellationToken,
    report: &mut VerifyReport,
) -> Result<(), QueryError> {
    let listing = hindsight_base::list(directory).map_err(QueryError::corrupt)?;
    for (path, error) in &listing.damaged {
        report.damaged.push(Damage { what: path.display().to_string(), detail: error.to_string() });
    }
    for summary in &listing.bases {
        go_on(stop)?;
        let base = hindsight_base::Base::open(&summary.directory).map_err(QueryError::corrupt)?;
        for error in base.verify(deep).faults {
            let what = format!("base {}", summary.name);
            report.damaged.push(Damage { what, detail: error.to_string() });
        }
    }
    report.bases = listing.bases.len() as u64;
    Ok(())
}

fn lines(report: &VerifyReport) -> Vec<String> {
    let how = if report.deep {
        "every byte read"
    } else {
        "ends and manifests read; a deep check reads all"
    };
    let mut lines = vec![format!(
        "{} segments, {} entries, {} bytes, {} gaps, {} bases: {how}",
        report.segments, report.entries, report.bytes, report.gaps, report.bases
    )];
    for damage in &report.damaged {
        lines.push(format!("DAMAGED {}: {}", damage.what, damage.detail));
    }
    lines.push(if report.sound { "sound".into() } else { "NOT SOUND".into() });
    lines
}
