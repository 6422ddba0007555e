-- Keyed requests: `status` is null while one is carried out under a lease.
CREATE TABLE requests (
    account      TEXT COLLATE "C" NOT NULL,
    route        TEXT COLLATE "C" NOT NULL,
    key          TEXT COLLATE "C" NOT NULL,
    body_hash    BYTEA NOT NULL,
    begun_at     BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    status       BIGINT,
    content_type TEXT,
    headers      TEXT,
    body         BYTEA,
    PRIMARY KEY (account, route, key)
);
CREATE INDEX requests_by_age ON requests (begun_at);
