-- setup: CREATE TABLE units AS SELECT CASE WHEN g % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm, ((g * 7919) % 1000003)::float8 / 64 AS y, ((g * 31) % 10007)::float8 / 64 AS x FROM generate_series(1::bigint, 10000000) g
-- rows: 10000000
SELECT ab_ttest(y, arm, 'control', 'treatment') FROM units
