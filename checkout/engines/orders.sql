-- What the forwarder keeps in PostgreSQL beside the tables of schema.sql: which batches it has carried over, and the
-- epoch of the stock in Redis (checkout/engines/epoch.py).
CREATE TABLE IF NOT EXISTS batches (
    seq BIGINT PRIMARY KEY, -- the number of the batch's last event
    batch TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_by_name ON batches (batch);
CREATE TABLE IF NOT EXISTS epochs (
    number BIGINT PRIMARY KEY,
    token TEXT NOT NULL,
    server TEXT NOT NULL,       -- the run of the Redis server that was checked last
    is_armed BOOLEAN NOT NULL,  -- whether the shops may decide on it
    cause TEXT NOT NULL,        -- why not, or why this epoch began
    base_seq BIGINT NOT NULL,   -- the last event of PostgreSQL when this epoch began
    at_ms BIGINT NOT NULL
);
