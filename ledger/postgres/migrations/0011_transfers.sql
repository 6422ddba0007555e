-- Double entry, written once: the cause is a booking or a refund.
CREATE TABLE transfers (
    position BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    cause    TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL CHECK (kind IN ('capture', 'refund')),
    at       BIGINT NOT NULL,
    PRIMARY KEY (cause, kind)
);

-- Positive is debit, negative is credit; the legs of a transfer sum to zero per currency.
CREATE TABLE legs (
    cause    TEXT COLLATE "C" NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    ordinal  BIGINT NOT NULL,
    account  TEXT COLLATE "C" NOT NULL,
    minor    BIGINT NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (cause, kind, ordinal),
    FOREIGN KEY (cause, kind) REFERENCES transfers (cause, kind)
);

CREATE TRIGGER transfers_facts BEFORE UPDATE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_kept BEFORE DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transfers_whole BEFORE TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER legs_facts BEFORE UPDATE ON legs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER legs_kept BEFORE DELETE ON legs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER legs_whole BEFORE TRUNCATE ON legs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_facts;
ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_kept;
ALTER TABLE transfers ENABLE ALWAYS TRIGGER transfers_whole;
ALTER TABLE legs ENABLE ALWAYS TRIGGER legs_facts;
ALTER TABLE legs ENABLE ALWAYS TRIGGER legs_kept;
ALTER TABLE legs ENABLE ALWAYS TRIGGER legs_whole;
