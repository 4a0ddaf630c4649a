SELECT stream_id, score, label_name, reasons, oracles, decided_at
FROM decisions
WHERE flow = $1 AND id = $2
