-- Every bucket has its lower bound and not its upper one; the last has both.
WITH counted AS (
  SELECT least(CAST(score * $buckets AS BIGINT), $buckets - 1) AS bucket, count(*) AS decisions
  FROM transactions
  WHERE day BETWEEN $from AND $to AND score IS NOT NULL
  GROUP BY bucket
)
SELECT CAST(value AS DOUBLE) / $buckets AS score_from,
       CAST(value + 1 AS DOUBLE) / $buckets AS score_to,
       coalesce(decisions, 0) AS decisions
FROM generate_series(0, $buckets - 1)
LEFT JOIN counted ON counted.bucket = value
ORDER BY value
