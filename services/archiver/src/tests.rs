//! Copies between logs in memory and in directories.

use std::path::Path;
use std::sync::{Arc, Mutex};

use hindsight_holdings::OpenLog;
use hindsight_log::conformance::SegmentMaker;
use hindsight_log::{
    AppendFault, DirectoryLog, DirectoryOptions, MemoryLog, ReadFault, SegmentLog,
};
use hindsight_segment::Sequence;

use crate::{ArchiveError, Copied, Progress, Source, Target, Tell, copy};

fn open(log: &MemoryLog) -> OpenLog {
    OpenLog { log: Arc::new(log.clone()), shared: None }
}

/// Appends segments with one entry each.
async fn append(maker: &mut SegmentMaker, log: &MemoryLog, segments: u32) {
    for _ in 0..segments {
        log.append(maker.make(1)).await.expect("the segment follows");
    }
}

async fn log_of(segments: u32) -> MemoryLog {
    let log = MemoryLog::new();
    append(&mut SegmentMaker::default(), &log, segments).await;
    log
}

async fn copy_telling(
    from: &MemoryLog,
    to: &MemoryLog,
    tell: Tell,
) -> Result<Copied, ArchiveError> {
    let source = Source::of(open(from)).await?;
    copy(&source, Target { log: open(to), directory: None }, None, &tell).await
}

async fn copied(from: &MemoryLog, to: &MemoryLog) -> Result<Copied, ArchiveError> {
    copy_telling(from, to, Arc::new(|_| {})).await
}

async fn assert_same_end(one: &MemoryLog, other: &MemoryLog) {
    let digest = async |log: &MemoryLog| log.end().await.expect("an end").map(|end| end.digest);
    assert_eq!(digest(one).await, digest(other).await);
}

#[tokio::test]
async fn a_copy_is_level_with_its_source_and_continues_from_there() {
    let (from, to, mut maker) = (MemoryLog::new(), MemoryLog::new(), SegmentMaker::default());
    append(&mut maker, &from, 3).await;
    let first = copied(&from, &to).await.expect("copied");
    assert_eq!((first.segments, first.entries, first.found), (3, 3, 0));
    assert_same_end(&from, &to).await;

    let again = copied(&from, &to).await.expect("nothing to do");
    assert_eq!((again.segments, again.found, again.last), (0, 3, Some(Sequence(3))));
    assert_eq!(again.through, first.through);

    append(&mut maker, &from, 2).await;
    let more = copied(&from, &to).await.expect("copied");
    assert_eq!((more.segments, more.found, more.last), (2, 3, Some(Sequence(5))));
    assert_same_end(&from, &to).await;
}

#[tokio::test]
async fn only_a_copy_of_the_same_log_is_continued() {
    let (from, to) = (log_of(3).await, MemoryLog::new());
    append(
        &mut SegmentMaker { epoch: hindsight_segment::WriterEpoch(9), ..Default::default() },
        &to,
        2,
    )
    .await;
    let refused = copied(&from, &to).await.expect_err("another log");
    assert!(matches!(refused, ArchiveError::OtherLog { sequence: Sequence(2), .. }), "{refused}");
    let longer = log_of(4).await;
    let refused = copied(&from, &longer).await.expect_err("the target is ahead");
    assert!(matches!(refused, ArchiveError::OtherLog { sequence: Sequence(4), .. }), "{refused}");
    let empty = copied(&MemoryLog::new(), &to).await.expect_err("nothing to copy");
    assert!(matches!(empty, ArchiveError::Empty), "{empty}");
}

#[tokio::test]
async fn what_was_removed_from_the_source_must_be_in_the_target() {
    let (from, near, far) = (log_of(6).await, log_of(3).await, log_of(2).await);
    from.remove_before(Sequence(4)).await.expect("removed");
    let more = copied(&from, &near).await.expect("it ends where the source begins");
    assert_eq!((more.segments, more.found), (3, 3));
    for (target, ends) in [(far, Some(Sequence(2))), (MemoryLog::new(), None)] {
        let refused = copied(&from, &target).await.expect_err("a hole");
        let text = refused.to_string();
        let ArchiveError::BeginsTooLate { begins: Sequence(4), ends: held } = refused else {
            panic!("{text}")
        };
        assert_eq!(held, ends, "{text}");
        assert!(text.contains("at least to segment 3"), "{text}");
    }
}

#[tokio::test]
async fn a_copy_ends_before_the_damage() {
    let (from, to) = (log_of(5).await, MemoryLog::new());
    from.alter(Sequence(3), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
    let part = copied(&from, &to).await.expect("the part before the damage");
    assert_eq!((part.segments, part.last), (2, Some(Sequence(2))));
    let damage = part.damage.expect("the damage").to_string();
    assert!(damage.contains("segment 3"), "{damage}");
}

#[tokio::test]
async fn a_log_that_is_away_for_a_moment_does_not_end_the_copy() {
    let (from, to) = (log_of(3).await, MemoryLog::new());
    from.script_read(ReadFault::Fail);
    to.script_append(AppendFault::FailBefore);
    to.script_append(AppendFault::AnswerLost);
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let tell: Tell = Arc::new(move |progress| {
        let name = match progress {
            Progress::Retrying { .. } => "again".to_owned(),
            Progress::Appended { segment, last, .. } => format!("{segment} of {last:?}"),
            other => format!("{other:?}"),
        };
        heard.lock().expect("nobody panicked").push(name);
    });
    let done = copy_telling(&from, &to, tell).await.expect("copied");
    assert_eq!(done.segments, 3);
    assert_same_end(&from, &to).await;
    let told = told.lock().expect("nobody panicked");
    assert_eq!(told.iter().filter(|it| *it == "again").count(), 3, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("3 of Some(Sequence(3))"));
}

/// Copies into a directory, as `log copy` does.
async fn copied_into(from: &MemoryLog, to: &Path) -> Copied {
    let source = Source::of(open(from)).await.expect("a log");
    let log =
        DirectoryLog::open_writer(to, DirectoryOptions::default()).await.expect("a directory");
    let target =
        Target { log: OpenLog { log: Arc::new(log.clone()), shared: None }, directory: Some(log) };
    copy(&source, target, None, &(Arc::new(|_: Progress<'_>| {}) as Tell)).await.expect("copied")
}

/// Returns how many files of single segments and how many packs there are.
fn files(directory: &Path) -> (usize, usize) {
    let names =
        std::fs::read_dir(directory).expect("listed").map(|it| it.expect("one").file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let count = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count();
    (count(".seg"), count(".pack"))
}

/// Compares every segment of the directory with the log, byte for byte.
async fn assert_holds_the_same(from: &MemoryLog, directory: &Path, segments: u64) {
    let reader = DirectoryLog::open_reader(directory, DirectoryOptions::default()).await;
    let reader = reader.expect("it opens, so the chain is whole");
    for sequence in (1..=segments).map(Sequence) {
        let (one, other) = (from.read(sequence).await, reader.read(sequence).await);
        let whole = |view: &hindsight_segment::SegmentView| {
            hindsight_segment::SealedSegment::of(view).expect("sealed").to_bytes()
        };
        assert_eq!(whole(&one.expect("read")), whole(&other.expect("read")), "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_a_directory_is_packed_as_a_captured_log_is() {
    let from = log_of(1000).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let done = copied_into(&from, path).await;
    assert_eq!((done.segments, done.last), (1000, Some(Sequence(1000))));
    let (single, packs) = files(path);
    assert!((240..480).contains(&single) && packs > 0, "{single} single files, {packs} packs");
    assert_holds_the_same(&from, path, 1000).await;
    let again = copied_into(&from, path).await;
    assert_eq!((again.segments, again.found), (0, 1000));
    assert_holds_the_same(&from, path, 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_made_without_packs_is_packed_by_the_next_one() {
    let from = log_of(600).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let log = DirectoryLog::open_writer(path, DirectoryOptions::default()).await.expect("opened");
    let mut maker = SegmentMaker::default();
    for _ in 0..600 {
        log.append(maker.make(1)).await.expect("appended");
    }
    drop(log);
    assert_eq!(files(path), (600, 0));
    let done = copied_into(&from, path).await;
    assert_eq!((done.segments, done.found), (0, 600));
    assert_eq!(files(path), (240, 1));
    assert_holds_the_same(&from, path, 600).await;
}
