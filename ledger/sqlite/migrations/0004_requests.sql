-- Keyed requests: `status` is null while one is carried out under a lease.
CREATE TABLE requests (
    account      TEXT NOT NULL,
    route        TEXT NOT NULL,
    key          TEXT NOT NULL,
    body_hash    BLOB NOT NULL,
    begun_at     INTEGER NOT NULL,
    lease_until  INTEGER NOT NULL,
    status       INTEGER,
    content_type TEXT,
    headers      TEXT,
    body         BLOB,
    PRIMARY KEY (account, route, key)
) STRICT;

CREATE INDEX requests_by_age ON requests (begun_at);
