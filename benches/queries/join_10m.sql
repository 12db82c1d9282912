-- setup: CREATE TABLE t AS SELECT g AS id, g % 1000 AS k, (g * 7919) % 1000003 AS n, (g % 97)::float8 AS x FROM generate_series(1::bigint, 10000000) g
-- setup: CREATE TABLE d AS SELECT g AS k, 'group ' || (g % 10) AS name FROM generate_series(0::bigint, 999) g
-- rows: 10000000
SELECT name, sum(x) FROM t JOIN d USING (k) GROUP BY name
