//! Reports work on the log that takes longer than it should, while it lasts and not only after it
//! failed.

use std::time::Duration;

use hindsight_log::SegmentLog;
use tokio::time::Instant;

use crate::status::StatusBoard;

/// When work on the log is overdue. On a healthy log it takes milliseconds.
const DUE: Duration = Duration::from_secs(1);

/// Does the work. While the work takes longer than a second, the status board says so, with the
/// complaint of the store's client if there is one.
pub async fn told_while_overdue<T>(
    status: &StatusBoard,
    log: &dyn SegmentLog,
    doing: &str,
    work: impl Future<Output = T>,
) -> T {
    told_after(DUE, status, log, doing, work).await
}

async fn told_after<T>(
    due: Duration,
    status: &StatusBoard,
    log: &dyn SegmentLog,
    doing: &str,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    let begun = Instant::now();
    let mut told = Told { status, is_told: false };
    loop {
        if let Ok(done) = tokio::time::timeout(due, &mut work).await {
            return done;
        }
        told.tell(overdue(doing, begun.elapsed(), log.complaint()));
    }
}

fn overdue(doing: &str, elapsed: Duration, complaint: Option<String>) -> String {
    let reason = complaint.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{doing} has taken {} s so far{reason}", elapsed.as_secs())
}

/// Withdraws what was reported when the work has ended or is given up.
struct Told<'a> {
    status: &'a StatusBoard,
    is_told: bool,
}

impl Told<'_> {
    fn tell(&mut self, text: String) {
        self.is_told = true;
        self.status.log_overdue(Some(text));
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if self.is_told {
            self.status.log_overdue(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use hindsight_log::MemoryLog;

    use super::*;

    #[tokio::test]
    async fn what_takes_long_is_told_until_it_ends() {
        let (status, log) = (StatusBoard::default(), MemoryLog::new());
        let due = Duration::from_millis(50);
        let work = async |length: Duration| {
            tokio::time::sleep(length).await;
            7
        };
        let told = told_after(due * 20, &status, &log, "appending", work(due)).await;
        assert_eq!((told, status.now().log_overdue), (7, None));
        let late = told_after(due, &status, &log, "appending", work(due * 100));
        let look = async {
            tokio::time::sleep(due * 10).await;
            status.now().log_overdue
        };
        let told = tokio::select! {
            _ = late => unreachable!("it takes longer"),
            told = look => told.expect("it is told"),
        };
        assert!(told.starts_with("appending has taken"), "{told}");
        assert_eq!(status.now().log_overdue, None, "given up");
    }

    #[test]
    fn the_clients_own_words_are_told() {
        let text = overdue("appending segment 7", DUE * 2, Some("refused".to_owned()));
        assert_eq!(text, "appending segment 7 has taken 2 s so far: refused");
    }
}
