-- Bulk load that can be broken off and started again: what is loaded, how far each part of it has
-- come, and what was refused. A part's position moves in the transaction that stores its resources.
CREATE TABLE store.load_job (
    job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    path text NOT NULL,
    owner text COLLATE "C",
    prepared boolean NOT NULL DEFAULT false,
    started timestamptz NOT NULL DEFAULT now(),
    finished timestamptz
);
CREATE UNIQUE INDEX load_job_open ON store.load_job (source) WHERE finished IS NULL;
COMMENT ON COLUMN store.load_job.source IS 'digest of path, files, sizes, times and owner';

CREATE TABLE store.load_part (
    job bigint NOT NULL REFERENCES store.load_job ON DELETE CASCADE,
    number int NOT NULL,
    file text NOT NULL,
    mode text COLLATE "C" NOT NULL,
    stop bigint NOT NULL,
    position bigint NOT NULL,
    line bigint NOT NULL,
    done boolean NOT NULL DEFAULT false,
    loaded bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (job, number)
);
COMMENT ON COLUMN store.load_part.mode IS 'load: resources as they come; current, past: of an export';
COMMENT ON COLUMN store.load_part.position IS 'byte of the file (uncompressed) that comes next';

CREATE TABLE store.load_refused (
    job bigint NOT NULL REFERENCES store.load_job ON DELETE CASCADE,
    number int NOT NULL,
    line bigint NOT NULL,
    entry int NOT NULL,
    report text NOT NULL
);
CREATE INDEX load_refused_job ON store.load_refused (job, number, line, entry);

-- Owners of an export's resources that do not carry their owner themselves; only while it is loaded.
CREATE TABLE store.load_owner (
    job bigint NOT NULL REFERENCES store.load_job ON DELETE CASCADE,
    self bigint NOT NULL,
    type smallint NOT NULL,
    provider int,
    unit int,
    PRIMARY KEY (job, self, type)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON store.load_job, store.load_part, store.load_refused,
    store.load_owner TO sammanhang_writer;
