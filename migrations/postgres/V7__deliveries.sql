-- The outbox: one row for each decision and downstream, written together with
-- the decision.
CREATE TABLE deliveries (
    flow         text NOT NULL,
    id           text NOT NULL,
    downstream   text NOT NULL,
    state        text NOT NULL DEFAULT 'waiting'
                 CHECK (state IN ('waiting', 'delivered', 'given-up')),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    -- Who is at work on it, and until when nobody else takes it up.
    leased_by    text,
    leased_until timestamptz,
    -- When a POST began of which nobody knows what became of it.
    posted_at    timestamptz,
    error        text,
    ended_at     timestamptz,
    PRIMARY KEY (flow, id, downstream),
    FOREIGN KEY (flow, id) REFERENCES decisions (flow, id) ON DELETE CASCADE
);

CREATE INDEX deliveries_waiting ON deliveries (flow, downstream, due_at)
WHERE state = 'waiting';
CREATE INDEX deliveries_given_up ON deliveries (flow) WHERE state = 'given-up';

-- A decision that could not be delivered is a dead letter, too: one for each
-- downstream. Of an entry that could not be decided there is one.
ALTER TABLE dead_letters ADD COLUMN downstream text NOT NULL DEFAULT '';
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_pkey;
ALTER TABLE dead_letters ADD PRIMARY KEY (flow, partition, stream_id, downstream);
