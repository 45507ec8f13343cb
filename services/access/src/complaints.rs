//! Limits how many log lines strangers can cause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const LINES: u32 = 10;
const PER: Duration = Duration::from_secs(10);

/// Counts lines, and holds back the lines above the limit.
pub(super) struct Complaints(Mutex<Stretch>);

struct Stretch {
    began: Instant,
    lines: u32,
    held_back: u64,
}

impl Complaints {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Stretch { began: Instant::now(), lines: 0, held_back: 0 }))
    }

    /// Returns how many lines were held back before this one, or `None` when the line must be held
    /// back too.
    pub(super) fn may_log(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).may_log(Instant::now())
    }
}

impl Stretch {
    fn may_log(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.began) >= PER {
            self.began = now;
            self.lines = 0;
        }
        if self.lines >= LINES {
            self.held_back += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_in_ten_seconds_and_none_is_forgotten() {
        let began = Instant::now();
        let mut stretch = Stretch { began, lines: 0, held_back: 0 };
        for _ in 0..LINES {
            assert_eq!(stretch.may_log(began), Some(0));
        }
        let later = began + PER - Duration::from_millis(1);
        assert_eq!(stretch.may_log(began), None);
        assert_eq!(stretch.may_log(later), None);
        assert_eq!(stretch.may_log(began + PER), Some(2));
        assert_eq!(stretch.may_log(began + PER), Some(0));
    }
}
