-- Double entry, written once: the cause is a booking or a refund.
CREATE TABLE transfers (
    cause TEXT NOT NULL,
    kind  TEXT NOT NULL CHECK (kind IN ('capture', 'refund')),
    at    INTEGER NOT NULL,
    PRIMARY KEY (cause, kind)
) STRICT;

-- Positive is debit, negative is credit; the legs of a transfer sum to zero per currency.
CREATE TABLE legs (
    cause    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    ordinal  INTEGER NOT NULL,
    account  TEXT NOT NULL,
    minor    INTEGER NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (cause, kind, ordinal),
    FOREIGN KEY (cause, kind) REFERENCES transfers (cause, kind)
) STRICT;

CREATE TRIGGER transfers_keep_rows BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER transfers_keep_facts BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'transfers are append-only'); END;
CREATE TRIGGER legs_keep_rows BEFORE DELETE ON legs
BEGIN SELECT RAISE(ABORT, 'legs are append-only'); END;
CREATE TRIGGER legs_keep_facts BEFORE UPDATE ON legs
BEGIN SELECT RAISE(ABORT, 'legs are append-only'); END;
