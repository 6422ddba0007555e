-- A queue's settings, and how far it has come. `generation` is raised when the fast copy is lost;
-- leases, steps and admissions are refused under an older one.
CREATE TABLE queues (
    id                   TEXT PRIMARY KEY,
    state                TEXT NOT NULL,
    rate_per_minute      INTEGER NOT NULL,
    capacity             INTEGER NOT NULL,
    claim_window_seconds INTEGER NOT NULL,
    return_seconds       INTEGER NOT NULL,
    session_seconds      INTEGER NOT NULL,
    opens_at             INTEGER NOT NULL,
    revision             INTEGER NOT NULL DEFAULT 1,
    generation           INTEGER NOT NULL DEFAULT 1,
    leased_to            INTEGER NOT NULL DEFAULT 0,
    lease_start          INTEGER NOT NULL DEFAULT 0,
    now_serving          INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What a queue's settings were, and since when: one row at its creation and one per patch.
CREATE TABLE queue_limits (
    queue_id             TEXT NOT NULL REFERENCES queues (id),
    revision             INTEGER NOT NULL,
    at                   INTEGER NOT NULL,
    state                TEXT NOT NULL,
    rate_per_minute      INTEGER NOT NULL,
    capacity             INTEGER NOT NULL,
    claim_window_seconds INTEGER NOT NULL,
    return_seconds       INTEGER NOT NULL,
    session_seconds      INTEGER NOT NULL,
    PRIMARY KEY (queue_id, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_steps (
    queue_id        TEXT NOT NULL REFERENCES queues (id),
    now_serving     INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    granting_millis INTEGER NOT NULL,
    PRIMARY KEY (queue_id, now_serving)
) STRICT, WITHOUT ROWID;

CREATE INDEX queue_steps_by_time ON queue_steps (queue_id, granting_millis);

CREATE TABLE admissions (
    queue_id   TEXT NOT NULL REFERENCES queues (id),
    number     INTEGER NOT NULL CHECK (number > 0),
    account_id TEXT NOT NULL,
    at         INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    ended_at   INTEGER,
    source     TEXT NOT NULL,
    PRIMARY KEY (queue_id, number)
) STRICT, WITHOUT ROWID;

-- The facts never change: only the end of a slot is written later, once.
CREATE TRIGGER admissions_kept BEFORE DELETE ON admissions
BEGIN
    SELECT RAISE(ABORT, 'admissions are kept for ever');
END;

CREATE TRIGGER admissions_facts BEFORE UPDATE ON admissions
WHEN NEW.queue_id IS NOT OLD.queue_id OR NEW.number IS NOT OLD.number
    OR NEW.account_id IS NOT OLD.account_id OR NEW.at IS NOT OLD.at
    OR NEW.until IS NOT OLD.until OR NEW.source IS NOT OLD.source
    OR OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
BEGIN
    SELECT RAISE(ABORT, 'the facts of an admission never change');
END;

CREATE TRIGGER queue_limits_kept BEFORE DELETE ON queue_limits
BEGIN
    SELECT RAISE(ABORT, 'the history of a queue is kept for ever');
END;

CREATE TRIGGER queue_limits_facts BEFORE UPDATE ON queue_limits
BEGIN
    SELECT RAISE(ABORT, 'the history of a queue never changes');
END;

CREATE TRIGGER queue_steps_kept BEFORE DELETE ON queue_steps
BEGIN
    SELECT RAISE(ABORT, 'steps are kept for ever');
END;

CREATE TRIGGER queue_steps_facts BEFORE UPDATE ON queue_steps
BEGIN
    SELECT RAISE(ABORT, 'a step never changes');
END;
