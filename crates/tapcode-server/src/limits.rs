//! How much may one request be, hold or take? Every bound of the HTTP side, by name.

/// Largest body of an API request, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a caller may take to send a body. Milliseconds.
pub const BODY_MS_MAX: u64 = 10_000;
/// Deepest nesting of a JSON body: ours need five levels.
pub const JSON_DEPTH_MAX: usize = 32;
/// Most members of one JSON object, and most items of one array: keeps the search for duplicates short.
pub const JSON_ITEMS_MAX: usize = 256;
/// Most mistakes named in one answer.
pub const ERRORS_MAX: usize = 50;
/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Longest request id that is taken over from a caller, in characters.
pub const REQUEST_ID_MAX: usize = 128;
/// Most items of a page, and how many without a `limit`.
pub const PAGE_MAX: u64 = 100;
/// Items of a page without a `limit`.
pub const PAGE_DEFAULT: u64 = 20;
/// Longest text of a plain SMS, in characters: what Twilio's Messages API takes
/// (<https://www.twilio.com/docs/messaging/api/message-resource>, as in the facts read 2026-11-22).
pub const SMS_BODY_CHARS_MAX: usize = 1_600;
/// Longest code in a WhatsApp authentication template, in characters
/// (<https://developers.facebook.com/docs/whatsapp/business-management-api/authentication-templates>, as in the facts read 2026-11-22).
pub const TEMPLATE_CODE_CHARS_MAX: usize = 15;
/// Longest `timeout_ms` of `?wait=`.
pub const WAIT_MS_MAX: u64 = 60_000;
/// `timeout_ms` of a `?wait=` that names none: the ten seconds of the document that this project started from.
pub const WAIT_MS_DEFAULT: u64 = 10_000;
/// Most requests that may be held by `?wait=` at once.
pub const WAITS_MAX: usize = 4_096;
/// Most event streams at once.
pub const STREAMS_MAX: usize = 256;
/// Pieces of a stream that wait for a slow reader, one page of the log each at most.
pub const STREAM_PIECES_MAX: usize = 8;
/// How long a stream waits for a reader that takes nothing before it is ended. Milliseconds.
pub const SLOW_READER_MS: u64 = 10_000;
/// How often a silent stream says that it is alive, and looks for what another node wrote. Milliseconds.
pub const KEEP_ALIVE_MS: u64 = 15_000;
/// How often a stream looks at the log without having been told: other nodes write too. Milliseconds.
pub const STREAM_LOOK_MS: u64 = 1_000;
/// Log entries that one read of the store returns to a reader of events.
pub const LOG_ROWS: usize = 500;
/// Most log entries that one request for events looks at; the cursor then says how far it came.
pub const LOG_ROWS_MAX: usize = 5_000;
/// Most groups that one answer of statistics has.
pub const STATISTICS_GROUPS_MAX: usize = 5_000;
/// How long `/readyz` waits for the store. Milliseconds.
pub const READY_MS_MAX: u64 = 2_000;
/// How long an answer of `/readyz` is believed. Milliseconds.
pub const READY_BELIEVED_MS: u64 = 1_000;
/// Longest label of an API key, in bytes.
pub const KEY_LABEL_MAX: usize = 100;
/// Most requests per second, and at once, that a key's own limit may be.
pub const KEY_REQUESTS_MAX: u32 = 100_000;
/// Longest locale, in characters: RFC 5646 section 4.4.1 asks for room for 35.
pub const LOCALE_MAX: usize = 35;
/// Longest user agent that is kept, in bytes.
pub const USER_AGENT_MAX: usize = 512;
/// Longest origin: a scheme, a host name of 253 characters and a port.
pub const ORIGIN_MAX: usize = 270;
