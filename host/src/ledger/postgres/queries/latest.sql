SELECT
    flow, id, received_at, attributes,
    score, label_name, reasons, output, oracles, decided_at
FROM decisions
WHERE $1::text IS NULL OR flow = $1
ORDER BY seq DESC
LIMIT $2
