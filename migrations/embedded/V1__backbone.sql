-- The embedded backbone. Times are Unix milliseconds. Rows whose entry is
-- settled go when they are trimmed, those of ids when they expire.

-- `floo`: a tool can tell what the file is.
PRAGMA application_id = 0x666c6f6f;

CREATE TABLE partitions (
    number   INTEGER PRIMARY KEY,
    flow     TEXT NOT NULL,
    idx      INTEGER NOT NULL,
    born     TEXT NOT NULL,
    -- Of the last entry that was appended: stream ids never go back, whatever
    -- the clock does.
    last_ms  INTEGER NOT NULL DEFAULT 0,
    -- The last entry that was handed out for the first time.
    read     INTEGER NOT NULL DEFAULT 0,
    open     INTEGER NOT NULL DEFAULT 0,
    decided  INTEGER NOT NULL DEFAULT 0,
    dead     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (flow, idx)
);

-- How many partitions a flow was first started with.
CREATE TABLE flow_partitions (
    flow       TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL
);

-- A stream id is (ms, position). AUTOINCREMENT: a position is never given twice.
CREATE TABLE log (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    partition  INTEGER NOT NULL REFERENCES partitions,
    ms         INTEGER NOT NULL,
    id         TEXT NOT NULL,
    body       BLOB NOT NULL,
    -- JSON, a list of pairs; NULL where there are none.
    attributes TEXT
);

CREATE INDEX log_by_partition ON log (partition, position);

-- What was handed out and is not settled.
CREATE TABLE pending (
    position   INTEGER PRIMARY KEY REFERENCES log,
    partition  INTEGER NOT NULL REFERENCES partitions,
    owner      TEXT NOT NULL,
    -- Of the owner's hold: when it was taken or last renewed.
    since      INTEGER NOT NULL,
    -- When it is handed out again; NULL while a worker holds it.
    due        INTEGER,
    deliveries INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    first_at   INTEGER,
    last_at    INTEGER,
    -- The last one, as JSON.
    fault      TEXT,
    suspected  INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX pending_by_time ON pending (partition, due, since);

-- By the first 16 bytes of the SHA-256 of the id.
CREATE TABLE ids (
    partition INTEGER NOT NULL REFERENCES partitions,
    hash      BLOB NOT NULL,
    body_hash BLOB NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('open', 'settled', 'dead')),
    ms        INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    -- What is remembered of the decision, as JSON.
    outcome   TEXT,
    expires   INTEGER,
    PRIMARY KEY (partition, hash)
) WITHOUT ROWID;

CREATE INDEX ids_by_expiry ON ids (expires) WHERE expires IS NOT NULL;

-- The id that an Idempotency-Key stands for, by the hash of the key.
CREATE TABLE idempotency_keys (
    partition INTEGER NOT NULL REFERENCES partitions,
    hash      BLOB NOT NULL,
    body_hash BLOB NOT NULL,
    id        TEXT NOT NULL,
    expires   INTEGER NOT NULL,
    PRIMARY KEY (partition, hash)
) WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires);
