-- Does the same as keep.sql, and writes the new decisions into the outbox.
-- $20 downstreams, $21 whether each wants HIGH decisions only.
WITH kept AS (
    SELECT id, body_hash, label FROM keep_decisions(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
    )
), handed_on AS (
    INSERT INTO deliveries (flow, id, downstream)
    SELECT $1, kept.id, downstream.name
    FROM kept
    CROSS JOIN unnest($20::text[], $21::boolean[]) AS downstream (name, only_high)
    WHERE NOT downstream.only_high OR kept.label = 'high'
)
SELECT id, body_hash FROM kept
