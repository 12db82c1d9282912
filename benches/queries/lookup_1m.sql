-- One row of a million by its key, in a table sorted by it.
-- setup: CREATE TABLE t AS SELECT g AS id, 'name ' || g AS name FROM generate_series(1, 1000000) g
-- repeat: 200
SELECT name FROM t WHERE id = 777777
