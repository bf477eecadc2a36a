-- What is about a number and must be found by it, wherever nothing else leads there: to be erased, and to be shown.

-- Lines about no verification and no message, such as a lock that was lifted: whose, and of which service. Lines that an
-- older release wrote have neither, and go with everybody's history.
ALTER TABLE log
ADD COLUMN recipient BLOB;

ALTER TABLE log
ADD COLUMN scope TEXT;

-- Serves `sweep` of a service. Partial: nearly every line has a subject.
CREATE INDEX log_apart
ON log (scope, at)
WHERE scope IS NOT NULL;

-- Serves `erase` and `beside`.
CREATE INDEX log_recipient
ON log (recipient, place)
WHERE recipient IS NOT NULL;

-- Whose an answer is. Those of an older release have none, and expire within a day.
ALTER TABLE remembered
ADD COLUMN recipient BLOB;

-- Serves `erase` and `beside`.
CREATE INDEX remembered_recipient
ON remembered (recipient)
WHERE recipient IS NOT NULL;
