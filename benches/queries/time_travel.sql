-- A table as it was before it was changed.
-- setup: CREATE TABLE t AS SELECT g AS id, g AS n FROM generate_series(1, 1000000) g
-- setup: CREATE TAG before
-- setup: UPDATE t SET n = 0 WHERE id % 10 = 0
-- rows: 1000000
SELECT sum(n) FROM t VERSION AS OF 2
