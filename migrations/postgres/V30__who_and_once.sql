-- What the caller of the admin API is called, in their own words; and of what
-- several processes see for themselves, such as a file that was dropped, one row.
ALTER TABLE audit
    ADD COLUMN person text,
    -- The flows that it touches; NULL where it names none, and in older rows.
    ADD COLUMN flows  text[],
    -- What it happened to, and a hash of what happened; NULL for a person's change.
    ADD COLUMN about  text,
    ADD COLUMN seen   text,
    ADD COLUMN once   text;
CREATE UNIQUE INDEX audit_once ON audit (once);
CREATE INDEX audit_about ON audit (about, seq);
CREATE INDEX audit_at ON audit (at);
