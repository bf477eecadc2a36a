//! How is a thing written down so that every later release can still read it?
//!
//! One leading byte says the version of the record, postcard follows. A record type is never changed once it has been
//! released: a new shape is a new type with the next version, and the old one keeps reading (`golden/` holds samples of
//! each for ever). Closed sets are written as the numbers in [`words`]; enums with content are written by position, and
//! the golden samples hold every variant of each, so a reordering is caught.
//!
//! The core's types know nothing of this: they have no serde on purpose.

mod account;
mod act;
mod endpoint;
mod entry;
mod key;
mod recipient;
mod snapshot;
mod statistics;
pub(crate) mod words;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not the record they should be. It repeats nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing at all.
    #[error("there is nothing to read")]
    Empty,
    /// A version that this release does not know: a newer release wrote it, or it is no record.
    #[error("no record of version {0} is known here")]
    Version(u8),
    /// The bytes end early, go on too long or make no sense.
    #[error("the bytes are no record of the version they claim")]
    Malformed,
    /// A number that stands for nothing.
    #[error("{1} stands for no {0}")]
    Number(&'static str, u8),
    /// A content that no such thing can have.
    #[error("no {0} can be like that")]
    Content(&'static str),
}

/// A row that cannot be read: what is in the store is not what a release of ours wrote there.
#[derive(Clone, Debug, thiserror::Error)]
#[error("row {id} of {table} has an unreadable {column}")]
pub struct Inconsistency {
    /// In which table.
    pub table: &'static str,
    /// In which column.
    pub column: &'static str,
    /// Which row, as far as it may be told: ids and places, the first bytes of a key.
    pub id: Box<str>,
    /// What is wrong with it.
    #[source]
    pub source: Unreadable,
}

/// Something that a store writes down as a versioned record.
pub trait Stored: Sized {
    /// The record, in the newest version.
    fn to_bytes(&self) -> Vec<u8>;

    /// Reads a record of any version that was ever released.
    ///
    /// # Errors
    /// [`Unreadable`], for any bytes that are no such record; never a panic.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable>;
}

fn write(version: u8, record: &impl Serialize) -> Vec<u8> {
    // Most records fit: a recipient with one verification takes about 300 bytes.
    let mut bytes = Vec::with_capacity(512);
    bytes.push(version);
    postcard::to_extend(record, bytes).expect("a record in memory can always be written down")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let (record, rest) = postcard::take_from_bytes(bytes).map_err(|_| Unreadable::Malformed)?;
    if rest.is_empty() {
        Ok(record)
    } else {
        Err(Unreadable::Malformed)
    }
}

/// The newest version is the one that is written; each older one is still read.
macro_rules! stored {
    ($type:ty, $newest:literal = $record:ty $(, $version:literal = $older:ty)*) => {
        impl crate::record::Stored for $type {
            fn to_bytes(&self) -> Vec<u8> {
                crate::record::write($newest, &<$record>::from(self))
            }

            fn from_bytes(bytes: &[u8]) -> Result<Self, crate::record::Unreadable> {
                match bytes.split_first() {
                    None => Err(crate::record::Unreadable::Empty),
                    Some((&$newest, rest)) => crate::record::read::<$record>(rest)?.try_into(),
                    $(Some((&$version, rest)) => crate::record::read::<$older>(rest)?.try_into(),)*
                    Some((version, _)) => Err(crate::record::Unreadable::Version(*version)),
                }
            }
        }
    };
}
use stored;

#[cfg(test)]
mod tests;
