-- PostgreSQL only: the words of the products with weights, and all words with a trigram index against typing errors.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
ALTER TABLE listing ADD COLUMN IF NOT EXISTS terms tsvector;
CREATE INDEX IF NOT EXISTS listing_terms ON listing USING gin (terms) WITH (fastupdate = off);
CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY);
CREATE INDEX IF NOT EXISTS words_like ON words USING gin (word gin_trgm_ops);
CREATE INDEX IF NOT EXISTS words_prefix ON words (word text_pattern_ops);
