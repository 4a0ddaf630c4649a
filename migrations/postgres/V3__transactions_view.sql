-- JSON admits what a column does not hold: 1e-20000, 1e30 as a timestamp, an
-- escaped NUL. One such row must not make the whole view fail, so what does
-- not fit is NULL; body has it as it came.
--
-- Not PARALLEL SAFE: an exception handler is a subtransaction, which a
-- parallel worker cannot start.

CREATE FUNCTION json_text(body json, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN body ->> key;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION json_numeric(body json, key text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN (body ->> key)::numeric;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- Through numeric, because 30.0 and 3e1 are integers to JSON.
CREATE FUNCTION json_bigint(body json, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN (body ->> key)::numeric::bigint;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE VIEW transactions AS
SELECT
    seq                               AS id,
    -- The identity, which is what the index knows.
    decisions.id                      AS tx_hash,
    json_text(body, 'from_address')   AS from_address,
    json_text(body, 'to_address')     AS to_address,
    json_numeric(body, 'value_eth')   AS value_eth,
    json_bigint(body, 'gas_price_gwei') AS gas_price_gwei,
    json_text(body, 'input_data')     AS input_data,
    json_bigint(body, 'timestamp')    AS tx_timestamp,
    score                             AS risk_score,
    label_name                        AS priority,
    inference_us / 1000.0             AS inference_time_ms,
    decided_at                        AS created_at
FROM decisions
WHERE flow = 'transactions';
