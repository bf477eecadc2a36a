-- Where announcements are told.

-- One row per webhook endpoint: its address, how far it was told, what waits. Replaced whole by compare-and-swap.
CREATE TABLE endpoints (
    id BLOB NOT NULL,
    version INTEGER NOT NULL,
    record BLOB NOT NULL,
    CONSTRAINT endpoints_id PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
