-- What was done with tickets at the gates.
CREATE TABLE ticket_uses (
    position   BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    ticket_id  TEXT COLLATE "C" NOT NULL REFERENCES tickets (id),
    action     TEXT NOT NULL CHECK (action IN ('scan', 'unscan')),
    at         BIGINT NOT NULL,
    by_account TEXT COLLATE "C" NOT NULL,
    gate       TEXT,
    reason     TEXT
);
CREATE INDEX ticket_uses_by_ticket ON ticket_uses (ticket_id, position);

CREATE TRIGGER ticket_uses_facts BEFORE UPDATE ON ticket_uses
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ticket_uses_kept BEFORE DELETE ON ticket_uses
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ticket_uses_whole BEFORE TRUNCATE ON ticket_uses
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE ticket_uses ENABLE ALWAYS TRIGGER ticket_uses_facts;
ALTER TABLE ticket_uses ENABLE ALWAYS TRIGGER ticket_uses_kept;
ALTER TABLE ticket_uses ENABLE ALWAYS TRIGGER ticket_uses_whole;
