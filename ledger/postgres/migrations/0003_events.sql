-- `position` is the order of creation.
CREATE TABLE events (
    position                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                       TEXT COLLATE "C" NOT NULL UNIQUE,
    name                     TEXT NOT NULL,
    date                     TEXT NOT NULL,
    timezone                 TEXT NOT NULL,
    venue                    TEXT NOT NULL,
    on_sale_at               BIGINT NOT NULL,
    queue_id                 TEXT COLLATE "C" NOT NULL REFERENCES queues (id),
    hold_ttl_seconds         BIGINT NOT NULL,
    payment_deadline_seconds BIGINT NOT NULL,
    seats_per_account_max    BIGINT NOT NULL,
    layout_version           BIGINT NOT NULL,
    created_at               BIGINT NOT NULL,
    seat_generation          BIGINT NOT NULL DEFAULT 1,
    layout                   TEXT NOT NULL
);
CREATE INDEX events_by_queue ON events (queue_id, position);
