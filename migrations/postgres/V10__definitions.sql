-- Every flow file that was ever accepted, so that each decision can be made
-- again with the settings of then: flow_definitions has the last one only.
CREATE TABLE definitions (
    digest            text PRIMARY KEY,
    source            text NOT NULL,
    first_accepted_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO definitions (digest, source, first_accepted_at)
SELECT encode(sha256(convert_to(source, 'UTF8')), 'hex'), source, min(accepted_at)
FROM flow_definitions
GROUP BY source;
