-- Users of each UTC day; both dates count in whole. A day without users is not
-- listed.
SELECT day AS date, count(DISTINCT user_id) AS unique_users
FROM events
WHERE day BETWEEN $from AND $to
  AND ($segment_field IS NULL
    OR CASE WHEN $segment_field = 'event_type' THEN event_type
            ELSE json_text(body, $segment_field) END = $segment_value)
GROUP BY day
HAVING count(DISTINCT user_id) > 0
ORDER BY day
