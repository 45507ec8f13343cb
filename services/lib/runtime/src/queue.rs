//! A queue bounded in bytes (I11): a slow receiver slows the sender down instead of growing the
//! process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Permits are counted in KiB, so that a queue of many GiB still fits the semaphore's counter.
const UNIT: usize = 1024;

/// The most items in a queue, whatever their bytes. This bounds the number of tiny or empty items.
const MAX_ITEMS: usize = 1024;

/// Makes a queue that holds at most `limit_bytes` of items, or a single larger item.
pub fn bounded<T>(limit_bytes: usize) -> (Sender<T>, Receiver<T>) {
    let units = (limit_bytes / UNIT).max(1);
    let (sender, receiver) = mpsc::channel(MAX_ITEMS);
    let room = Arc::new(Semaphore::new(units));
    (Sender { sender, room, units }, Receiver { receiver })
}

/// The error of a send when the receiver is gone. It holds the item that was not sent.
#[derive(Debug)]
pub struct Closed<T>(pub T);

/// The end of a queue that items are sent to.
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<Held<T>>,
    room: Arc<Semaphore>,
    units: usize,
}

impl<T> Sender<T> {
    /// Waits for room, and sends an item that counts as `bytes`. An item larger than the whole
    /// queue waits until the queue is empty.
    ///
    /// # Errors
    /// Returns [`Closed`] with the item when the receiver is gone.
    pub async fn send(&self, item: T, bytes: usize) -> Result<(), Closed<T>> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(units).await;
        let held = Held { item, _permit: permit.expect("the semaphore is never closed") };
        self.sender.send(held).await.map_err(|failed| Closed(failed.0.item))
    }
}

/// The end of a queue that items are received from.
#[derive(Debug)]
pub struct Receiver<T> {
    receiver: mpsc::Receiver<Held<T>>,
}

impl<T> Receiver<T> {
    /// Waits for the next item and returns it. `None` once every sender is gone and the queue is
    /// empty.
    pub async fn recv(&mut self) -> Option<Held<T>> {
        self.receiver.recv().await
    }
}

/// A received item. Its bytes count against the queue until this value is dropped.
#[derive(Debug)]
pub struct Held<T> {
    /// The item itself.
    pub item: T,
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_holds_the_sender_until_an_item_is_dropped() {
        let (sender, mut receiver) = bounded(10 * UNIT);
        sender.send(1, 8 * UNIT).await.expect("there is room");
        let waits = sender.send(2, 8 * UNIT);
        tokio::pin!(waits);
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut waits).await.is_err());
        let held = receiver.recv().await.expect("an item");
        assert!(tokio::time::timeout(soon, &mut waits).await.is_err(), "still held");
        drop(held);
        waits.await.expect("there is room now");
        assert_eq!(receiver.recv().await.expect("an item").item, 2);
    }

    #[tokio::test]
    async fn an_item_larger_than_the_queue_passes_alone() {
        let (sender, mut receiver) = bounded(2 * UNIT);
        sender.send("large", 100 * UNIT).await.expect("the queue is empty");
        assert_eq!(receiver.recv().await.expect("an item").item, "large");
        drop(receiver);
        assert!(sender.send("gone", 1).await.is_err());
    }
}
