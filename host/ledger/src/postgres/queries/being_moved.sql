-- $1 flow, $2 id
SELECT cold_files.number
FROM decisions
JOIN cold_files
  ON cold_files.flow = decisions.flow
 AND cold_files.day = (decisions.at AT TIME ZONE 'UTC')::date
WHERE decisions.flow = $1
  AND decisions.id = $2
  AND cold_files.state IN ('writing', 'moving')
LIMIT 1
