SELECT digest FROM component_history WHERE name = $1 GROUP BY digest ORDER BY max(seq) DESC
