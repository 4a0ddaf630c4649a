-- Questions in a row whether an entry is there that its downstream did not
-- answer: they use up no attempt, and each makes the next one wait longer.
ALTER TABLE deliveries ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
