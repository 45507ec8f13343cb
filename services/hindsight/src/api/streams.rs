//! Answers of many documents or entries, in messages of bounded size.

use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::Status;

/// Documents are gathered up to this many bytes a message.
const MESSAGE_BYTES: usize = 256 << 10;
/// Messages made ahead of a slow reader.
pub(super) const AHEAD: usize = 8;

/// Gathers items into messages and sends them; `false` once the reader is gone.
pub(super) struct Gather<T, F: Fn(Vec<Bytes>) -> T> {
    sender: mpsc::Sender<Result<T, Status>>,
    items: Vec<Bytes>,
    bytes: usize,
    message: F,
}

impl<T, F: Fn(Vec<Bytes>) -> T> Gather<T, F> {
    pub(super) fn new(sender: mpsc::Sender<Result<T, Status>>, message: F) -> Self {
        Self { sender, items: Vec::new(), bytes: 0, message }
    }

    pub(super) fn add(&mut self, item: Bytes) -> bool {
        self.bytes += item.len();
        self.items.push(item);
        self.bytes < MESSAGE_BYTES || self.send()
    }

    /// Whether somebody still wants answers.
    pub(super) fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) fn send(&mut self) -> bool {
        self.bytes = 0;
        if self.items.is_empty() {
            return true;
        }
        let message = (self.message)(std::mem::take(&mut self.items));
        self.sender.blocking_send(Ok(message)).is_ok()
    }
}
