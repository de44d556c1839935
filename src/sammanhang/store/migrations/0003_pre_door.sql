-- What staff declared to open a record without a care relation (R3): who, whom, why, until when.
CREATE SCHEMA IF NOT EXISTS access;
GRANT USAGE ON SCHEMA access TO sammanhang_reader, sammanhang_writer;
CREATE TABLE access.declared (
    actor text COLLATE "C" NOT NULL,
    assignment text COLLATE "C" NOT NULL,
    patient bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    declared timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL
);
CREATE INDEX declared_patient ON access.declared (patient, actor, assignment, until);
GRANT SELECT ON access.declared TO sammanhang_reader;
GRANT SELECT, INSERT ON access.declared TO sammanhang_writer;
