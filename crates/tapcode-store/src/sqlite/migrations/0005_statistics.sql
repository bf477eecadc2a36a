-- What the lines of the log add up to.

-- One row per hour or day (span 0 or 1, counted since 1970) and group; replaced whole when more of the log was counted.
-- The primary key serves `tallies` and takes what is past keeping from the front. How much of the log is in it is the
-- counter `counted_through`.
CREATE TABLE tallies (
    span INTEGER NOT NULL,
    start INTEGER NOT NULL,
    counted BLOB NOT NULL,
    tally BLOB NOT NULL,
    CONSTRAINT tallies_group PRIMARY KEY (span, start, counted)
) STRICT, WITHOUT ROWID;
