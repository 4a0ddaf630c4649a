SELECT
    flow, id, stream_id, body::text AS body, received_at, score, label_name,
    reasons, output, oracles, decided_at, attributes
FROM decisions
WHERE flow = $1 AND id = $2
