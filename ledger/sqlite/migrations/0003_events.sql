-- `position` is the order of creation. The layout stands last, so that reading a row without it
-- never touches its pages.
CREATE TABLE events (
    position                 INTEGER PRIMARY KEY,
    id                       TEXT NOT NULL UNIQUE,
    name                     TEXT NOT NULL,
    date                     TEXT NOT NULL,
    timezone                 TEXT NOT NULL,
    venue                    TEXT NOT NULL,
    on_sale_at               INTEGER NOT NULL,
    queue_id                 TEXT NOT NULL REFERENCES queues (id),
    hold_ttl_seconds         INTEGER NOT NULL,
    payment_deadline_seconds INTEGER NOT NULL,
    seats_per_account_max    INTEGER NOT NULL,
    layout_version           INTEGER NOT NULL,
    created_at               INTEGER NOT NULL,
    seat_generation          INTEGER NOT NULL DEFAULT 1,
    layout                   TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_queue ON events (queue_id);
