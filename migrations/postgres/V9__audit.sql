-- Every change that was made through the admin API: a row is written before
-- the change begins and completed when it has ended. Floodgate removes none.
CREATE TABLE audit (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    who        text NOT NULL,
    peer       text NOT NULL,
    action     text NOT NULL,
    target     json NOT NULL,
    request_id text,
    ended_at   timestamptz,
    -- NULL until the change has ended, and for good where nobody was left to tell.
    outcome    json CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
