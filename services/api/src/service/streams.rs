//! Streams many documents, entries or changes in messages of bounded size.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use hindsight_refusal::Reason;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Answers;

/// Items are gathered up to this many bytes per message.
pub(crate) const MESSAGE_BYTES: usize = 256 << 10;
/// Gathered items are sent, however few they are, once the first of them is this old and another
/// item arrives.
const MAX_AGE: Duration = Duration::from_millis(500);
/// Number of messages made ahead of a slow reader.
pub(crate) const AHEAD: usize = 8;

/// Gathers items into messages and sends them. Its methods return `false` once the reader is gone.
pub(crate) struct Gather<I, T, F: Fn(Vec<I>) -> T> {
    sender: mpsc::Sender<Result<T, Status>>,
    items: Vec<I>,
    bytes: usize,
    since: Instant,
    has_sent: bool,
    message: F,
}

impl<I, T, F: Fn(Vec<I>) -> T> Gather<I, T, F> {
    pub(crate) fn new(sender: mpsc::Sender<Result<T, Status>>, message: F) -> Self {
        Self {
            sender,
            items: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            has_sent: false,
            message,
        }
    }

    pub(crate) fn add(&mut self, item: I, bytes: usize) -> bool {
        if self.items.is_empty() {
            self.since = Instant::now();
        }
        self.bytes += bytes;
        self.items.push(item);
        let is_due = self.bytes >= MESSAGE_BYTES || self.since.elapsed() >= MAX_AGE;
        !is_due || self.send()
    }

    /// Returns whether the reader still wants answers.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) fn send(&mut self) -> bool {
        self.items.is_empty() || self.send_amended(|_| {})
    }

    /// Sends the gathered items, even when there are none, in a message that `amend` completes.
    pub(crate) fn send_amended(&mut self, amend: impl FnOnce(&mut T)) -> bool {
        (self.bytes, self.has_sent) = (0, true);
        let mut message = (self.message)(std::mem::take(&mut self.items));
        amend(&mut message);
        self.blocking_send(Ok(message))
    }

    /// Sends a message. Some callers run within a future, whose thread may block only when it says
    /// so.
    fn blocking_send(&self, message: Result<T, Status>) -> bool {
        tokio::task::block_in_place(|| self.sender.blocking_send(message)).is_ok()
    }

    /// Ends the stream: sends the remaining items, and the failure if there is one. Without any
    /// items, sends one empty message, because it names the time that it is about.
    pub(crate) fn end(mut self, result: Result<(), Status>) {
        // What was found before a failure is still true.
        self.send();
        match result {
            Ok(()) if !self.has_sent => {
                self.send_amended(|_| {});
            }
            Ok(()) => {}
            Err(status) => {
                self.blocking_send(Err(status));
            }
        }
    }
}

/// Returns the messages that a thread sends. When a defect ends the thread, the stream ends with an
/// error, because answers are missing.
pub(crate) fn answers<T: Send + 'static>(
    messages: mpsc::Receiver<Result<T, Status>>,
    thread: JoinHandle<()>,
) -> Answers<T> {
    let end = stream::once(thread).filter_map(|ended| {
        let failed = ended.err().map(|error| Reason::Internal.status(error.to_string()));
        std::future::ready(failed.map(Err))
    });
    ReceiverStream::new(messages).chain(end).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(
        work: impl FnOnce(&mut Gather<u64, Vec<u64>, fn(Vec<u64>) -> Vec<u64>>) + Send + 'static,
    ) -> Answers<Vec<u64>> {
        let (sender, receiver) = mpsc::channel(2);
        let thread = tokio::task::spawn_blocking(move || {
            let mut gather = Gather::new(sender, (|items| items) as fn(Vec<u64>) -> Vec<u64>);
            work(&mut gather);
            gather.end(Ok(()));
        });
        answers(receiver, thread)
    }

    async fn all(answers: Answers<Vec<u64>>) -> (Vec<u64>, bool) {
        let messages: Vec<_> = answers.collect().await;
        let is_whole = messages.iter().all(Result::is_ok);
        (messages.into_iter().flatten().flatten().collect(), is_whole)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_messages_come_whether_or_not_they_are_made_within_a_future() {
        let numbers: Vec<u64> = (0..100).collect();
        let add = |gather: &mut Gather<_, _, _>| {
            assert!((0..100).all(|number| gather.add(number, MESSAGE_BYTES / 3)));
        };
        assert_eq!(all(gathered(add)).await, (numbers.clone(), true));
        let runtime = tokio::runtime::Handle::current();
        let within = move |gather: &mut Gather<_, _, _>| runtime.block_on(async { add(gather) });
        assert_eq!(all(gathered(within)).await, (numbers, true));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_defect_cut_off_does_not_look_whole() {
        let (found, is_whole) = all(gathered(|gather| {
            assert!(gather.add(1, MESSAGE_BYTES));
            panic!("a defect");
        }))
        .await;
        assert_eq!((found, is_whole), (vec![1], false));
    }
}
