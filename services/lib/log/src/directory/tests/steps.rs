//! An append that ends at any of its steps.

use super::*;

/// The steps of an append of a segment with one frame.
const STEPS: [Step; 7] = [
    Step::Create,
    Step::WritePiece(0),
    Step::WritePiece(1),
    Step::WritePiece(2),
    Step::SyncFile,
    Step::Rename,
    Step::SyncDirectory,
];

#[tokio::test]
async fn an_append_takes_its_steps_in_order() {
    let bench = Bench::new();
    let log = bench.log().await;
    let seen = bench.note_steps();
    log.append(SegmentMaker::default().make(5)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), STEPS);
}

/// The process dies before `last_gasp`: it does nothing more, not even clean up.
fn die_before(bench: &Bench, last_gasp: Step) {
    let mut dead = false;
    bench.decide(move |step| {
        dead |= step == last_gasp;
        if dead { Err(io::Error::other("dead")) } else { Ok(()) }
    });
}

#[tokio::test]
async fn after_a_crash_at_any_step_the_log_is_whole() {
    for last_gasp in STEPS {
        let (bench, mut maker) = Bench::filled(2).await;
        let log = bench.log().await;
        die_before(&bench, last_gasp);
        let interrupted = maker.make(5);
        log.append(interrupted.clone()).await.unwrap_err();
        drop(log);
        bench.all_works();

        let log = bench.log().await;
        let end = log.end().await.unwrap().unwrap();
        let named = last_gasp == Step::SyncDirectory;
        assert_eq!(end.sequence(), Sequence(if named { 3 } else { 2 }), "{last_gasp:?}");
        assert!(bench.file_names().iter().all(|it| !it.ends_with(".tmp")), "{last_gasp:?}");
        log.append(interrupted).await.unwrap();
        log.append(maker.make(5)).await.unwrap();
        assert_eq!(log.infos(Sequence(1), 9).await.unwrap().len(), 4, "{last_gasp:?}");
    }
}

/// A crash of the machine may undo or keep a rename that was not synced. Both look like a crash at
/// an earlier or later step. A crash must never leave a segment's name on an incomplete segment.
#[tokio::test]
async fn a_temporary_file_cut_anywhere_is_never_taken_for_a_segment() {
    let (bench, mut maker) = Bench::filled(1).await;
    let next = maker.make(5);
    let whole = next.to_bytes();
    let name =
        super::super::names::LogFile::Segment(super::super::names::SegmentName::of(next.info()));
    for length in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        fs::write(bench.path().join(name.temporary()), &whole[..length]).unwrap();
        let log = bench.log().await;
        assert_eq!(log.end().await.unwrap().unwrap().sequence(), Sequence(1));
        assert_eq!(bench.segment_files().len(), 1);
        assert!(!bench.path().join(name.temporary()).exists());
    }
}

#[tokio::test]
async fn a_torn_file_under_a_segments_name_is_refused_by_name() {
    let (bench, _) = Bench::filled(2).await;
    let last = bench.segment_files().pop().unwrap();
    let whole = fs::read(&last).unwrap();
    for length in 0..whole.len() {
        fs::write(&last, &whole[..length]).unwrap();
        let error = bench.open_with(DirectoryOptions::default()).await.err().unwrap();
        assert!(matches!(error, LogError::Corrupt { .. }), "{length}: {error}");
        assert!(error.to_string().contains(&last.display().to_string()), "{error}");
    }
    // Blocks that were never written read as zeros.
    for written in [0, whole.len() / 2, whole.len() - 20] {
        let mut torn = whole.clone();
        torn[written..].fill(0);
        fs::write(&last, torn).unwrap();
        assert!(bench.open_with(DirectoryOptions::default()).await.is_err(), "{written}");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_leaves_nothing_and_passes() {
    for full_at in STEPS {
        let (bench, mut maker) = Bench::filled(1).await;
        let log = bench.log().await;
        let before = bench.file_names();
        bench.decide(
            move |step| {
                if step == full_at { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            },
        );
        let next = maker.make(5);
        for _ in 0..3 {
            let error = log.append(next.clone()).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            let message = error.to_string();
            assert!(message.contains(&bench.path().display().to_string()), "{message}");
            assert!(message.contains(full_at.action()), "{message}");
        }
        if full_at == Step::SyncDirectory {
            // The segment has its name, but no caller may rely on it or see it.
            assert!(log.end().await.unwrap_err().is_retryable());
            assert!(log.read(Sequence(2)).await.unwrap_err().is_retryable());
            assert!(log.infos(Sequence(1), 9).await.unwrap_err().is_retryable());
        } else {
            assert_eq!(bench.file_names(), before, "{full_at:?}");
            assert_eq!(log.end().await.unwrap().unwrap().sequence(), Sequence(1));
        }
        bench.all_works();
        log.append(next).await.unwrap();
        log.append(maker.make(5)).await.unwrap();
        drop(log);
        let end = bench.log().await.end().await.unwrap().unwrap();
        assert_eq!(end.sequence(), Sequence(3), "{full_at:?}");
    }
}

#[tokio::test]
async fn an_append_nobody_waits_for_is_finished() {
    let bench = Bench::new();
    let log = bench.log().await;
    let mut maker = SegmentMaker::default();
    let segment = maker.make(5);
    let (started, has_started) = std::sync::mpsc::channel();
    bench.decide(move |_| {
        let _ = started.send(());
        Ok(())
    });
    let mut append = Box::pin(log.append(segment.clone()));
    assert!(futures_poll_once(&mut append).await.is_none(), "it waits for the disk");
    drop(append);
    has_started.recv().unwrap();
    log.append(segment.clone()).await.unwrap();
    assert_eq!(log.end().await.unwrap().unwrap().digest, segment.digest());
    assert_eq!(bench.segment_files().len(), 1);
}

/// Polls the future once.
async fn futures_poll_once<F: std::future::Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
