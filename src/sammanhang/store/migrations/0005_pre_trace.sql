-- The trace in blocks: what one commit makes durable lies in one row, its entries as lines. A commit of
-- ten entries cost ten rows and thirty places in indexes; now it is one row. See store/trace.py.
CREATE TABLE audit.block (
    chain bigint NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    keys bigint[] NOT NULL,
    entries bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX block_keys ON audit.block USING gin (keys) WITH (fastupdate = on, gin_pending_list_limit = 1024);
GRANT SELECT, INSERT ON audit.block TO sammanhang_reader, sammanhang_writer;
COMMENT ON COLUMN audit.block.at IS 'time of the latest of its entries';
COMMENT ON COLUMN audit.block.keys IS 'patients, and who did what on which day; see store.trace.keys_of';
COMMENT ON COLUMN audit.block.entries IS 'one entry a line, as JSON';

-- New keys wait in a list beside the index, and whoever fills it up sorts it in. The sealer does that
-- each minute instead, so that no reader has to. The writer may not own the trace, hence the function.
CREATE FUNCTION audit.tidy() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS
    $$ SELECT gin_clean_pending_list('audit.block_keys'::regclass) $$;
REVOKE ALL ON FUNCTION audit.tidy() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.tidy() TO sammanhang_writer;

-- Who may see the whole record reads in a role of their own, whose wall is open. The reader's wall asked
-- on every query whether it stands: that cost a read by id as much as the read.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sammanhang_whole') THEN
        CREATE ROLE sammanhang_whole NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- two databases of one cluster migrated at the same moment
END $$;
GRANT USAGE ON SCHEMA store, access TO sammanhang_whole;
GRANT SELECT ON ALL TABLES IN SCHEMA store TO sammanhang_whole;
GRANT SELECT ON access.declared TO sammanhang_whole;
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY['resource', 'observation', 'encounter', 'condition', 'patient', 'medication',
            'document', 'other', 'history', 'event'] LOOP
        EXECUTE format('CREATE POLICY whole ON store.%I FOR SELECT TO sammanhang_whole USING (true)', t);
    END LOOP;
END $$;

-- store.put as in 0001, but with a block in place of an entry, and a version that is brought back follows
-- the last tombstone: one brought back from an earlier one took a number that was taken.
CREATE FUNCTION store.put(
    p_type smallint, p_self bigint, p_id text, p_expected int, p_updated timestamptz,
    p_patient bigint, p_also bigint[], p_provider int, p_unit int, p_labels bigint[],
    p_care_until timestamptz, p_occurred timestamptz, p_occurred_to timestamptz,
    p_tokens bigint[], p_body bytea,
    s_slot bigint[], s_folded text[], s_value text[],
    d_slot bigint[], d_low timestamptz[], d_high timestamptz[],
    q_slot bigint[], q_low float8[], q_high float8[], q_unit bigint[],
    q_raw_low float8[], q_raw_high float8[], q_raw_unit bigint[],
    a_chain bigint, a_seq bigint, a_at timestamptz, a_keys bigint[], a_entries bytea, a_hash bytea
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    old store.resource;
    last store.history;
    v int := p_expected + 1;
    m smallint := CASE WHEN p_body IS NULL THEN 3 WHEN p_expected = 0 THEN 1 ELSE 2 END;
BEGIN
    -- those who create, delete or bring back the same stand in line
    IF p_expected = 0 OR p_body IS NULL THEN
        PERFORM pg_advisory_xact_lock(p_self);
    END IF;
    IF p_expected = 0 THEN
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
            -- bringing back what was deleted: expected is the tombstone's version, and the last one:
            -- it may have come back and been deleted again since the writer looked
            PERFORM pg_advisory_xact_lock(p_self);
            SELECT h.* INTO last FROM store.history h WHERE h.self = p_self AND h.type = p_type
                ORDER BY h.version DESC LIMIT 1;
            IF NOT FOUND OR last.method <> 3 OR p_body IS NULL THEN
                RAISE EXCEPTION 'not there' USING ERRCODE = 'SH002';
            ELSIF last.version <> p_expected THEN
                RAISE EXCEPTION 'another version' USING ERRCODE = 'SH001', DETAIL = last.version::text;
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
        INSERT INTO audit.block VALUES (a_chain, a_seq, a_at, a_keys, a_entries, a_hash);
    END IF;
    RETURN v;
END $$;
ALTER FUNCTION store.put(smallint, bigint, text, int, timestamptz, bigint, bigint[], int, int, bigint[], timestamptz, timestamptz,
    timestamptz, bigint[], bytea, bigint[], text[], text[], bigint[], timestamptz[], timestamptz[], bigint[], float8[],
    float8[], bigint[], float8[], float8[], bigint[], bigint, bigint, timestamptz, bigint[], bytea, bytea) OWNER TO sammanhang_writer;
