//! Answers of many documents, entries or changes, in messages of bounded size.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tonic::Status;

/// Items are gathered up to this many bytes a message.
const MESSAGE_BYTES: usize = 256 << 10;
/// However few they are, items are sent once the first of them is this old and another one comes.
const MAX_AGE: Duration = Duration::from_millis(500);
/// Messages made ahead of a slow reader.
pub(super) const AHEAD: usize = 8;

/// Gathers items into messages and sends them; `false` once the reader is gone.
pub(super) struct Gather<I, T, F: Fn(Vec<I>) -> T> {
    sender: mpsc::Sender<Result<T, Status>>,
    items: Vec<I>,
    bytes: usize,
    since: Instant,
    has_sent: bool,
    message: F,
}

impl<I, T, F: Fn(Vec<I>) -> T> Gather<I, T, F> {
    pub(super) fn new(sender: mpsc::Sender<Result<T, Status>>, message: F) -> Self {
        Self {
            sender,
            items: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            has_sent: false,
            message,
        }
    }

    pub(super) fn add(&mut self, item: I, bytes: usize) -> bool {
        if self.items.is_empty() {
            self.since = Instant::now();
        }
        self.bytes += bytes;
        self.items.push(item);
        let is_due = self.bytes >= MESSAGE_BYTES || self.since.elapsed() >= MAX_AGE;
        !is_due || self.send()
    }

    /// Whether somebody still wants answers.
    pub(super) fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn send(&mut self) -> bool {
        self.items.is_empty() || self.send_amended(|_| {})
    }

    /// Sends what is there, also if that is nothing, in a message that says more.
    pub(super) fn send_amended(&mut self, amend: impl FnOnce(&mut T)) -> bool {
        (self.bytes, self.has_sent) = (0, true);
        let mut message = (self.message)(std::mem::take(&mut self.items));
        amend(&mut message);
        self.sender.blocking_send(Ok(message)).is_ok()
    }

    /// The last word: a failure, or what is left. Nothing at all is an answer too, which says of which time it is.
    pub(super) fn end(mut self, result: Result<(), Status>) {
        // What was found before a failure is true all the same.
        self.send();
        match result {
            Ok(()) if !self.has_sent => {
                self.send_amended(|_| {});
            }
            Ok(()) => {}
            Err(status) => {
                let _ = self.sender.blocking_send(Err(status));
            }
        }
    }
}
