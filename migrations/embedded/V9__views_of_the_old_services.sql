-- Dead letters are asked for page by page, newest first.
CREATE INDEX dead_letters_of_flow ON dead_letters (flow, generation);

-- Microseconds, and nobody reads the digits behind them.
DROP VIEW transactions;
CREATE VIEW transactions AS
SELECT
    seq                                                         AS id,
    decisions.id                                                AS tx_hash,
    body ->> '$.from_address'                                   AS from_address,
    body ->> '$.to_address'                                     AS to_address,
    body ->> '$.value_eth'                                      AS value_eth,
    CASE WHEN json_type(body, '$.gas_price_gwei') IN ('integer', 'real')
         THEN CAST(body ->> '$.gas_price_gwei' AS INTEGER) END   AS gas_price_gwei,
    body ->> '$.input_data'                                     AS input_data,
    CASE WHEN json_type(body, '$.timestamp') IN ('integer', 'real')
         THEN CAST(body ->> '$.timestamp' AS INTEGER) END        AS tx_timestamp,
    score                                                       AS risk_score,
    label_name                                                  AS priority,
    round(inference_us / 1000.0, 3)                             AS inference_time_ms,
    strftime('%Y-%m-%dT%H:%M:%fZ', decided_at / 1000.0, 'unixepoch') AS created_at
FROM decisions
WHERE flow = 'transactions';

-- Those that failed, too, but for those that died after their decision.
DROP VIEW tasks;
CREATE VIEW tasks AS
SELECT
    CASE WHEN decisions.id NOT GLOB '*[^0-9]*'
         THEN CAST(decisions.id AS INTEGER) END                  AS id,
    body ->> '$.payload'                                        AS payload,
    'done'                                                      AS status,
    output                                                      AS result,
    strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', decided_at / 1000.0, 'unixepoch') AS updated_at
FROM decisions
WHERE flow = 'tasks'
UNION ALL
SELECT
    CASE WHEN dead_letters.id NOT GLOB '*[^0-9]*'
         THEN CAST(dead_letters.id AS INTEGER) END,
    CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ->> '$.payload' END,
    'failed',
    NULL,
    strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000.0, 'unixepoch')
FROM dead_letters
WHERE flow = 'tasks' AND downstream = '' AND fault <> 'conflict';
