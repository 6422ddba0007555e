-- What owners read. May be emptied and rebuilt from the books at any time.
CREATE TABLE booking_views (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL,
    placed_at  BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    booking    TEXT NOT NULL
);
CREATE INDEX booking_views_by_account ON booking_views (account_id, placed_at DESC, id DESC);

CREATE TABLE ticket_views (
    ticket_id  TEXT COLLATE "C" PRIMARY KEY,
    booking_id TEXT COLLATE "C" NOT NULL
);
