-- Every change that was made through the admin API: a row is written before
-- the change begins and completed when it has ended. Floodgate removes none.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    who        TEXT NOT NULL,
    peer       TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL CHECK (json_valid(target)),
    request_id TEXT,
    ended_at   INTEGER,
    -- NULL until the change has ended, and for good where nobody was left to tell.
    outcome    TEXT CHECK (json_valid(outcome) AND (outcome IS NULL) = (ended_at IS NULL))
);
