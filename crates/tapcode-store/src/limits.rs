//! What does a store say when a bound of the contract is reached?

/// A bound that was reached: the thing itself is fine, and may be tried again when there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// [`tapcode_engine::contract::store::PARKED_MAX`].
    #[error("too many receipts wait for messages that are not known yet")]
    Parked,
    /// [`tapcode_engine::contract::store::PARKED_PER_MESSAGE_MAX`].
    #[error("too many receipts wait for one message that is not known yet")]
    ParkedForOneMessage,
}
