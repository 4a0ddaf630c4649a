SELECT
    flow, id, stream_id, body::text AS body, body_hash, received_at, attributes,
    score, label_name, reasons, output, oracles, threshold, flow_digest, decided_at,
    erased_at
FROM decisions
WHERE flow = $1 AND id = $2
