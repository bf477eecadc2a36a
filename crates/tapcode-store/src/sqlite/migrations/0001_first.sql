-- Everything that one commit writes: a recipient's document, what history shows of it, and the log.
-- Times are UTC milliseconds. Records are versioned and opaque here (src/record); a column beside a record is there
-- only because a query needs it.

-- One row per number and service. The key is a keyed hash, which lands anywhere in a tree; rows in the order of their
-- arrival keep what is under way together on few pages, and the tree of keys small enough to stay in the cache.
CREATE TABLE recipients (
    place INTEGER NOT NULL,
    key BLOB NOT NULL,
    version INTEGER NOT NULL,
    due_at INTEGER,
    document BLOB NOT NULL,
    CONSTRAINT recipients_place PRIMARY KEY (place),
    CONSTRAINT recipients_key UNIQUE (key)
) STRICT;

-- Serves `due` and `scheduled`. Partial: a document that waits for nothing costs nothing here.
CREATE INDEX recipients_due
ON recipients (due_at, key)
WHERE due_at IS NOT NULL;

-- Verifications and plain messages as they stand or ended. An id is a kind byte and 22 bytes that sort by time, so
-- inserts append, a sweep takes whole pages from the front, and created-at filters are ranges of the id.
CREATE TABLE history (
    id BLOB NOT NULL,
    recipient BLOB NOT NULL,
    scope TEXT NOT NULL,
    status INTEGER,
    purpose TEXT,
    finished_at INTEGER,
    snapshot BLOB NOT NULL,
    CONSTRAINT history_id PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- Serves `browse` of a service. Both columns never change, so an update of a row leaves it alone.
CREATE INDEX history_scope
ON history (scope, id);

-- Serves `browse` of one number.
CREATE INDEX history_recipient
ON history (recipient, id);

-- The outbox: its order is the order of commits. Places are given by the one writer within the transaction that
-- writes them, so no reader ever sees a place appear behind one that it has read.
CREATE TABLE log (
    place INTEGER NOT NULL,
    at INTEGER NOT NULL,
    subject BLOB,
    entry BLOB NOT NULL,
    CONSTRAINT log_place PRIMARY KEY (place)
) STRICT;

-- Serves `timeline`.
CREATE INDEX log_subject
ON log (subject, place)
WHERE subject IS NOT NULL;

-- Providers' names of our messages.
CREATE TABLE handles (
    sender TEXT NOT NULL,
    provider_message_id TEXT NOT NULL,
    recipient BLOB NOT NULL,
    message BLOB NOT NULL,
    CONSTRAINT handles_name PRIMARY KEY (sender, provider_message_id)
) STRICT, WITHOUT ROWID;

-- Serves `sweep`: a message's id sorts by time.
CREATE INDEX handles_message
ON handles (message);

-- Receipts that came before their message was known.
CREATE TABLE parked (
    place INTEGER NOT NULL,
    sender TEXT NOT NULL,
    provider_message_id TEXT NOT NULL,
    kind BLOB NOT NULL,
    until INTEGER NOT NULL,
    CONSTRAINT parked_place PRIMARY KEY (place),
    CONSTRAINT parked_once UNIQUE (sender, provider_message_id, kind)
) STRICT;

-- Serves `sweep`.
CREATE INDEX parked_until
ON parked (until);

-- Answers to idempotency keys.
CREATE TABLE remembered (
    key BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    answer BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT remembered_key PRIMARY KEY (key)
) STRICT, WITHOUT ROWID;

-- Serves `sweep`.
CREATE INDEX remembered_expires
ON remembered (expires_at);

-- API keys, by their digests.
CREATE TABLE keys (
    id BLOB NOT NULL,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    record BLOB NOT NULL,
    CONSTRAINT keys_id PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- Serves `key`, on every request.
CREATE INDEX keys_digest
ON keys (digest);

-- Numbers that outlive the rows they were taken from.
CREATE TABLE counters (
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    CONSTRAINT counters_name PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

-- The highest place in the log when a sweep last took some: a log that was swept empty does not start again at 1,
-- or readers would miss what they believe to have read.
INSERT INTO counters (name, value)
VALUES ('places_given', 0);

-- Changed to find out whether the database can be written to.
INSERT INTO counters (name, value)
VALUES ('pings', 0);
