-- Users of each window from $start_date on, whenever they were first seen.
WITH active AS (
  SELECT (CAST(day AS INT) - CAST($start_date AS INT))
           / CASE WHEN $window = 'week' THEN 7 ELSE 1 END AS n,
         user_id
  FROM events
  WHERE day >= $start_date
    AND day < CAST(CAST($start_date AS INT)
          + $windows * CASE WHEN $window = 'week' THEN 7 ELSE 1 END AS DATE)
    AND ($segment_field IS NULL
      OR CASE WHEN $segment_field = 'event_type' THEN event_type
              ELSE json_text(body, $segment_field) END = $segment_value)
), counted AS (
  SELECT n, count(DISTINCT user_id) AS users FROM active GROUP BY n
)
SELECT CAST(CAST($start_date AS INT)
         + windows.value * CASE WHEN $window = 'week' THEN 7 ELSE 1 END AS DATE) AS date,
       coalesce(users, 0) AS unique_users
FROM generate_series(0, $windows - 1) AS windows
LEFT JOIN counted ON counted.n = windows.value
ORDER BY date
