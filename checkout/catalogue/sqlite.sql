-- SQLite only: the words of the products for FTS5, and the trigrams of all words against typing errors.
CREATE VIRTUAL TABLE IF NOT EXISTS listing_words USING fts5 (
    title, variants, attributes, text, facets, tokenize = 'unicode61 remove_diacritics 0', prefix = '2 3'
);
CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY, trigrams BIGINT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS word_trigrams (
    trigram TEXT NOT NULL, word TEXT NOT NULL, PRIMARY KEY (trigram, word)
) WITHOUT ROWID;
