-- Ids compare by their bytes everywhere, as they do in the program: hence the collation.
CREATE TABLE accounts (
    id            TEXT COLLATE "C" PRIMARY KEY,
    username      TEXT COLLATE "C" NOT NULL UNIQUE,
    password_hash TEXT,
    role          TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
