-- Of the users first seen on $start_date, how many came in each window from then
-- on. The first window has all of them. With a segment, only events of the
-- segment count: as the first one, too.
WITH cohort AS (
  SELECT user_id
  FROM events
  WHERE day <= $start_date
    AND ($segment_field IS NULL
      OR CASE WHEN $segment_field = 'event_type' THEN event_type
              ELSE json_text(body, $segment_field) END = $segment_value)
  GROUP BY user_id
  HAVING min(day) = $start_date
), active AS (
  SELECT DISTINCT
         (CAST(day AS INT) - CAST($start_date AS INT))
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
  SELECT active.n, count(*) AS users
  FROM active JOIN cohort ON cohort.user_id = active.user_id
  GROUP BY active.n
), windows AS (
  SELECT value AS n, coalesce(users, 0) AS users
  FROM generate_series(0, $windows - 1)
  LEFT JOIN counted ON counted.n = value
)
SELECT CAST(CAST($start_date AS INT)
         + n * CASE WHEN $window = 'week' THEN 7 ELSE 1 END AS DATE) AS date,
       users AS unique_users,
       coalesce(CAST(users AS DOUBLE) / nullif(max(users) OVER (), 0), 0.0) AS share
FROM windows
ORDER BY date
