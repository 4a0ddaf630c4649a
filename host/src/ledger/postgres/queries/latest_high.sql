SELECT
    flow, id, received_at, attributes,
    score, label_name, reasons, output, oracles, decided_at
FROM decisions
WHERE label = 'high'
ORDER BY seq DESC
LIMIT $1
