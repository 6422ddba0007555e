//! Threads that read: each takes the next look that waits, and answers it.
use super::connection::Connection;
use super::fault::failed;
use ledger::{StoreError, lock, wait};
use rusqlite::Error;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Threads that read; a look is short and never waits for the writer.
const READERS_MAX: usize = 4;
/// Looks that may wait for a reader; more are refused as unavailable.
const QUEUE_MAX: usize = 65_536;

type Look = Box<dyn FnOnce(&Connection) + Send>;

/// Connections whose threads have not begun.
pub(super) struct Opened(Vec<Connection>);

/// The looks that wait. Dropped, it ends the threads.
pub(super) struct Readers(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    looks: VecDeque<Look>,
    closed: bool,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Opened, Error> {
        let open = |_| {
            let connection = Connection::open(path)?;
            connection.make_read_only()?;
            Ok(connection)
        };
        (0..READERS_MAX).map(open).collect::<Result<_, _>>().map(Opened)
    }

    /// Has a thread run `look`; all of it is one hand-over there and one back.
    pub(super) async fn read<T, F>(&self, doing: &'static str, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (to, from) = oneshot::channel();
        // Whoever asked may have gone.
        let look = move |connection: &Connection| {
            if !to.is_closed() {
                drop(to.send(look(connection)));
            }
        };
        if !self.0.push(Box::new(look)) {
            return Err(StoreError::unavailable(doing, "the readers take nothing more"));
        }
        let seen = from.await.map_err(|error| StoreError::unavailable(doing, error))?;
        seen.map_err(|error| failed(doing, error))
    }

    /// Takes nothing more; what waits is still answered.
    pub(super) fn close(&self) {
        self.0.state().closed = true;
        self.0.more.notify_all();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Opened {
    pub(super) fn start(self, threads: &TaskTracker) -> std::io::Result<Readers> {
        let readers = Readers(Arc::default());
        for connection in self.0 {
            let (queue, token) = (readers.0.clone(), threads.token());
            let reading = move || {
                while let Some(look) = queue.next() {
                    look(&connection);
                }
                drop((connection, token));
            };
            std::thread::Builder::new().name("sqlite-reader".into()).spawn(reading)?;
        }
        Ok(readers)
    }
}

impl Queue {
    /// False when no more looks are taken.
    fn push(&self, look: Look) -> bool {
        let mut state = self.state();
        let takes = !state.closed && state.looks.len() < QUEUE_MAX;
        if takes {
            state.looks.push_back(look);
        }
        drop(state);
        self.more.notify_one();
        takes
    }

    /// The next look; `None` once there will be none.
    fn next(&self) -> Option<Look> {
        let mut state = self.state();
        loop {
            if let Some(look) = state.looks.pop_front() {
                return Some(look);
            }
            if state.closed {
                return None;
            }
            state = wait(&self.more, state);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
