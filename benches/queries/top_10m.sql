-- setup: CREATE TABLE t AS SELECT g AS id, g % 1000 AS k, (g * 7919) % 1000003 AS n, (g % 97)::float8 AS x FROM generate_series(1::bigint, 10000000) g
-- rows: 10000000
SELECT id, n FROM t ORDER BY n DESC, id LIMIT 100
