-- Whose an entry is: the first 8 bytes of the SHA-256 of the owner's name, NULL
-- where it has none.
ALTER TABLE ids ADD COLUMN owner BLOB;
