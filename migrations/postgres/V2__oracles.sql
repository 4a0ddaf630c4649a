-- Every component that was ever taken, so that each oracle that decided
-- something can be run again.
CREATE TABLE components (
    digest          text PRIMARY KEY,
    bytes           bytea NOT NULL,
    first_loaded_at timestamptz NOT NULL DEFAULT now()
);

-- Which component a name stood for, and since when.
CREATE TABLE component_history (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text NOT NULL,
    digest   text NOT NULL REFERENCES components,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX component_history_by_name ON component_history (name, seq);

-- What a person said about a name, apart from what lies in the directory.
CREATE TABLE oracle_choices (
    name      text PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('pinned', 'rolled-back')),
    digest    text NOT NULL,
    rejected  text CHECK ((rejected IS NOT NULL) = (kind = 'rolled-back')),
    chosen_at timestamptz NOT NULL DEFAULT now()
);
