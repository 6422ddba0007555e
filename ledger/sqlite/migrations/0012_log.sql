-- The booking log: every topic in one order of appending.
CREATE TABLE log (
    seq          INTEGER PRIMARY KEY,
    topic        TEXT NOT NULL,
    key          TEXT NOT NULL,
    type         TEXT NOT NULL,
    value        BLOB NOT NULL,
    appended_at  INTEGER NOT NULL,
    -- For a dead letter: where it stood and why it could not be read.
    source_topic TEXT,
    source_seq   INTEGER,
    reason       TEXT
) STRICT;
-- Entries of an index end in the row's seq, so this one is (topic, seq).
CREATE INDEX log_by_topic ON log (topic);
CREATE UNIQUE INDEX log_dead_once ON log (source_topic, source_seq) WHERE source_seq IS NOT NULL;
CREATE TRIGGER log_keeps_facts BEFORE UPDATE ON log
BEGIN SELECT RAISE(ABORT, 'the booking log is append-only'); END;

-- How far each group has read: everything up to seq has had its effect.
CREATE TABLE log_offsets (
    reader TEXT NOT NULL,
    topic  TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (reader, topic)
) STRICT, WITHOUT ROWID;
