-- The simulated gateway's own log: what it did, in the order it did it. Never changed.
CREATE TABLE charges (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    -- The idempotency key: the booking's id. One charge a key, whatever arrives how often.
    booking_id   TEXT NOT NULL UNIQUE,
    amount_minor INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    -- NULL: captured.
    decline_code TEXT,
    received_at  INTEGER NOT NULL
) STRICT;
CREATE TRIGGER charges_keep_facts BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'the gateway log is append-only'); END;
CREATE TRIGGER charges_keep_rows BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'the gateway log is append-only'); END;

CREATE TABLE refunds (
    seq          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    -- The idempotency key: the ledger's refund id.
    refund_id    TEXT NOT NULL UNIQUE,
    charge_id    TEXT NOT NULL REFERENCES charges (id),
    booking_id   TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency     TEXT NOT NULL,
    received_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX refunds_by_charge ON refunds (charge_id);
CREATE TRIGGER refunds_keep_facts BEFORE UPDATE ON refunds
BEGIN SELECT RAISE(ABORT, 'the gateway log is append-only'); END;
CREATE TRIGGER refunds_keep_rows BEFORE DELETE ON refunds
BEGIN SELECT RAISE(ABORT, 'the gateway log is append-only'); END;
