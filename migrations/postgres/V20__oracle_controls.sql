-- Entries that an oracle judged well during the last day: with them the host
-- tells a broken oracle from a bad entry. Four an hour are kept of each flow
-- and oracle, and of each sender no more than one of these.
CREATE TABLE oracle_controls (
    flow        text NOT NULL,
    -- The component's name.
    oracle      text NOT NULL,
    -- Hours since 1970, and the place among the four.
    hour        bigint NOT NULL,
    place       smallint NOT NULL CHECK (place BETWEEN 1 AND 4),
    -- owner:<owner>, or quarter:<quarters of an hour since 1970> where the entry
    -- came without an API key.
    sender      text NOT NULL,
    id          text NOT NULL,
    body        bytea NOT NULL,
    attributes  json,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (flow, oracle, hour, place),
    UNIQUE (flow, oracle, hour, sender),
    UNIQUE (flow, oracle, id)
);

-- An erasure names the entry and no oracle; what is a day old goes whatever it
-- was of.
CREATE INDEX oracle_controls_by_entry ON oracle_controls (flow, id);
CREATE INDEX oracle_controls_by_hour ON oracle_controls (hour);
