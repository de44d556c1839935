-- R41: what has been sent to a care provider is seen by it, whoever owns the row. The tag of the sending is a
-- search value, so only rows that have search values carry it: old versions and events stay the owner's.
-- Older code sets no such list, and an empty one shows nothing.
DO $$ DECLARE t text; BEGIN
    FOREACH t IN ARRAY ARRAY['resource', 'observation', 'encounter', 'condition', 'patient', 'medication',
            'document', 'other'] LOOP
        EXECUTE format($policy$
            CREATE POLICY sent ON store.%I FOR SELECT TO sammanhang_reader USING (
                tokens && (SELECT store.scope('shared')::bigint[])::bigint[]
                    AND ((SELECT store.scope('patients') = '*') IS TRUE
                        OR patient = ANY ((SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                        OR also && (SELECT nullif(store.scope('patients'), '*')::bigint[])::bigint[])
                    AND (labels && (SELECT store.scope('hidden_labels')::bigint[])::bigint[]) IS NOT TRUE
                    AND (patient = ANY ((SELECT store.scope('excluded')::bigint[])::bigint[])) IS NOT TRUE
                    AND (also && (SELECT store.scope('excluded')::bigint[])::bigint[]) IS NOT TRUE
            )$policy$, t);
    END LOOP;
END $$;
