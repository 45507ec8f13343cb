//! Tests the log on a real Kafka.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use hindsight_log::conformance::{self, ScriptedFault, SegmentMaker, Subject};
use hindsight_log::{KafkaLog, KafkaOptions, LogError, SegmentLog};
use hindsight_segment::{SealedSegment, Sequence};
use hindsight_tests::kafka::stored::StoredPartition;
use hindsight_tests::proxy::Fault;
use hindsight_tests::{KafkaCluster, KafkaClusterOptions};

mod effective;
mod failover;
mod full_disk;
mod outage;
mod risks;
mod services;
mod takeover;
mod tls;
mod topics;
mod trimmed;
mod waiting;

/// The beginning of a record's headers: name and value, each after its length.
const FRAME_HEADER: &[u8] = b"\x0ehs-kind\x0aframe";
const SEAL_HEADER: &[u8] = b"\x0ehs-kind\x08seal";

async fn one_broker() -> Result<KafkaCluster> {
    KafkaCluster::start(KafkaClusterOptions::brokers(1)).await
}

/// Returns the options of a topic that no other test uses.
fn options(cluster: &KafkaCluster, replicas: u16) -> KafkaOptions {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut options = KafkaOptions::new(cluster.bootstrap(), format!("hindsight.test{number}"));
    options.replicas = replicas;
    options.timeout = Duration::from_secs(60);
    options
}

/// Makes the log give up soon on an append whose answer is lost.
fn impatient(mut options: KafkaOptions) -> KafkaOptions {
    options.client.insert("message.timeout.ms".to_owned(), "3000".to_owned());
    options
}

struct KafkaSubject<'a> {
    cluster: &'a KafkaCluster,
    options: KafkaOptions,
}

impl KafkaSubject<'_> {
    fn partition(&self) -> Result<StoredPartition> {
        StoredPartition::read(&self.cluster.partition_directory(0, &self.options.topic))
    }

    /// Returns the records that hold a segment, in order. The last record is the seal.
    fn records_of(partition: &StoredPartition, sequence: Sequence) -> Vec<usize> {
        let wanted = Some(sequence.to_string());
        let is_wanted =
            |index: &usize| partition.records[*index].headers.get("hs-sequence") == wanted.as_ref();
        (0..partition.records.len()).filter(is_wanted).collect()
    }

    fn flip(&self, sequence: Sequence, permille: u64) -> Result<()> {
        let mut partition = self.partition()?;
        let records = Self::records_of(&partition, sequence);
        let (&seal, frames) = records.split_last().context("the segment is there")?;
        let value = |record: usize| partition.value(&partition.records[record]);
        let header_length = usize::from(u16::from_le_bytes([value(seal)[10], value(seal)[11]]));
        let total: usize = records.iter().map(|&it| value(it).len()).sum();
        let mut at = total * permille as usize / 1000;
        let mut record = seal;
        if at >= header_length {
            at -= header_length;
            record = *frames
                .iter()
                .find(|&&frame| {
                    let length = value(frame).len();
                    let is_here = at < length;
                    at -= if is_here { 0 } else { length };
                    is_here
                })
                .unwrap_or(&seal);
            at += if record == seal { header_length } else { 0 };
        }
        let flipped = value(record)[at] ^ 1;
        partition.overwrite(record, at, &[flipped], true)
    }

    fn put_in_place(&self, sequence: Sequence, other: &SealedSegment) -> Result<()> {
        let mut partition = self.partition()?;
        let records = Self::records_of(&partition, sequence);
        let pieces: Vec<_> = other.pieces().map(|it| it.to_vec()).collect();
        let [header, frames @ .., seal] = &pieces[..] else { unreachable!("a segment has both") };
        let values = frames.iter().cloned().chain([[&header[..], &seal[..]].concat()]);
        for (record, value) in records.into_iter().zip(values) {
            partition.overwrite(record, 0, &value, true)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Subject for KafkaSubject<'_> {
    async fn open(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        Ok(Box::new(KafkaLog::open_writer(self.options.clone()).await?))
    }

    async fn open_reader(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        Ok(Box::new(KafkaLog::open_reader(self.options.clone()).await?))
    }

    async fn fail_next_append(&self, fault: ScriptedFault) {
        match fault {
            ScriptedFault::Refused => self.cluster.proxy(0).lay(Fault::LoseRequest, FRAME_HEADER),
            ScriptedFault::AnswerLost => self.cluster.proxy(0).lay(Fault::LoseAnswer, SEAL_HEADER),
        }
    }

    async fn flip_bit(&self, sequence: Sequence, permille: u64) {
        self.flip(sequence, permille).unwrap();
    }

    async fn replace(&self, sequence: Sequence, other: SealedSegment) {
        self.put_in_place(sequence, &other).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_on_kafka_conforms() -> Result<()> {
    let cluster = one_broker().await?;
    conformance::run(|| KafkaSubject {
        cluster: &cluster,
        options: impatient(options(&cluster, 1)),
    })
    .await;
    Ok(())
}

/// A record that the broker's own checksum shows to be damaged counts as damage, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_contradicts_its_checksum_is_never_served() -> Result<()> {
    let cluster = one_broker().await?;
    let subject = KafkaSubject { cluster: &cluster, options: options(&cluster, 1) };
    let log = subject.open().await?;
    let mut maker = SegmentMaker::default();
    for _ in 0..3 {
        log.append(maker.make(50)).await?;
    }
    let mut partition = subject.partition()?;
    let record = KafkaSubject::records_of(&partition, Sequence(2))[0];
    partition.overwrite(record, 100, &[0xff, 0, 0xff], false)?;
    let outcome = log.read(Sequence(2)).await.map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    log.read(Sequence(1)).await?;
    log.read(Sequence(3)).await?;
    drop(log);
    let outcome = subject.open().await.map(drop);
    assert!(matches!(outcome, Err(LogError::Corrupt { .. })), "{outcome:?}");
    Ok(())
}

/// A piece that is longer than a record may be is split, and joined again.
#[tokio::test(flavor = "multi_thread")]
async fn segments_of_any_length_go_through_a_topic_of_short_records() -> Result<()> {
    let cluster = one_broker().await?;
    let options = KafkaOptions { max_message_bytes: 65_536, ..options(&cluster, 1) };
    let log = KafkaLog::open_writer(options.clone()).await?;
    let mut maker = SegmentMaker::default();
    let mut segments = Vec::new();
    for entries in [1, 20_000, 3, 60_000] {
        let segment = maker.make(entries);
        log.append(segment.clone()).await?;
        segments.push(segment);
    }
    for log in [log, KafkaLog::open_reader(options).await?] {
        assert_eq!(log.end().await?.as_ref(), Some(segments[3].info()));
        for segment in &segments {
            let view = log.read(segment.info().sequence()).await?;
            assert_eq!(view.info(), segment.info());
            let last = segment.info().seal.frames.len() as u32 - 1;
            for ordinal in [0, last / 2, last] {
                log.read_frame(segment.info(), ordinal).await?.decode()?;
            }
        }
    }
    Ok(())
}
