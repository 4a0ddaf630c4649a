-- Ids that count up are handed out in blocks: each is handed out once, and
-- what a process did not use is a gap.
CREATE TABLE sequences (
    flow text PRIMARY KEY,
    next bigint NOT NULL
);

-- What came with an entry besides its body, such as the name of the API key:
-- a list of pairs. Judging it again needs all that the oracles were shown.
ALTER TABLE decisions ADD COLUMN attributes json;
ALTER TABLE dead_letters ADD COLUMN attributes json;
