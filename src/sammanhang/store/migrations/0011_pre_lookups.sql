-- Who has looked for people by identity number lately: to end a search by trying numbers in series, whichever
-- process answers. Not the numbers: those stand in the trace. Rows are of use for a day.
CREATE TABLE access.lookup (
    actor text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    found boolean NOT NULL
);
CREATE INDEX lookup_actor ON access.lookup (actor, at);

GRANT SELECT, INSERT, DELETE ON access.lookup TO sammanhang_writer;
