//! What can go wrong between a caller and a provider, apart from a proper refusal?

use std::time::Duration;

/// A failure of the provider or of the network, happening to one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed and the request is not recorded, as if it had never arrived.
    /// (The bytes are read, since the number in them chooses the script; no message exists afterwards and no receipt follows.)
    CloseBeforeRead,
    /// The request is read and recorded, its message exists and its receipts follow; the connection is then closed without an answer.
    ReadThenClose,
    /// As [`Fault::ReadThenClose`], with a TCP reset instead of an orderly close.
    ReadThenReset,
    /// As [`Fault::ReadThenClose`], but the caller first waits this long for nothing.
    ReadThenHang(Duration),
    /// The request is read and recorded; an HTML error page with this status is the answer, as load balancers give.
    /// Whether a message exists is for the script's receipts to say.
    Html(u16),
    /// The request is read and recorded; the answer has the status of success and a body that is not JSON.
    Garbage,
    /// The request is read and recorded; the answer is the right one, but breaks off half way.
    CutShort,
}

impl Fault {
    /// Whether the stand-in knows of the request afterwards.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self != Self::CloseBeforeRead
    }
}
