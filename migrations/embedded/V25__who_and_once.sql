-- What the caller of the admin API is called, in their own words; and of what
-- several processes see for themselves, such as a file that was dropped, one row.
ALTER TABLE audit ADD COLUMN person TEXT;
-- The flows that it touches, in JSON; NULL where it names none, and in older rows.
ALTER TABLE audit ADD COLUMN flows TEXT CHECK (json_valid(flows));
-- What it happened to, and a hash of what happened; NULL for a person's change.
ALTER TABLE audit ADD COLUMN about TEXT;
ALTER TABLE audit ADD COLUMN seen TEXT;
ALTER TABLE audit ADD COLUMN once TEXT;
CREATE UNIQUE INDEX audit_once ON audit (once);
CREATE INDEX audit_about ON audit (about, seq);
CREATE INDEX audit_at ON audit (at);
