-- The tables of the catalogue, for SQLite 3.35+ and PostgreSQL 15. All times are milliseconds since 1970.
CREATE TABLE IF NOT EXISTS products (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,  -- counts products in the order of their creation
    version BIGINT NOT NULL,        -- the last event about the product
    made_ms BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    document TEXT NOT NULL          -- the product as JSON
);
CREATE TABLE IF NOT EXISTS skus (
    id TEXT PRIMARY KEY,
    product TEXT NOT NULL REFERENCES products (id),
    sale TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS skus_by_product ON skus (product);
CREATE TABLE IF NOT EXISTS catalogue_events (
    seq BIGINT PRIMARY KEY,
    product TEXT NOT NULL,
    kind TEXT NOT NULL,             -- created, changed, retired
    actor TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    made_ms BIGINT NOT NULL,
    document TEXT NOT NULL          -- the product after the event
);
-- One row. A writer holds its lock until it commits, so events are committed in the order of their numbers.
CREATE TABLE IF NOT EXISTS catalogue_counter (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL
);
INSERT INTO catalogue_counter VALUES (1, 0) ON CONFLICT DO NOTHING;
-- What can be bought now, in narrow rows for lists and search. The words are in another table or column of the store.
CREATE TABLE IF NOT EXISTS listing (
    number BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    price_cents BIGINT NOT NULL,
    made_ms BIGINT NOT NULL,
    sales_7d BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS listing_by_price ON listing (price_cents, id);
CREATE INDEX IF NOT EXISTS listing_by_age ON listing (made_ms, id);
CREATE INDEX IF NOT EXISTS listing_by_sales ON listing (sales_7d, id);
CREATE TABLE IF NOT EXISTS sold_7d (
    sale TEXT PRIMARY KEY,
    units BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS cart_lines (
    cart TEXT NOT NULL,
    sku TEXT NOT NULL,
    product TEXT NOT NULL,
    units BIGINT NOT NULL,
    price_cents BIGINT NOT NULL,    -- as the visitor saw it last
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (cart, sku)
);
CREATE INDEX IF NOT EXISTS cart_lines_by_age ON cart_lines (at_ms);
CREATE TABLE IF NOT EXISTS cart_owners (
    buyer TEXT PRIMARY KEY,
    cart TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS purchase_holds (
    hold TEXT PRIMARY KEY,
    purchase TEXT NOT NULL,
    number BIGINT NOT NULL          -- of the line in the document
);
CREATE TABLE IF NOT EXISTS purchases (
    id TEXT PRIMARY KEY,
    buyer TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    document TEXT NOT NULL          -- its lines as JSON: hold, sale, SKU, title, price
);
