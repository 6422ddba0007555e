-- What was done with tickets at the gates.
CREATE TABLE ticket_uses (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    ticket_id  TEXT NOT NULL REFERENCES tickets (id),
    action     TEXT NOT NULL CHECK (action IN ('scan', 'unscan')),
    at         INTEGER NOT NULL,
    by_account TEXT NOT NULL,
    gate       TEXT,
    reason     TEXT
) STRICT;
CREATE INDEX ticket_uses_by_ticket ON ticket_uses (ticket_id, seq);

CREATE TRIGGER ticket_uses_keep_rows BEFORE DELETE ON ticket_uses
BEGIN SELECT RAISE(ABORT, 'ticket_uses are append-only'); END;
CREATE TRIGGER ticket_uses_keep_facts BEFORE UPDATE ON ticket_uses
BEGIN SELECT RAISE(ABORT, 'ticket_uses are append-only'); END;
