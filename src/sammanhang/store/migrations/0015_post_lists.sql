-- The worklist's own indexes have their order; these are no longer asked.
DROP INDEX work.task_owned;
DROP INDEX work.task_taken;
DROP INDEX work.task_lately;
