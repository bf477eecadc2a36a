-- When keys were last used and when they end; what administrators did.

-- Beside the record, because it is written without it: at most once in some minutes per key.
ALTER TABLE keys
ADD COLUMN used_at INTEGER;

-- From when on the key is good for nothing. Keys that older releases revoked have none, and stay.
ALTER TABLE keys
ADD COLUMN ends_at INTEGER;

-- Serves `sweep`. Partial: most keys have no end.
CREATE INDEX keys_ends
ON keys (ends_at)
WHERE ends_at IS NOT NULL;

-- The version of all keys together.
INSERT INTO counters (name, value)
VALUES ('keys_version', 0);

-- How many acts were ever written: an act's place is a cursor, and is not given again after a sweep.
INSERT INTO counters (name, value)
VALUES ('acts_given', 0);

-- Acts of administrators.
CREATE TABLE acts (
    place INTEGER NOT NULL,
    at INTEGER NOT NULL,
    record BLOB NOT NULL,
    CONSTRAINT acts_place PRIMARY KEY (place)
) STRICT;
