-- Who bought what. The command is kept whole, as it stood on the booking log.
CREATE TABLE purchases (
    id                TEXT PRIMARY KEY,
    event_id          TEXT NOT NULL,
    account_id        TEXT NOT NULL,
    command           TEXT NOT NULL,
    payment           TEXT NOT NULL,
    status            TEXT NOT NULL,
    failure_code      TEXT,
    charge_id         TEXT,
    cancel_requested  INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    tickets           TEXT NOT NULL,
    refunds           TEXT NOT NULL,
    version           INTEGER NOT NULL,
    -- The outbox: outsiders have still to hear of what is newer than this.
    published_version INTEGER NOT NULL,
    submitted_at      INTEGER,
    updated_at        INTEGER NOT NULL,
    -- When the gateway is to be asked next; NULL when it has nothing more to say.
    next_try_at       INTEGER
) STRICT;
CREATE INDEX purchases_due ON purchases (next_try_at) WHERE next_try_at IS NOT NULL;
CREATE INDEX purchases_unpublished ON purchases (updated_at) WHERE published_version < version;

-- Who owns a place. A row is released, never deleted; the unique index is the sale's last word.
CREATE TABLE claims (
    event_id    TEXT NOT NULL,
    place       TEXT NOT NULL,
    booking_id  TEXT NOT NULL REFERENCES purchases (id),
    account_id  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('paying', 'sold')),
    revision    INTEGER NOT NULL,
    released_at INTEGER
) STRICT;
CREATE UNIQUE INDEX claims_live ON claims (event_id, place) WHERE released_at IS NULL;
CREATE INDEX claims_by_revision ON claims (event_id, revision);
CREATE INDEX claims_by_booking ON claims (booking_id);

-- One counter over all claims, so that a reader can ask for what changed since it looked.
CREATE TABLE claim_revision (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO claim_revision VALUES (1, 0);

-- Live claims of an account in an event: what the cap is checked against.
CREATE TABLE account_seats (
    event_id   TEXT NOT NULL,
    account_id TEXT NOT NULL,
    seats      INTEGER NOT NULL CHECK (seats >= 0),
    PRIMARY KEY (event_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
    id         TEXT PRIMARY KEY,
    booking_id TEXT NOT NULL REFERENCES purchases (id),
    event_id   TEXT NOT NULL,
    account_id TEXT NOT NULL,
    item       TEXT NOT NULL,
    seat       TEXT,
    label      TEXT NOT NULL,
    issue      INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('valid', 'used', 'void')),
    used_at    INTEGER
) STRICT;
CREATE INDEX tickets_by_booking ON tickets (booking_id);
