SELECT date_trunc('hour', at) AS hour, label_name AS label, count(*) AS decisions
FROM transactions
WHERE day BETWEEN $from AND $to
GROUP BY hour, label_name
ORDER BY hour, label_name
