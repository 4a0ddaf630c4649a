SELECT id, body_hash FROM decisions WHERE flow = $1 AND id = ANY($2::text[])
