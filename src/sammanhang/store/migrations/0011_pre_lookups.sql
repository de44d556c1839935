-- Who has looked for people by identity number lately, or listed them through the API: to end a search by trying
-- numbers in series, whichever process answers. Not the numbers: those stand in the trace. Of use for a day.
CREATE TABLE access.lookup (
    actor text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    numbers integer NOT NULL,
    not_found integer NOT NULL,
    listed integer NOT NULL
);
CREATE INDEX lookup_actor ON access.lookup (actor, at);

GRANT SELECT, INSERT, DELETE ON access.lookup TO sammanhang_writer;
