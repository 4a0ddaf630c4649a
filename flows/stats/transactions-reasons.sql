SELECT reason, count(*) AS decisions
FROM (SELECT unnest(reasons) AS reason FROM transactions WHERE day BETWEEN $from AND $to)
GROUP BY reason
ORDER BY decisions DESC, reason
LIMIT $limit
