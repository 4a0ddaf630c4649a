-- Digests are written as 64 hex digits everywhere, so that people can read and
-- paste them.

CREATE TABLE decisions (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow            text NOT NULL,
    id              text NOT NULL,
    -- json and not jsonb: the bytes are kept as they were admitted.
    body            json NOT NULL,
    body_hash       bytea NOT NULL,
    score           double precision,
    label           text CHECK (label IN ('high', 'low')),
    label_name      text,
    reasons         text[] NOT NULL,
    output          text,
    oracles         json NOT NULL,
    flow_digest     text NOT NULL,
    settings_digest text,
    threshold       double precision NOT NULL,
    inference_us    double precision NOT NULL,
    stream_id       text NOT NULL,
    received_at     timestamptz NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (flow, id)
);

CREATE INDEX decisions_by_time ON decisions (flow, decided_at);

CREATE TABLE dead_letters (
    flow        text NOT NULL,
    partition   integer NOT NULL,
    stream_id   text NOT NULL,
    id          text NOT NULL,
    -- bytea: what died may be no text at all.
    body        bytea NOT NULL,
    body_hash   bytea NOT NULL,
    fault       text NOT NULL,
    error       text NOT NULL,
    oracle      text,
    digest      text,
    attempts    bigint NOT NULL,
    deliveries  bigint NOT NULL,
    received_at timestamptz NOT NULL,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    -- From one sequence for all: no death ever has the number of an earlier one.
    generation  bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (flow, partition, stream_id)
);

CREATE INDEX dead_letters_by_id ON dead_letters (flow, id);
CREATE INDEX dead_letters_by_time ON dead_letters (last_at);
