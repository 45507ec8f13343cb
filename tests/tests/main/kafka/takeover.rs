//! Tests several writers, of which only one writes, and brokers that die under the writer.

use hindsight_log::SharedLog;

use super::*;

/// A superseded writer can append nothing, and what it still sends does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_writer_is_fenced() -> Result<()> {
    let cluster = one_broker().await?;
    let options = options(&cluster, 1);
    let older = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    older.append(maker.make(5)).await?;
    let reader = KafkaLog::open_reader(options.clone()).await?;

    let newer = KafkaLog::open_writer(options).await?;
    assert_eq!((older.epoch().map(|it| it.0), newer.epoch().map(|it| it.0)), (Some(1), Some(2)));
    // The older writer does not know yet that it was superseded: its records arrive, and then it
    // learns.
    let outcome = older.append(maker.clone().make(7)).await;
    assert!(matches!(outcome, Err(LogError::Fenced { .. })), "{outcome:?}");
    let taken = maker.make(3);
    newer.append(taken.clone()).await?;
    let outcome = older.append(maker.clone().make(7)).await;
    assert!(matches!(outcome, Err(LogError::Fenced { .. })), "{outcome:?}");
    // The older writer has read what the newer writer wrote, and its own segment would not follow
    // that. The reason is the same.
    older.end().await?;
    let outcome = older.append(SegmentMaker::default().make(7)).await;
    assert!(matches!(outcome, Err(LogError::Fenced { .. })), "{outcome:?}");
    newer.append(maker.make(2)).await?;

    for log in [&older, &newer, &reader] {
        let end = log.end().await?.context("the log has segments")?;
        assert_eq!(end.sequence(), Sequence(3));
        assert_eq!(log.read(Sequence(2)).await?.info(), taken.info());
        assert!(log.ignored().fenced >= 2, "{:?}", log.ignored());
    }
    Ok(())
}

/// Three brokers are killed one after the other while a writer appends: what was reported as
/// durable stays, and the chain that was written is the chain that is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_killed_brokers() -> Result<()> {
    let mut cluster = KafkaCluster::start(KafkaClusterOptions::brokers(3)).await?;
    let options = impatient(options(&cluster, 3));
    let log = KafkaLog::open_writer(options.clone()).await?;
    let writing = tokio::spawn(async move {
        let mut maker = SegmentMaker::default();
        let mut appended = Vec::new();
        let mut failures = 0;
        while appended.len() < 400 {
            let segment = maker.make(40);
            while let Err(error) = log.append(segment.clone()).await {
                anyhow::ensure!(error.is_retryable(), "{error}");
                failures += 1;
            }
            appended.push(segment);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("{failures} appends failed before they worked; {:?}", log.ignored());
        anyhow::Ok(appended)
    });
    for broker in [0, 1, 2] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.kill(broker)?;
        // Long enough for another broker to become the leader.
        tokio::time::sleep(Duration::from_secs(8)).await;
        cluster.restart(broker).await?;
    }
    cluster.pause(0)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.resume(0)?;
    let appended = writing.await??;

    let reader = KafkaLog::open_reader(options).await?;
    let infos = reader.infos(Sequence::FIRST, usize::MAX).await?;
    assert!(infos.iter().eq(appended.iter().map(SealedSegment::info)), "all, in order, once");
    for segment in &appended {
        reader.read(segment.info().sequence()).await?;
    }
    println!("{:?}", reader.ignored());
    Ok(())
}
