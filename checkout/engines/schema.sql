-- The tables of the shop, for SQLite 3.35+ and PostgreSQL 15. All times are milliseconds since 1970.
-- The constraints repeat rules of the ledger, so that a fault in the ledger stops a transaction instead of overselling.
CREATE TABLE IF NOT EXISTS sales (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    total BIGINT NOT NULL CHECK (total >= 0),
    price_cents BIGINT NOT NULL,
    currency TEXT NOT NULL,
    opens_ms BIGINT NOT NULL,
    closes_ms BIGINT NOT NULL,
    hold_ms BIGINT NOT NULL,
    per_user BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS stock (
    sale TEXT PRIMARY KEY REFERENCES sales (id),
    free BIGINT NOT NULL CHECK (free >= 0),
    held BIGINT NOT NULL CHECK (held >= 0),
    sold BIGINT NOT NULL CHECK (sold >= 0),
    version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS holds (
    id TEXT PRIMARY KEY,
    sale TEXT NOT NULL REFERENCES sales (id),
    buyer TEXT NOT NULL,
    state TEXT NOT NULL,
    money TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    charge TEXT NOT NULL,
    queue_owner TEXT NOT NULL DEFAULT '',
    queue_lease_ms BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS holds_due ON holds (ends_ms) WHERE state IN ('held', 'paying');
CREATE INDEX IF NOT EXISTS holds_unsettled ON holds (id) WHERE money = 'started';
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY REFERENCES holds (id),
    sale TEXT NOT NULL,
    buyer TEXT NOT NULL,
    charge TEXT NOT NULL UNIQUE,
    at_ms BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    seq BIGINT PRIMARY KEY,
    sale TEXT NOT NULL,
    hold TEXT NOT NULL,
    buyer TEXT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    cause TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    free_before BIGINT NOT NULL,
    held_before BIGINT NOT NULL,
    sold_before BIGINT NOT NULL,
    free BIGINT NOT NULL,
    held BIGINT NOT NULL,
    sold BIGINT NOT NULL,
    ends_ms BIGINT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    charge TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refusals (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    hold TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);
