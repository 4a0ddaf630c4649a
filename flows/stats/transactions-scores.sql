-- Every bucket has its lower bound and not its upper one; the last has both.
-- What a product says is off by one where it was rounded, as 0.29 * 100 is:
-- the bounds of the answer decide.
WITH guessed AS (
  SELECT score, CAST(score * $buckets AS BIGINT) AS bucket
  FROM transactions
  WHERE day BETWEEN $from AND $to AND score IS NOT NULL
), counted AS (
  SELECT least($buckets - 1, CASE
      WHEN score >= CAST(bucket + 1 AS DOUBLE) / $buckets THEN bucket + 1
      WHEN score < CAST(bucket AS DOUBLE) / $buckets THEN bucket - 1
      ELSE bucket
    END) AS bucket, count(*) AS decisions
  FROM guessed
  GROUP BY 1
)
SELECT CAST(value AS DOUBLE) / $buckets AS score_from,
       CAST(value + 1 AS DOUBLE) / $buckets AS score_to,
       coalesce(decisions, 0) AS decisions
FROM generate_series(0, $buckets - 1)
LEFT JOIN counted ON counted.bucket = value
ORDER BY value
