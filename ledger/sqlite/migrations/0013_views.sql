-- What owners read. May be emptied and rebuilt from the books at any time.
CREATE TABLE booking_views (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    placed_at  INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    booking    TEXT NOT NULL
) STRICT;
CREATE INDEX booking_views_by_account ON booking_views (account_id, placed_at DESC, id DESC);

CREATE TABLE ticket_views (
    ticket_id  TEXT PRIMARY KEY,
    booking_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
