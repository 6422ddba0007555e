-- Refuses what would change or remove a row of an append-only table.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

-- The facts of an admission never change: only the end of a slot is written later, once.
CREATE FUNCTION refuse_new_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.queue_id, NEW.number, NEW.account_id, NEW.at, NEW.until, NEW.source)
            IS DISTINCT FROM
            (OLD.queue_id, OLD.number, OLD.account_id, OLD.at, OLD.until, OLD.source)
        OR OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL
    THEN
        RAISE EXCEPTION 'the facts of an admission never change';
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE queues (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    state                TEXT NOT NULL,
    rate_per_minute      BIGINT NOT NULL,
    capacity             BIGINT NOT NULL,
    claim_window_seconds BIGINT NOT NULL,
    return_seconds       BIGINT NOT NULL,
    session_seconds      BIGINT NOT NULL,
    opens_at             BIGINT NOT NULL,
    revision             BIGINT NOT NULL
);

-- Leases, steps and admissions hold this row FOR SHARE and are refused under an older generation.
-- It has a row of its own so that they wait for nobody but who raises the generation: what they
-- write stands elsewhere.
CREATE TABLE queue_generations (
    queue_id   TEXT COLLATE "C" PRIMARY KEY REFERENCES queues (id),
    generation BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE queue_leases (
    queue_id    TEXT COLLATE "C" PRIMARY KEY REFERENCES queues (id),
    leased_to   BIGINT NOT NULL DEFAULT 0,
    lease_start BIGINT NOT NULL DEFAULT 0
);

-- The greatest step.
CREATE TABLE queue_serving (
    queue_id    TEXT COLLATE "C" PRIMARY KEY REFERENCES queues (id),
    now_serving BIGINT NOT NULL DEFAULT 0
);

-- What a queue's settings were, and since when: one row at its creation and one per patch.
CREATE TABLE queue_limits (
    queue_id             TEXT COLLATE "C" NOT NULL REFERENCES queues (id),
    revision             BIGINT NOT NULL,
    at                   BIGINT NOT NULL,
    state                TEXT NOT NULL,
    rate_per_minute      BIGINT NOT NULL,
    capacity             BIGINT NOT NULL,
    claim_window_seconds BIGINT NOT NULL,
    return_seconds       BIGINT NOT NULL,
    session_seconds      BIGINT NOT NULL,
    PRIMARY KEY (queue_id, revision)
);

-- No foreign key here nor on admissions: the generation's row, held FOR SHARE, says as much, and
-- the queue's row stays out of the way of a crowd.
CREATE TABLE queue_steps (
    queue_id        TEXT COLLATE "C" NOT NULL,
    now_serving     BIGINT NOT NULL,
    at              BIGINT NOT NULL,
    granting_millis BIGINT NOT NULL,
    PRIMARY KEY (queue_id, now_serving)
);
CREATE INDEX queue_steps_by_time ON queue_steps (queue_id, granting_millis);

CREATE TABLE admissions (
    queue_id   TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL CHECK (number > 0),
    account_id TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    until      BIGINT NOT NULL,
    ended_at   BIGINT,
    source     TEXT NOT NULL,
    PRIMARY KEY (queue_id, number)
);

CREATE TRIGGER admissions_facts BEFORE UPDATE ON admissions
    FOR EACH ROW EXECUTE FUNCTION refuse_new_facts();
CREATE TRIGGER admissions_kept BEFORE DELETE ON admissions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER admissions_whole BEFORE TRUNCATE ON admissions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_limits_facts BEFORE UPDATE ON queue_limits
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_limits_kept BEFORE DELETE ON queue_limits
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_limits_whole BEFORE TRUNCATE ON queue_limits
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_steps_facts BEFORE UPDATE ON queue_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_steps_kept BEFORE DELETE ON queue_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER queue_steps_whole BEFORE TRUNCATE ON queue_steps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Also where `session_replication_role` would let ordinary triggers pass.
ALTER TABLE admissions ENABLE ALWAYS TRIGGER admissions_facts;
ALTER TABLE admissions ENABLE ALWAYS TRIGGER admissions_kept;
ALTER TABLE admissions ENABLE ALWAYS TRIGGER admissions_whole;
ALTER TABLE queue_limits ENABLE ALWAYS TRIGGER queue_limits_facts;
ALTER TABLE queue_limits ENABLE ALWAYS TRIGGER queue_limits_kept;
ALTER TABLE queue_limits ENABLE ALWAYS TRIGGER queue_limits_whole;
ALTER TABLE queue_steps ENABLE ALWAYS TRIGGER queue_steps_facts;
ALTER TABLE queue_steps ENABLE ALWAYS TRIGGER queue_steps_kept;
ALTER TABLE queue_steps ENABLE ALWAYS TRIGGER queue_steps_whole;
