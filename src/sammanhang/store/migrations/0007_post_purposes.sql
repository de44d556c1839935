-- The reader's wall, and in it those who have said no to a purpose (R39). Older code sets no such list, and
-- an empty one leaves nobody out.
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY['resource', 'observation', 'encounter', 'condition', 'patient', 'medication',
            'document', 'other', 'history', 'event'] LOOP
        EXECUTE format($policy$
            ALTER POLICY wall ON store.%I TO sammanhang_reader USING (
                patient IS NULL AND (provider IS NULL
                    OR provider = ANY ((SELECT store.scope('providers')::int[])::int[]))
                OR type = {Patient} AND ((SELECT store.scope('register') = 'on') IS TRUE
                    OR self = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[]))
                    AND (self = ANY ((SELECT store.scope('excluded')::bigint[])::bigint[])) IS NOT TRUE
                OR (provider = ANY ((SELECT store.scope('providers')::int[])::int[])
                    AND ((SELECT store.scope('patients') = '*') IS TRUE
                        OR patient = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                        OR also && (SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                    AND (unit = ANY ((SELECT store.scope('hidden_units')::int[])::int[])) IS NOT TRUE
                    AND (labels && (SELECT store.scope('hidden_labels')::bigint[])::bigint[]) IS NOT TRUE
                    AND (patient = ANY ((SELECT store.scope('excluded')::bigint[])::bigint[])) IS NOT TRUE
                    AND (also && (SELECT store.scope('excluded')::bigint[])::bigint[]) IS NOT TRUE)
            )$policy$, t);
    END LOOP;
END $$;
