-- setup: CREATE TABLE t AS SELECT g AS id, g AS n, 'name ' || g AS name FROM generate_series(1, 1000000) g
-- rows: 10000
UPDATE t SET n = n + 1 WHERE id % 100 = 0
