-- The embedded ledger: the tables of the ledger on Postgres, with the same
-- names and columns. Times are Unix milliseconds; lists are JSON.

CREATE TABLE decisions (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    flow            TEXT NOT NULL,
    id              TEXT NOT NULL,
    body            TEXT NOT NULL CHECK (json_valid(body)),
    body_hash       BLOB NOT NULL,
    score           REAL,
    label           TEXT CHECK (label IN ('high', 'low')),
    label_name      TEXT,
    reasons         TEXT NOT NULL CHECK (json_valid(reasons)),
    output          TEXT,
    oracles         TEXT NOT NULL CHECK (json_valid(oracles)),
    flow_digest     TEXT NOT NULL,
    settings_digest TEXT,
    threshold       REAL NOT NULL,
    inference_us    REAL NOT NULL,
    stream_id       TEXT NOT NULL,
    received_at     INTEGER NOT NULL,
    decided_at      INTEGER NOT NULL,
    attributes      TEXT,
    UNIQUE (flow, id)
);

CREATE INDEX decisions_by_time ON decisions (flow, decided_at);

-- One for each entry that was given up, and one for each downstream that a
-- decision could not be delivered to.
CREATE TABLE dead_letters (
    -- No death ever has the number of an earlier one.
    generation  INTEGER PRIMARY KEY AUTOINCREMENT,
    flow        TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    stream_id   TEXT NOT NULL,
    downstream  TEXT NOT NULL DEFAULT '',
    id          TEXT NOT NULL,
    body        BLOB NOT NULL,
    body_hash   BLOB NOT NULL,
    fault       TEXT NOT NULL,
    error       TEXT NOT NULL,
    oracle      TEXT,
    digest      TEXT,
    attempts    INTEGER NOT NULL,
    deliveries  INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    attributes  TEXT,
    UNIQUE (flow, partition, stream_id, downstream)
);

CREATE INDEX dead_letters_by_id ON dead_letters (flow, id);
CREATE INDEX dead_letters_by_time ON dead_letters (last_at);

CREATE TABLE components (
    digest          TEXT PRIMARY KEY,
    bytes           BLOB NOT NULL,
    first_loaded_at INTEGER NOT NULL
);

CREATE TABLE component_history (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL,
    digest   TEXT NOT NULL REFERENCES components,
    taken_at INTEGER NOT NULL
);

CREATE INDEX component_history_by_name ON component_history (name, seq);

CREATE TABLE oracle_choices (
    name      TEXT PRIMARY KEY,
    kind      TEXT NOT NULL CHECK (kind IN ('pinned', 'rolled-back')),
    digest    TEXT NOT NULL,
    rejected  TEXT CHECK ((rejected IS NOT NULL) = (kind = 'rolled-back')),
    chosen_at INTEGER NOT NULL
);

CREATE TABLE landmarks (
    flow      TEXT NOT NULL,
    partition INTEGER NOT NULL,
    born      TEXT NOT NULL,
    open      INTEGER NOT NULL,
    noted_at  INTEGER NOT NULL,
    PRIMARY KEY (flow, partition)
);

CREATE TABLE flow_definitions (
    flow        TEXT PRIMARY KEY,
    source      TEXT NOT NULL,
    accepted_at INTEGER NOT NULL
);

CREATE TABLE sequences (
    flow TEXT PRIMARY KEY,
    next INTEGER NOT NULL
);

CREATE TABLE deliveries (
    flow         TEXT NOT NULL,
    id           TEXT NOT NULL,
    downstream   TEXT NOT NULL,
    state        TEXT NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'delivered', 'given-up')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL,
    -- Who is at work on it, and until when nobody else takes it up.
    leased_by    TEXT,
    leased_until INTEGER,
    -- When a POST began of which nobody knows what became of it.
    posted_at    INTEGER,
    error        TEXT,
    ended_at     INTEGER,
    PRIMARY KEY (flow, id, downstream),
    FOREIGN KEY (flow, id) REFERENCES decisions (flow, id) ON DELETE CASCADE
);

CREATE INDEX deliveries_waiting ON deliveries (flow, downstream, due_at)
WHERE state = 'waiting';
CREATE INDEX deliveries_given_up ON deliveries (flow) WHERE state = 'given-up';

-- For people, with the columns of the views on Postgres and times as ISO 8601.
-- What is no integer where one belongs is NULL; body has it as it came.

CREATE VIEW transactions AS
SELECT
    seq                                                         AS id,
    decisions.id                                                AS tx_hash,
    body ->> '$.from_address'                                   AS from_address,
    body ->> '$.to_address'                                     AS to_address,
    body ->> '$.value_eth'                                      AS value_eth,
    CASE WHEN json_type(body, '$.gas_price_gwei') IN ('integer', 'real')
         THEN CAST(body ->> '$.gas_price_gwei' AS INTEGER) END   AS gas_price_gwei,
    body ->> '$.input_data'                                     AS input_data,
    CASE WHEN json_type(body, '$.timestamp') IN ('integer', 'real')
         THEN CAST(body ->> '$.timestamp' AS INTEGER) END        AS tx_timestamp,
    score                                                       AS risk_score,
    label_name                                                  AS priority,
    inference_us / 1000.0                                       AS inference_time_ms,
    strftime('%Y-%m-%dT%H:%M:%fZ', decided_at / 1000.0, 'unixepoch') AS created_at
FROM decisions
WHERE flow = 'transactions';

CREATE VIEW events AS
SELECT
    seq                                                         AS id,
    decisions.id                                                AS event_id,
    body ->> '$.occurred_at'                                    AS occurred_at,
    body ->> '$.user_id'                                        AS user_id,
    body ->> '$.event_type'                                     AS event_type,
    body -> '$.properties'                                      AS properties,
    strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS received_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', decided_at / 1000.0, 'unixepoch') AS created_at
FROM decisions
WHERE flow = 'events';

CREATE VIEW tasks AS
SELECT
    CASE WHEN decisions.id NOT GLOB '*[^0-9]*'
         THEN CAST(decisions.id AS INTEGER) END                  AS id,
    body ->> '$.payload'                                        AS payload,
    'done'                                                      AS status,
    output                                                      AS result,
    strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', decided_at / 1000.0, 'unixepoch') AS updated_at
FROM decisions
WHERE flow = 'tasks';
