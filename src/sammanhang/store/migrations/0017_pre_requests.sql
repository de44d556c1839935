-- Care requests (vårdbegäran) as lists need them, drawn from the ServiceRequest resources by a trigger as work.task is
-- from the Tasks: whoever writes one, the lists know it in the same commit.
CREATE TABLE work.request (
    self bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    patient bigint,
    kind text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    receiver text COLLATE "C" NOT NULL,
    authored timestamptz,
    modified timestamptz NOT NULL
);
COMMENT ON COLUMN work.request.sender IS 'HSA-id of the unit that sent it; receiver of the unit it was sent to, empty in a draft without one';
-- outgoing and incoming: a unit's lists by state, the latest first
CREATE INDEX request_outgoing ON work.request (sender, state, modified DESC);
CREATE INDEX request_incoming ON work.request (receiver, state, modified DESC);
ALTER TABLE work.request OWNER TO sammanhang_writer;
GRANT SELECT ON work.request TO sammanhang_whole;

CREATE FUNCTION work.project_request() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    b jsonb;
    said text;
    to_unit text;
    from_unit text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM work.request WHERE self = OLD.self;
        RETURN NULL;
    END IF;
    b := convert_from(NEW.body, 'UTF8')::jsonb;
    IF NOT jsonb_path_exists(b, '$.category[*].coding[*] ? (@.system == "http://sammanhang.se/fhir/CodeSystem/order-category" && @.code == "vardbegaran")')
            OR b ->> 'status' = 'entered-in-error' THEN
        DELETE FROM work.request WHERE self = NEW.self;
        RETURN NULL;
    END IF;
    said := jsonb_path_query_first(b,
        '$.extension[*] ? (@.url == "http://sammanhang.se/fhir/StructureDefinition/care-request-state").valueCode') #>> '{}';
    to_unit := coalesce(substr(b #>> '{performer,0,reference}', 14), '');
    from_unit := coalesce((SELECT p.id FROM store.party p WHERE p.number = NEW.unit), '');
    INSERT INTO work.request AS r VALUES (
        NEW.self, NEW.id, NEW.patient,
        coalesce(jsonb_path_query_first(b,
            '$.code.coding[*] ? (@.system == "http://sammanhang.se/fhir/CodeSystem/care-request-kind").code') #>> '{}', ''),
        coalesce(said, CASE b ->> 'status' WHEN 'draft' THEN 'draft' WHEN 'completed' THEN 'answered'
            WHEN 'revoked' THEN 'withdrawn' ELSE 'sent' END),
        CASE b ->> 'priority' WHEN 'stat' THEN 0 WHEN 'asap' THEN 1 WHEN 'urgent' THEN 2 ELSE 3 END,
        from_unit, to_unit, work.instant(b ->> 'authoredOn'), NEW.updated)
    ON CONFLICT (self) DO UPDATE SET (patient, kind, state, priority, sender, receiver, authored, modified) =
        (excluded.patient, excluded.kind, excluded.state, excluded.priority, excluded.sender, excluded.receiver,
         excluded.authored, excluded.modified);
    RETURN NULL;
END $$;
ALTER FUNCTION work.project_request() OWNER TO sammanhang_writer;
CREATE TRIGGER request_new AFTER INSERT ON store.other FOR EACH ROW WHEN (NEW.type = {ServiceRequest})
    EXECUTE FUNCTION work.project_request();
CREATE TRIGGER request_change AFTER UPDATE ON store.other FOR EACH ROW WHEN (NEW.type = {ServiceRequest})
    EXECUTE FUNCTION work.project_request();
CREATE TRIGGER request_end AFTER DELETE ON store.other FOR EACH ROW WHEN (OLD.type = {ServiceRequest})
    EXECUTE FUNCTION work.project_request();
UPDATE store.other SET body = body WHERE type = {ServiceRequest};
