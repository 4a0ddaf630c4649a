-- The flow files as they were last accepted: what is open of a flow whose file
-- was removed is worked off by its last definition.
CREATE TABLE flow_definitions (
    flow        text PRIMARY KEY,
    source      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT now()
);
