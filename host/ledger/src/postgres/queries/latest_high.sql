-- Without body and output: a list has many of them.
SELECT
    flow, id, received_at, attributes,
    score, label_name, reasons, NULL::text AS output, oracles, decided_at
FROM decisions
WHERE label = 'high'
ORDER BY seq DESC
LIMIT $1
