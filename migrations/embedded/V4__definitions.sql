-- As on Postgres, but for what was accepted before: SQLite has no SHA-256. A
-- file that is still in force is kept at the next start.
CREATE TABLE definitions (
    digest            TEXT PRIMARY KEY,
    source            TEXT NOT NULL,
    first_accepted_at INTEGER NOT NULL
);
