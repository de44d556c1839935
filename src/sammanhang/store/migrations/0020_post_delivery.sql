-- Nothing to remove.
SELECT 1;
