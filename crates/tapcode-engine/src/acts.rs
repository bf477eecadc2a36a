//! What did administrators do? An act is written in the commit of what it did; one that changes nothing here is written by itself.

use tapcode_core::audit::{Act, By, Deed, Object};

use crate::contract::store::{Place, StoreError};
use crate::engine::Engine;
use crate::entropy::sixteen;

impl Engine {
    /// An act that happens now; put it into the commit of what it does, or hand it to [`Engine::record_act`].
    #[must_use]
    pub fn act(&self, by: &By, deed: Deed, object: &Object) -> Act {
        Act::new(self.now(), sixteen(&*self.inner.entropy), *by, deed, object)
    }

    /// Writes down an act that has no commit: what a provider is asked, before it is asked, and what is only read, before
    /// it is handed out.
    ///
    /// # Errors
    /// When the store cannot be asked; then it must not be done.
    pub async fn record_act(&self, act: &Act) -> Result<(), StoreError> {
        self.inner.store.record_act(act).await
    }

    /// Acts before a place, newest first.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn acts(&self, before: Option<Place>, limit: usize) -> Result<Vec<(Place, Act)>, StoreError> {
        self.inner.store.acts(before, limit).await
    }
}
