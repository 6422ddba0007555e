-- The holds of the local seat store: the last row of a hold counts, NULL ends it.
CREATE TABLE seat_journal (
    seq      INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    hold_id  TEXT NOT NULL,
    hold     TEXT
) STRICT;
CREATE INDEX seat_journal_by_hold ON seat_journal (event_id, hold_id);
