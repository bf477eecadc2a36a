//! How do commits travel? In batches: what arrives while one batch is being written is written as the next.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::contract::store::{BATCH_MAX, Commit, Store, StoreError};

/// Commits that may wait for the store at once; a further one waits to be let in, and its caller with it.
pub const WAITING_MAX: usize = 4_096;

type Waiting = (Commit, oneshot::Sender<Result<(), StoreError>>);

/// Hands commits to the store and tells each caller what became of its own.
#[derive(Clone, Debug)]
pub struct Committer {
    waiting: mpsc::Sender<Waiting>,
}

impl Committer {
    /// A committer, and the work that somebody must run: it ends when the last committer is dropped and all is written.
    pub fn new(store: Arc<dyn Store>) -> (Self, impl Future<Output = ()> + Send) {
        let (waiting, mut arrived) = mpsc::channel::<Waiting>(WAITING_MAX);
        let work = async move {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while arrived.recv_many(&mut batch, BATCH_MAX).await > 0 {
                let (commits, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                let mut results = store.commit(commits).await.into_iter();
                for caller in callers {
                    let result = results
                        .next()
                        .unwrap_or_else(|| Err(StoreError::unavailable("the store answered less than it was asked")));
                    // A caller that has gone does not need to know; what was written stays true.
                    let _gone = caller.send(result);
                }
            }
        };
        (Self { waiting }, work)
    }

    /// Writes a commit; returns once it is durable or certain not to be.
    ///
    /// # Errors
    /// [`StoreError::Conflict`]: decide again. [`StoreError::Unavailable`]: it cannot be known.
    pub async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let (done, told) = oneshot::channel();
        self.waiting
            .send((commit, done))
            .await
            .map_err(|_| StoreError::unavailable("the committer has stopped"))?;
        told.await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the committer has stopped")))
    }
}
