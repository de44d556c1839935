-- What an API client wants the data for, and until when a decision lets it have them (R39, R40).
ALTER TABLE access.client ADD COLUMN purpose text COLLATE "C" NOT NULL DEFAULT 'care';
ALTER TABLE access.client ADD COLUMN decision text;
ALTER TABLE access.client ADD COLUMN decided date;
COMMENT ON COLUMN access.client.purpose IS 'a key of purposes in content/rules/secondary_use';
COMMENT ON COLUMN access.client.decision IS 'the reference number of the decision that lets the client have data';
