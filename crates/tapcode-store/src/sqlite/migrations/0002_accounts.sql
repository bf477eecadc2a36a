-- What is known of accounts at providers, and to whom they wrote; what parked receipts tell besides their kind.

-- One row per account: breakers, templates, limits. Replaced whole by compare-and-swap, rarely.
CREATE TABLE accounts (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    record BLOB NOT NULL,
    CONSTRAINT accounts_name PRIMARY KEY (name)
) STRICT, WITHOUT ROWID;

-- To whom an account, or the business it belongs to, wrote within an hour (hours since 1970). The recipient is the first
-- eight bytes of its key. Its primary key serves `written` and `sweep`.
CREATE TABLE written (
    hour INTEGER NOT NULL,
    portfolio TEXT NOT NULL,
    recipient INTEGER NOT NULL,
    CONSTRAINT written_once PRIMARY KEY (hour, portfolio, recipient)
) STRICT, WITHOUT ROWID;

-- The whole of what a receipt tells; `kind` stays what makes it one fact. Receipts of older releases have none.
ALTER TABLE parked
ADD COLUMN told BLOB;
