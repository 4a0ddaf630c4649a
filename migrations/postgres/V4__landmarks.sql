-- What was last seen of a partition's stream: a stream that was born at
-- another time is one that lost what it held.
CREATE TABLE landmarks (
    flow      text NOT NULL,
    partition integer NOT NULL,
    born      text NOT NULL,
    open      bigint NOT NULL,
    noted_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (flow, partition)
);
