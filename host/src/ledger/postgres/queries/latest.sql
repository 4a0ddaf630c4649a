SELECT
    flow, id, stream_id, body::text AS body, received_at, score, label_name,
    reasons, output, oracles, decided_at, attributes
FROM decisions
WHERE $1::text IS NULL OR flow = $1
ORDER BY seq DESC
LIMIT $2
