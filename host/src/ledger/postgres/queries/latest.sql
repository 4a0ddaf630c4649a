SELECT
    flow, id, stream_id, body::text AS body, body_hash, received_at, attributes,
    score, label_name, reasons, output, oracles, threshold, flow_digest, decided_at
FROM decisions
WHERE $1::text IS NULL OR flow = $1
ORDER BY seq DESC
LIMIT $2
