-- Emergencies declared (SVOD 3:5-6, PDL 4:5), blocks lifted, and owners asked to lift one. Rows are never
-- changed but to open, end or answer them; the trace tells who did that.
CREATE TABLE access.emergency (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    actor text COLLATE "C" NOT NULL,
    assignment text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    patient bigint NOT NULL,
    patient_id text COLLATE "C" NOT NULL,
    danger text COLLATE "C" NOT NULL,
    unable text COLLATE "C" NOT NULL,
    said text NOT NULL,
    declared timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL,
    parties text[] COLLATE "C" NOT NULL DEFAULT '{}',
    opened timestamptz,
    ended timestamptz,
    reviewed timestamptz,
    reviewed_by text COLLATE "C",
    outcome text COLLATE "C",
    review_said text
);
CREATE INDEX emergency_patient ON access.emergency (patient, actor, assignment, until);
CREATE INDEX emergency_review ON access.emergency (provider, declared) WHERE reviewed IS NULL;
COMMENT ON COLUMN access.emergency.parties IS 'care providers, or units of the own one, opened in the second step';

CREATE TABLE access.lift (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    patient bigint NOT NULL,
    party text COLLATE "C" NOT NULL,
    for_party text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    granted_by text COLLATE "C" NOT NULL,
    said text NOT NULL,
    granted timestamptz NOT NULL DEFAULT now(),
    until timestamptz NOT NULL
);
CREATE INDEX lift_patient ON access.lift (patient, until);
COMMENT ON COLUMN access.lift.party IS 'the unit or care provider whose block is lifted, for the unit or provider for_party';

CREATE TABLE access.lift_request (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    patient bigint NOT NULL,
    patient_id text COLLATE "C" NOT NULL,
    party text COLLATE "C" NOT NULL,
    for_party text COLLATE "C" NOT NULL,
    unit text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    said text NOT NULL,
    asked timestamptz NOT NULL DEFAULT now(),
    answered timestamptz,
    answer text COLLATE "C",
    answered_by text COLLATE "C"
);
CREATE INDEX lift_request_open ON access.lift_request (party, asked) WHERE answered IS NULL;
CREATE INDEX lift_request_patient ON access.lift_request (patient);

GRANT SELECT ON access.emergency, access.lift, access.lift_request TO sammanhang_reader, sammanhang_whole;
GRANT SELECT, INSERT, UPDATE ON access.emergency, access.lift, access.lift_request TO sammanhang_writer;
