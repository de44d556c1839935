-- Nothing to remove after the first version.
SELECT 1;
