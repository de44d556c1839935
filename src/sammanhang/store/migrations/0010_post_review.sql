-- What came of an emergency lies in the queue of log review.
DROP INDEX access.emergency_review;
ALTER TABLE access.emergency DROP COLUMN reviewed, DROP COLUMN reviewed_by, DROP COLUMN outcome, DROP COLUMN review_said;
