-- Entries there were become blocks of one entry, byte for byte as they were hashed, with the keys that
-- store.trace.keys_of gives them.
CREATE FUNCTION audit.key(words text) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('x' || encode(substr(sha256(convert_to(words, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint $$;
INSERT INTO audit.block (chain, seq, at, keys, entries, hash)
SELECT e.chain, e.seq, e.at, ARRAY(
        SELECT e.patient WHERE e.patient IS NOT NULL
        UNION SELECT audit.key('did|' || e.actor || '|' || e.action || '|' || d.day)
        UNION SELECT audit.key('action|' || e.action || '|' || d.day)
            WHERE e.action NOT IN ('read', 'vread', 'history', 'search', 'everything', 'open')
        ORDER BY 1), e.entry, e.hash
  FROM audit.entry e, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS d(day) ORDER BY e.at;
DROP FUNCTION audit.key(text);
DROP TABLE audit.entry;
DROP FUNCTION store.put(smallint, bigint, text, int, timestamptz, bigint, bigint[], int, int, bigint[], timestamptz, timestamptz,
    timestamptz, bigint[], bytea, bigint[], text[], text[], bigint[], timestamptz[], timestamptz[], bigint[], float8[],
    float8[], bigint[], float8[], float8[], bigint[], bigint, bigint, timestamptz, text, bigint, text, bytea, bytea);

-- The reader's wall without its gate.
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY['resource', 'observation', 'encounter', 'condition', 'patient', 'medication',
            'document', 'other', 'history', 'event'] LOOP
        EXECUTE format($policy$
            ALTER POLICY wall ON store.%I TO sammanhang_reader USING (
                patient IS NULL AND (provider IS NULL
                    OR provider = ANY ((SELECT store.scope('providers')::int[])::int[]))
                OR type = {Patient} AND ((SELECT store.scope('register') = 'on') IS TRUE
                    OR self = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[]))
                OR (provider = ANY ((SELECT store.scope('providers')::int[])::int[])
                    AND ((SELECT store.scope('patients') = '*') IS TRUE
                        OR patient = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                        OR also && (SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                    AND (unit = ANY ((SELECT store.scope('hidden_units')::int[])::int[])) IS NOT TRUE
                    AND (labels && (SELECT store.scope('hidden_labels')::bigint[])::bigint[]) IS NOT TRUE)
            )$policy$, t);
    END LOOP;
END $$;
