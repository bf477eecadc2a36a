//! How is a moment written and read? RFC 3339 in UTC with milliseconds.

use serde::{Serialize, Serializer};
use tapcode_core::time::Timestamp;

/// A moment as it is answered.
#[derive(Clone, Copy)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A moment beyond what the calendar holds cannot come from a clock; it is shown as the calendar's end.
        let moment = jiff::Timestamp::from_millisecond(self.0.as_millis()).unwrap_or(jiff::Timestamp::MAX);
        serializer.collect_str(&format_args!("{moment:.3}"))
    }
}

/// Reads a moment with any offset; parts of a millisecond are dropped.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(|t| Timestamp::from_millis(t.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_milliseconds_and_a_z_and_reads_back() {
        let json = |ms| serde_json::to_string(&Moment(Timestamp::from_millis(ms))).unwrap();
        assert_eq!(json(0), "\"1970-01-01T00:00:00.000Z\"");
        assert_eq!(json(1_790_000_000_120), "\"2026-09-21T14:13:20.120Z\"");
        assert_eq!(json(i64::MAX), json(i64::MAX - 1));
        assert_eq!(
            parse("2026-09-21T14:13:20.120Z"),
            Some(Timestamp::from_millis(1_790_000_000_120))
        );
        assert_eq!(
            parse("2026-09-21T16:13:20.12+02:00"),
            Some(Timestamp::from_millis(1_790_000_000_120))
        );
        assert_eq!(parse("yesterday"), None);
    }
}
