-- Entries that an oracle judged well during the last day: with them the host
-- tells a broken oracle from a bad entry. Four an hour are kept of each flow
-- and oracle, and of each sender no more than one of these.
CREATE TABLE oracle_controls (
    flow        TEXT NOT NULL,
    -- The component's name.
    oracle      TEXT NOT NULL,
    -- Hours since 1970, and the place among the four.
    hour        INTEGER NOT NULL,
    place       INTEGER NOT NULL CHECK (place BETWEEN 1 AND 4),
    -- owner:<owner>, or quarter:<quarters of an hour since 1970> where the entry
    -- came without an API key.
    sender      TEXT NOT NULL,
    id          TEXT NOT NULL,
    body        BLOB NOT NULL,
    attributes  TEXT CHECK (json_valid(attributes)),
    received_at INTEGER NOT NULL,
    PRIMARY KEY (flow, oracle, hour, place),
    UNIQUE (flow, oracle, hour, sender),
    UNIQUE (flow, oracle, id)
);

-- An erasure names the entry and no oracle; what is a day old goes whatever it
-- was of.
CREATE INDEX oracle_controls_by_entry ON oracle_controls (flow, id);
CREATE INDEX oracle_controls_by_hour ON oracle_controls (hour);
