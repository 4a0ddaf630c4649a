-- The cold tier, as on Postgres: what is older than a flow's `hot` leaves
-- `decisions` for Parquet files. The archiver, another process, moves it.

DROP INDEX decisions_by_time;

-- When it happened, in Unix milliseconds. SQLite adds no column that has to be
-- given a value without a default; every insert gives one, since no older
-- version opens this file.
ALTER TABLE decisions ADD COLUMN at INTEGER NOT NULL DEFAULT 0;

-- Since then body is the JSON null, and output and attributes are NULL;
-- body_hash stays.
ALTER TABLE decisions ADD COLUMN erased_at INTEGER;

UPDATE decisions SET at = received_at;

-- Only events said when they happened. 'now' is a time to SQLite, too, and a
-- number is a Julian day.
UPDATE decisions
SET at = CAST(round(unixepoch(body ->> '$.occurred_at', 'subsec') * 1000) AS INTEGER)
WHERE flow = 'events'
  AND body ->> '$.occurred_at' GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
  AND unixepoch(body ->> '$.occurred_at') BETWEEN -62135596800 AND 253402207200;

CREATE INDEX decisions_at ON decisions (flow, at);

-- id_hash is the first 16 bytes of the SHA-256 of the id. A row is written
-- before the decision is deleted: for a while an id is known twice, never not
-- at all.
CREATE TABLE moved (
    flow      TEXT NOT NULL,
    id_hash   BLOB NOT NULL,
    body_hash BLOB NOT NULL,
    -- cold_files.number
    file      INTEGER NOT NULL,
    PRIMARY KEY (flow, id_hash)
) WITHOUT ROWID;

-- What lies in the cold tier, by UTC days of `at`. What a file is to have is
-- read after its row is committed: an entry is not erased from the ledger while
-- a file of its day is 'writing' or 'moving', because the file may have read
-- its body.
CREATE TABLE cold_files (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    flow       TEXT NOT NULL,
    -- YYYY-MM-DD
    day        TEXT NOT NULL,
    -- Below the place of the cold tier: <flow>/day=<day>/<number>.parquet
    path       TEXT NOT NULL,
    rows       INTEGER,
    bytes      INTEGER,
    first_at   INTEGER,
    last_at    INTEGER,
    -- Those of the flow file that it was written with, as JSON.
    columns    TEXT CHECK (json_valid(columns)),
    state      TEXT NOT NULL DEFAULT 'writing'
               CHECK (state IN ('writing', 'moving', 'cold', 'replaced')),
    -- Whether it took the place of others: its rows had left the ledger before.
    replaces   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- Since then the file is the truth for its rows.
    sealed_at  INTEGER,
    CHECK (state = 'writing' OR (
        rows IS NOT NULL AND bytes IS NOT NULL AND first_at IS NOT NULL
        AND last_at IS NOT NULL AND sealed_at IS NOT NULL
    ))
);

CREATE INDEX cold_files_by_day ON cold_files (flow, day);
