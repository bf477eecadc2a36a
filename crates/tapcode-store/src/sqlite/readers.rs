//! Who reads? A few connections of their own: reads never wait for the writer, nor the writer for them.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use crate::sqlite::{OpenError, SqliteOptions, schema};

/// A fixed number of connections. Whoever finds none waits for the next one; reads are short.
pub(super) struct Readers {
    free: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    pub(super) fn open(path: &Path, options: &SqliteOptions, count: usize) -> Result<Self, OpenError> {
        let free = (0..count.max(1))
            .map(|_| schema::open_reader(path, options))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            free: Mutex::new(free),
            returned: Condvar::new(),
        })
    }

    pub(super) fn take(&self) -> Reader<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .returned
            .wait_while(free, |free| free.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        Reader {
            connection: free.pop(),
            readers: self,
        }
    }
}

/// A connection on loan.
pub(super) struct Reader<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("a loan has its connection until it ends")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.readers
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}
