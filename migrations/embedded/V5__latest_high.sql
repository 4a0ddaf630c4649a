-- The latest HIGH decisions, however many others were kept since.
CREATE INDEX decisions_high ON decisions (seq) WHERE label = 'high';
