use super::*;
use crate::conformance::{self, ScriptedFault, SegmentMaker, Subject};

#[async_trait]
impl Subject for MemoryLog {
    async fn open(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        Ok(Box::new(self.clone()))
    }

    async fn open_reader(&self) -> Result<Box<dyn SegmentLog>, LogError> {
        self.open().await
    }

    async fn fail_next_append(&self, fault: ScriptedFault) {
        self.script_append(match fault {
            ScriptedFault::Refused => AppendFault::FailBefore,
            ScriptedFault::AnswerLost => AppendFault::AnswerLost,
        });
    }

    async fn flip_bit(&self, sequence: Sequence, permille: u64) {
        self.alter(sequence, |bytes| {
            let at = bytes.len() as u64 * permille / 1000;
            bytes[at as usize] ^= 1;
        });
    }

    async fn replace(&self, sequence: Sequence, other: SealedSegment) {
        self.alter(sequence, |bytes| *bytes = other.to_bytes().to_vec());
    }
}

#[tokio::test]
async fn conforms() {
    conformance::run(MemoryLog::new).await;
}

#[tokio::test]
async fn reads_fail_as_scripted_and_then_work() {
    let log = MemoryLog::new();
    log.append(SegmentMaker::default().make(1)).await.unwrap();
    log.script_read(ReadFault::Fail);
    log.script_read(ReadFault::Corrupt);
    assert!(log.read(Sequence(1)).await.unwrap_err().is_retryable());
    assert!(matches!(log.read(Sequence(1)).await, Err(LogError::Corrupt { .. })));
    assert!(log.read(Sequence(1)).await.is_ok());
}

#[tokio::test]
async fn slow_takes_the_time_it_was_told() {
    let log = MemoryLog::new();
    let delay = Duration::from_millis(30);
    log.script_append(AppendFault::Slow(delay));
    log.script_read(ReadFault::Slow(delay));
    let start = tokio::time::Instant::now();
    log.append(SegmentMaker::default().make(1)).await.unwrap();
    assert!(start.elapsed() >= delay);
    log.read(Sequence(1)).await.unwrap();
    assert!(start.elapsed() >= 2 * delay);
}
