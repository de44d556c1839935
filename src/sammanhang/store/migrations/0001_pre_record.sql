-- The record: one row per resource, its history, three narrow side tables and the event feed.
-- docs/reference/indexes.md explains every column and index with examples.

CREATE SCHEMA store;
REVOKE ALL ON SCHEMA store FROM PUBLIC;

-- Two roles of the application. The reader sees rows only through row-level security and can write
-- nothing; the writer owns the tables, and only `store.put` and bulk load use it.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sammanhang_reader') THEN
        CREATE ROLE sammanhang_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sammanhang_writer') THEN
        CREATE ROLE sammanhang_writer NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- two databases of one cluster migrated at the same moment
END $$;
GRANT USAGE ON SCHEMA store TO sammanhang_reader;
GRANT USAGE, CREATE ON SCHEMA store TO sammanhang_writer;

-- Care providers and units by number: HSA-ids are long and stand on every row.
CREATE TABLE store.party (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE store.resource (
    type smallint NOT NULL,
    self bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    version int NOT NULL,
    updated timestamptz NOT NULL,
    patient bigint,
    also bigint[],
    provider int,
    unit int,
    labels bigint[],
    care_until timestamptz,
    occurred timestamptz,
    occurred_to timestamptz,
    tokens bigint[] NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (self, type)
) PARTITION BY LIST (type);

COMMENT ON COLUMN store.resource.self IS 'hash of Type/id; see fhir.indexing.self_hash';
COMMENT ON COLUMN store.resource.patient IS 'self of the Patient whose record this is; null for common data';
COMMENT ON COLUMN store.resource.also IS 'self of other patients it concerns';
COMMENT ON COLUMN store.resource.care_until IS 'until when it shows that the patient is in the care of the unit';

-- The types that fill a region's record have a partition each; the rest share one.
CREATE TABLE store.observation PARTITION OF store.resource FOR VALUES IN ({Observation});
CREATE TABLE store.encounter PARTITION OF store.resource FOR VALUES IN ({Encounter});
CREATE TABLE store.condition PARTITION OF store.resource FOR VALUES IN ({Condition});
CREATE TABLE store.patient PARTITION OF store.resource FOR VALUES IN ({Patient});
CREATE TABLE store.medication PARTITION OF store.resource
    FOR VALUES IN ({MedicationRequest}, {MedicationStatement}, {MedicationAdministration}, {MedicationDispense});
CREATE TABLE store.document PARTITION OF store.resource
    FOR VALUES IN ({DocumentReference}, {Composition}, {DiagnosticReport}, {Binary});
CREATE TABLE store.other PARTITION OF store.resource DEFAULT;

-- by_patient: nearly everything a clinician asks: this patient, this type, newest first.
CREATE INDEX by_patient ON store.resource (patient, type, occurred DESC NULLS LAST, self);
-- by_token: codes, identifiers, references, statuses; any AND/OR of them.
CREATE INDEX by_token ON store.resource USING gin (tokens) WITH (fastupdate = on, gin_pending_list_limit = 512);
-- by_time: newest first without a patient.
CREATE INDEX by_time ON store.resource (type, occurred DESC NULLS LAST, self);
-- by_updated: what changed since; feeds and `_lastUpdated`.
CREATE INDEX by_updated ON store.resource (type, updated, self);
-- in_care: the patients of a unit, and whether a unit has this patient in care.
CREATE INDEX in_care ON store.resource (unit, patient) WHERE care_until IS NOT NULL;
-- also_concerns: resources of several patients' records, from the second patient on.
CREATE INDEX also_concerns ON store.resource USING gin (also) WHERE also IS NOT NULL;

CREATE TABLE store.string (
    slot bigint NOT NULL, self bigint NOT NULL, type smallint NOT NULL,
    folded text COLLATE "C" NOT NULL, value text COLLATE "C" NOT NULL
);
CREATE INDEX string_value ON store.string (slot, folded, self);
CREATE INDEX string_self ON store.string (self);

CREATE TABLE store.date (
    slot bigint NOT NULL, self bigint NOT NULL, type smallint NOT NULL,
    low timestamptz NOT NULL, high timestamptz NOT NULL
);
CREATE INDEX date_value ON store.date (slot, low, high, self);
CREATE INDEX date_self ON store.date (self);

CREATE TABLE store.quantity (
    slot bigint NOT NULL, self bigint NOT NULL, type smallint NOT NULL,
    low float8 NOT NULL, high float8 NOT NULL, unit bigint NOT NULL,
    raw_low float8 NOT NULL, raw_high float8 NOT NULL, raw_unit bigint NOT NULL
);
CREATE INDEX quantity_value ON store.quantity (slot, unit, low, self);
CREATE INDEX quantity_self ON store.quantity (self);

-- Superseded and deleted versions, whole. method: 1 create, 2 update, 3 delete.
CREATE TABLE store.history (
    type smallint NOT NULL, self bigint NOT NULL, version int NOT NULL,
    id text COLLATE "C" NOT NULL, updated timestamptz NOT NULL, method smallint NOT NULL,
    patient bigint, also bigint[], provider int, unit int, labels bigint[],
    body bytea,
    PRIMARY KEY (self, type, version)
);

-- The feed of everything that happened, in order; `tx` lets a reader stop before transactions that
-- are still open, so that nothing is skipped.
CREATE TABLE store.event (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL,
    method smallint NOT NULL, type smallint NOT NULL, self bigint NOT NULL,
    id text COLLATE "C" NOT NULL, version int NOT NULL,
    patient bigint, also bigint[], provider int, unit int, labels bigint[]
);
CREATE INDEX event_type ON store.event (type, seq);

-- The wall. A reader's session says what it may see; with nothing set, nothing is seen.
CREATE FUNCTION store.scope(name text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('sammanhang.' || name, true), '') $$;

CREATE FUNCTION store.visible_rows(relation text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format($policy$
        CREATE POLICY wall ON %s FOR SELECT TO sammanhang_reader USING (
            (SELECT store.scope('all') = 'on') IS TRUE
            OR patient IS NULL AND (provider IS NULL
                OR provider = ANY ((SELECT store.scope('providers')::int[])::int[]))
            OR type = {Patient} AND ((SELECT store.scope('register') = 'on') IS TRUE
                OR self = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[]))
            OR (provider = ANY ((SELECT store.scope('providers')::int[])::int[])
                AND ((SELECT store.scope('patients') = '*') IS TRUE
                    OR patient = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                    OR also && (SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                AND (unit = ANY ((SELECT store.scope('hidden_units')::int[])::int[])) IS NOT TRUE
                AND (labels && (SELECT store.scope('hidden_labels')::bigint[])::bigint[]) IS NOT TRUE)
        )$policy$, relation);
    EXECUTE format('GRANT SELECT ON %s TO sammanhang_reader', relation);
    EXECUTE format('ALTER TABLE %s OWNER TO sammanhang_writer', relation);
END $$;
SELECT store.visible_rows('store.' || t) FROM unnest(ARRAY['resource', 'observation', 'encounter',
    'condition', 'patient', 'medication', 'document', 'other', 'history', 'event']) t;
DROP FUNCTION store.visible_rows(text);
GRANT SELECT ON store.party, store.string, store.date, store.quantity TO sammanhang_reader;
ALTER TABLE store.string OWNER TO sammanhang_writer;
ALTER TABLE store.date OWNER TO sammanhang_writer;
ALTER TABLE store.quantity OWNER TO sammanhang_writer;
ALTER TABLE store.party OWNER TO sammanhang_writer;

-- Row-level security lets an index serve only operators known not to leak. These two compare arrays
-- and report nothing; without the mark every token search under the wall would read the whole table.
DO $$ BEGIN
    ALTER FUNCTION pg_catalog.arraycontains(anyarray, anyarray) LEAKPROOF;
    ALTER FUNCTION pg_catalog.arrayoverlap(anyarray, anyarray) LEAKPROOF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'token searches will be slow: let a superuser mark arraycontains and arrayoverlap LEAKPROOF';
END $$;

-- The trace: append-only, one hash chain per database session; see access/audit.py.
CREATE SCHEMA audit;
GRANT USAGE ON SCHEMA audit TO sammanhang_reader, sammanhang_writer;
CREATE TABLE audit.chain (
    chain bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened timestamptz NOT NULL DEFAULT now(),
    genesis bytea NOT NULL
);
CREATE TABLE audit.entry (
    chain bigint NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text COLLATE "C" NOT NULL,
    patient bigint,
    action text COLLATE "C" NOT NULL,
    entry bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_patient ON audit.entry (patient, at) WHERE patient IS NOT NULL;
CREATE INDEX audit_actor ON audit.entry (actor, at);
CREATE TABLE audit.seal (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    heads jsonb NOT NULL,
    hash bytea NOT NULL
);
GRANT SELECT, INSERT ON audit.chain, audit.entry, audit.seal TO sammanhang_reader, sammanhang_writer;

-- store.put: one write, whole: resource, side tables, history, event and audit entry, or an error.
-- expected 0 creates; any other number must be the current version, which moves to the history.
-- A body of null deletes. Raises 23505 when it exists already, SH001 when the version is another,
-- SH002 when it is not there.
CREATE FUNCTION store.put(
    p_type smallint, p_self bigint, p_id text, p_expected int, p_updated timestamptz,
    p_patient bigint, p_also bigint[], p_provider int, p_unit int, p_labels bigint[],
    p_care_until timestamptz, p_occurred timestamptz, p_occurred_to timestamptz,
    p_tokens bigint[], p_body bytea,
    s_slot bigint[], s_folded text[], s_value text[],
    d_slot bigint[], d_low timestamptz[], d_high timestamptz[],
    q_slot bigint[], q_low float8[], q_high float8[], q_unit bigint[],
    q_raw_low float8[], q_raw_high float8[], q_raw_unit bigint[],
    a_chain bigint, a_seq bigint, a_at timestamptz, a_actor text, a_patient bigint, a_action text, a_entry bytea, a_hash bytea
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    old store.resource;
    v int := p_expected + 1;
    m smallint := CASE WHEN p_body IS NULL THEN 3 WHEN p_expected = 0 THEN 1 ELSE 2 END;
BEGIN
    IF p_expected = 0 THEN
        -- two that create the same at once are put in line
        PERFORM pg_advisory_xact_lock(p_self);
        -- a deleted resource may come back: its versions go on from the tombstone
        SELECT coalesce(max(version), 0) + 1 INTO v FROM store.history h
            WHERE h.self = p_self AND h.type = p_type;
        IF v > 1 THEN
            RAISE EXCEPTION 'deleted before' USING ERRCODE = 'SH003', DETAIL = v::text;
        END IF;
        INSERT INTO store.resource VALUES (p_type, p_self, p_id, v, p_updated, p_patient, p_also,
            p_provider, p_unit, p_labels, p_care_until, p_occurred, p_occurred_to, p_tokens, p_body);
    ELSE
        SELECT * INTO old FROM store.resource r WHERE r.self = p_self AND r.type = p_type FOR UPDATE;
        IF NOT FOUND THEN
            -- bringing back what was deleted: expected is the tombstone's version
            PERFORM 1 FROM store.history h WHERE h.self = p_self AND h.type = p_type
                AND h.version = p_expected AND h.method = 3;
            IF NOT FOUND OR p_body IS NULL THEN
                RAISE EXCEPTION 'not there' USING ERRCODE = 'SH002';
            END IF;
            INSERT INTO store.resource VALUES (p_type, p_self, p_id, v, p_updated, p_patient, p_also,
                p_provider, p_unit, p_labels, p_care_until, p_occurred, p_occurred_to, p_tokens, p_body);
        ELSIF old.version <> p_expected OR old.id <> p_id THEN
            RAISE EXCEPTION 'another version' USING ERRCODE = 'SH001', DETAIL = old.version::text;
        ELSE
            INSERT INTO store.history VALUES (old.type, old.self, old.version, old.id, old.updated,
                CASE WHEN old.version = 1 THEN 1 ELSE 2 END, old.patient, old.also, old.provider,
                old.unit, old.labels, old.body);
            DELETE FROM store.string WHERE self = p_self AND type = p_type;
            DELETE FROM store.date WHERE self = p_self AND type = p_type;
            DELETE FROM store.quantity WHERE self = p_self AND type = p_type;
            IF p_body IS NULL THEN
                DELETE FROM store.resource r WHERE r.self = p_self AND r.type = p_type;
                INSERT INTO store.history VALUES (p_type, p_self, v, p_id, p_updated, 3, old.patient,
                    old.also, old.provider, old.unit, old.labels, NULL);
                p_patient := old.patient; p_also := old.also; p_provider := old.provider;
                p_unit := old.unit; p_labels := old.labels;
            ELSE
                UPDATE store.resource r SET version = v, updated = p_updated, patient = p_patient,
                    also = p_also, provider = p_provider, unit = p_unit, labels = p_labels,
                    care_until = p_care_until, occurred = p_occurred, occurred_to = p_occurred_to,
                    tokens = p_tokens, body = p_body
                WHERE r.self = p_self AND r.type = p_type;
            END IF;
        END IF;
    END IF;
    IF s_slot IS NOT NULL THEN
        INSERT INTO store.string SELECT slot, p_self, p_type, folded, value
            FROM unnest(s_slot, s_folded, s_value) AS t(slot, folded, value);
    END IF;
    IF d_slot IS NOT NULL THEN
        INSERT INTO store.date SELECT slot, p_self, p_type, low, high
            FROM unnest(d_slot, d_low, d_high) AS t(slot, low, high);
    END IF;
    IF q_slot IS NOT NULL THEN
        INSERT INTO store.quantity SELECT slot, p_self, p_type, low, high, unit, raw_low, raw_high, raw_unit
            FROM unnest(q_slot, q_low, q_high, q_unit, q_raw_low, q_raw_high, q_raw_unit)
                AS t(slot, low, high, unit, raw_low, raw_high, raw_unit);
    END IF;
    INSERT INTO store.event (at, method, type, self, id, version, patient, also, provider, unit, labels)
        VALUES (p_updated, m, p_type, p_self, p_id, v, p_patient, p_also, p_provider, p_unit, p_labels);
    IF a_chain IS NOT NULL THEN
        INSERT INTO audit.entry VALUES (a_chain, a_seq, a_at, a_actor, a_patient, a_action, a_entry, a_hash);
    END IF;
    RETURN v;
END $$;
ALTER FUNCTION store.put OWNER TO sammanhang_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA store, audit TO sammanhang_writer, sammanhang_reader;
