SELECT from_address, count(*) AS decisions, sum(value_eth) AS value_eth, max(score) AS highest_score
FROM transactions
WHERE day BETWEEN $from AND $to AND label = 'high' AND from_address IS NOT NULL
GROUP BY from_address
ORDER BY decisions DESC, from_address
LIMIT $limit
