-- Who bought what. The command is kept whole, as it stood on the booking log.
CREATE TABLE purchases (
    id                TEXT COLLATE "C" PRIMARY KEY,
    event_id          TEXT COLLATE "C" NOT NULL,
    account_id        TEXT COLLATE "C" NOT NULL,
    command           TEXT NOT NULL,
    payment           TEXT NOT NULL,
    status            TEXT NOT NULL,
    failure_code      TEXT,
    charge_id         TEXT,
    cancel_requested  BOOLEAN NOT NULL,
    tickets           TEXT NOT NULL,
    refunds           TEXT NOT NULL,
    version           BIGINT NOT NULL,
    -- The outbox: outsiders have still to hear of what is newer than this.
    published_version BIGINT NOT NULL,
    submitted_at      BIGINT,
    updated_at        BIGINT NOT NULL,
    -- When the gateway is to be asked next; NULL when it has nothing more to say.
    next_try_at       BIGINT
);
CREATE INDEX purchases_due ON purchases (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX purchases_unpublished ON purchases (updated_at) WHERE published_version < version;

-- Who owns a place. A row is released, never deleted; the unique index is the sale's last word.
-- `revision` is the transaction that changed the row last. Numbers of a sequence become visible
-- in any order; of transactions the database itself knows which are over.
CREATE TABLE claims (
    event_id    TEXT COLLATE "C" NOT NULL,
    place       TEXT COLLATE "C" NOT NULL,
    booking_id  TEXT COLLATE "C" NOT NULL REFERENCES purchases (id),
    account_id  TEXT COLLATE "C" NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('paying', 'sold')),
    revision    BIGINT NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    released_at BIGINT,
    PRIMARY KEY (booking_id, place)
);
CREATE UNIQUE INDEX claims_live ON claims (event_id, place) WHERE released_at IS NULL;
CREATE INDEX claims_by_revision ON claims (event_id, revision);

-- Live claims of an account in an event: what the cap is checked against.
CREATE TABLE account_seats (
    event_id   TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    seats      BIGINT NOT NULL CHECK (seats >= 0),
    PRIMARY KEY (event_id, account_id)
);

CREATE TABLE tickets (
    position   BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    id         TEXT COLLATE "C" PRIMARY KEY,
    booking_id TEXT COLLATE "C" NOT NULL REFERENCES purchases (id),
    event_id   TEXT COLLATE "C" NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    item       TEXT COLLATE "C" NOT NULL,
    seat       TEXT COLLATE "C",
    label      TEXT NOT NULL,
    issue      BIGINT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('valid', 'used', 'void')),
    used_at    BIGINT
);
