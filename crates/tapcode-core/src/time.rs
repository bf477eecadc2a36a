//! What is a moment here? UTC milliseconds, handed in by the caller: nothing in this crate reads a clock.

use std::fmt;

/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The beginning of an hour, counted since the Unix epoch.
    #[must_use]
    pub fn from_hour(hour: u32) -> Self {
        Self(0).plus_millis(u64::from(hour) * HOUR_MS)
    }

    /// The hour that it is in, counted since the Unix epoch; 0 for what was before.
    #[must_use]
    pub fn hour(self) -> u32 {
        let millis = u64::try_from(self.0).unwrap_or(0);
        u32::try_from(millis / HOUR_MS).unwrap_or(u32::MAX)
    }

    /// This moment and `millis` milliseconds later, without overflow.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add_unsigned(millis))
    }

    /// This moment and `millis` milliseconds earlier, without overflow.
    #[must_use]
    pub const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(millis))
    }

    /// Milliseconds from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 { self.0.abs_diff(earlier.0) } else { 0 }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}
