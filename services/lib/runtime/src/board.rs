//! A notice board: the latest value of something that one part of the program publishes.

use std::sync::Arc;

use tokio::sync::watch;

/// The latest value, and a way to wait for the next one. Clones are handles of the same board. Any
/// number of tasks and threads may read and write it; none waits for another for longer than a
/// change takes.
#[derive(Debug)]
pub struct Board<T>(Arc<watch::Sender<T>>);

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Board<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Board<T> {
    /// Makes a board that shows this value.
    pub fn new(initial: T) -> Self {
        Self(Arc::new(watch::Sender::new(initial)))
    }

    /// Returns the present value.
    pub fn now(&self) -> T
    where
        T: Clone,
    {
        self.0.borrow().clone()
    }

    /// Returns what `read` makes of the present value. `read` must be short, and must not use the
    /// board.
    pub fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.borrow())
    }

    /// Replaces the value, and notifies those who wait.
    pub fn set(&self, value: T) {
        self.0.send_replace(value);
    }

    /// Changes the value, and notifies those who wait. `change` must be short, and must not use the
    /// board.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        self.0.send_modify(change);
    }

    /// Changes the value like [`Board::change`], but notifies nobody when `change` returns false.
    /// Returns what `change` returned.
    pub fn change_if(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        self.0.send_if_modified(change)
    }

    /// Returns a receiver that is notified of changes.
    pub fn watch(&self) -> watch::Receiver<T> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_handles_show_the_latest_value_and_real_changes_are_told() {
        let board = Board::new(vec![1]);
        let (other, reader) = (board.clone(), board.watch());
        other.change(|list| list.push(2));
        assert_eq!((board.now(), board.read(Vec::len)), (vec![1, 2], 2));
        assert!(reader.has_changed().expect("the board is there"));
        let unchanged = board.watch();
        assert!(!board.change_if(|_| false));
        assert!(!unchanged.has_changed().expect("the board is there"));
        assert!(board.change_if(|list| list.pop().is_some()));
        assert!(unchanged.has_changed().expect("the board is there"));
        board.set(Vec::new());
        assert_eq!(other.now(), Vec::<i32>::new());
    }
}
